"""Many alerts in one message: gathered while they come, told when their time has come. Pure; `now` is passed in."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifiers.incident import Digest, Fate, Gathered, Line
from rules.alert import Alert

QUIET: Final = timedelta(seconds=3)  # old news are told once nothing joined for so long,
LATEST: Final = timedelta(seconds=60)  # or when the first has waited so long
_LINES: Final = 20
_RANK: Final[dict[str, int]] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "informational": 4}


@dataclass(slots=True)
class Gathering:
    """What one receiver will be told in one message. It holds counts and the best lines, never every alert."""

    kind: Gathered
    until: datetime  # the latest moment
    began: datetime
    touched: datetime
    first: datetime
    last: datetime
    counts: dict[str, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    incidents: set[str] = field(default_factory=set)

    def add(self, title: str, line: Line, now: datetime) -> None:
        self.touched = now
        self.first, self.last = min(self.first, line.time), max(self.last, line.time)
        self.counts[title] = self.counts.get(title, 0) + 1
        self.incidents.add(line.incident)
        full = len(self.lines) == _LINES and _telling(line) >= _telling(self.lines[-1])
        if not full and all(line.text != known.text for known in self.lines):
            insort(self.lines, line, key=_telling)
            del self.lines[_LINES:]

    def deadline(self) -> datetime:
        return min(self.touched + QUIET, self.until) if self.kind in ("digest", "catchup") else self.until


def merged(some: Sequence[Gathering | Digest]) -> Digest:
    """Return what is told of one gathering, or of several at once."""
    counts: dict[str, int] = {}
    for one in some:
        for title, count in one.counts.items():
            counts[title] = counts.get(title, 0) + count
    lines = sorted((line for one in some for line in one.lines), key=_telling)[:_LINES]
    first, last = min(one.first for one in some), max(one.last for one in some)
    return Digest(counts=counts, lines=tuple(lines), first=first, last=last)


def gathering(alert: Alert, fate: Fate, now: datetime) -> Gathering:
    """Return an empty gathering that begins with this alert."""
    until = fate.until or now + LATEST
    return Gathering(fate.gathering or "digest", until, now, now, first=alert.time, last=alert.time)


def _telling(line: Line) -> tuple[int, float]:
    """The gravest first, then the latest: that is what a person reads before the rest."""
    return (_RANK.get(line.level, 9), -line.time.timestamp())
