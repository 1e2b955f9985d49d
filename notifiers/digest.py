"""Many alerts in one message: gathered while they come, told when no more did. Pure; timers run on `now`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifiers.incident import Digest, Line
from rules.alert import Alert, Level

QUIET: Final = timedelta(seconds=3)  # told once nothing joined for so long,
LATEST: Final = timedelta(seconds=60)  # or when the first has waited so long
_LINES: Final = 12
_RANK: Final[dict[Level, int]] = {"critical": 0, "high": 1, "medium": 2, "low": 3, "informational": 4}


@dataclass(slots=True)
class Gathering:
    """What one receiver will be told in one message. It holds counts and the best lines, never every alert."""

    began: datetime
    touched: datetime
    first: datetime
    last: datetime
    counts: dict[str, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def add(self, alert: Alert, line: Line, now: datetime) -> None:
        title = alert.rule.title
        self.touched = now
        self.first, self.last = min(self.first, alert.time), max(self.last, alert.time)
        self.counts[title] = self.counts.get(title, 0) + 1
        if all(line.text != known.text for known in self.lines):
            self.lines = sorted([*self.lines, line], key=_telling)[:_LINES]

    def deadline(self) -> datetime:
        return min(self.touched + QUIET, self.began + LATEST)

    def digest(self) -> Digest:
        return Digest(counts=self.counts, lines=tuple(self.lines), first=self.first, last=self.last)


def gathering(alert: Alert, now: datetime) -> Gathering:
    """Return an empty gathering that begins with this alert."""
    return Gathering(began=now, touched=now, first=alert.time, last=alert.time)


def _telling(line: Line) -> tuple[int, float]:
    """The gravest first, then the latest: that is what a person reads before the rest."""
    rank = next((rank for level, rank in _RANK.items() if level == line.level), 9)
    return (rank, -line.time.timestamp())
