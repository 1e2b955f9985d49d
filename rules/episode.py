"""An episode: a run of matches at which a correlation's condition held, and the step by which it is found.

It begins at a match at which the condition holds of (t - span, t], goes on while it holds at each further match, and
ends at a match at which it does not, or once the span has passed without one.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from rules.correlation_rule import Correlating
from rules.window import Seen, Window

KEPT_IDS: Final = 500  # contributing ids that a proof names, from each end

Place: TypeAlias = tuple[datetime, str]  # of a match in its group's order: event time, then id


@dataclass(slots=True)
class Episode:
    """A run of matches during which the condition held."""

    first: str  # the match that names it: the first contributor, or where that may repeat, the one that began it
    since: datetime  # time of the first contributor
    start: Place  # where the condition became true
    last: Place
    arrived: datetime  # when the last contributor did
    value: float
    count: int = 0
    head: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    digest: str = ""
    begun: tuple[str, ...] = ()  # the contributors at the start

    def add(self, one: Seen) -> None:
        for identity in one.events or (one.id,):
            if identity == self._newest():
                continue  # several rules matched this event
            self.count += 1
            self.digest = hashlib.blake2b(f"{self.digest}{identity}".encode(), digest_size=16).hexdigest()
            (self.head if len(self.head) < KEPT_IDS else self.tail).append(identity)
        del self.tail[:-KEPT_IDS]
        self.arrived = max(self.arrived, one.arrived)

    def _newest(self) -> str | None:
        return self.tail[-1] if self.tail else self.head[-1] if self.head else None

    def copy(self) -> Episode:
        return replace(self, head=self.head.copy(), tail=self.tail.copy())

    @property
    def events(self) -> tuple[str, ...]:
        return (*self.head, *self.tail)


@dataclass(slots=True)
class Track:
    """Steps through a group's matches in order, and says when an episode begins."""

    window: Window
    open: Episode | None = None

    @staticmethod
    def of(asks: Correlating) -> Track:
        return Track(Window(asks))

    def copy(self) -> Track:
        return Track(self.window.copy(), self.open.copy() if self.open is not None else None)

    def step(self, one: Seen) -> tuple[bool, Episode | None]:
        """Take the next match; return whether the condition holds and the episode that began, if one did."""
        if self.open is not None and one.time - self.open.last[0] >= self.window.asks.timespan:
            self.open = None
        self.window.push(one)
        if not self.window.holds():
            self.open = None
            return False, None
        if self.open is None:
            self.open = self._begin(one)
            return True, self.open
        self.open.last, self.open.value = (one.time, one.id), self.window.value() or 0
        self.open.add(one)
        return True, None

    def _begin(self, one: Seen) -> Episode:
        first = self.window.seen[0]
        name = first.id if self.window.asks.monotone else one.id
        place = (one.time, one.id)
        episode = Episode(name, first.time, place, place, one.arrived, self.window.value() or 0)
        for part in self.window.seen:
            episode.add(part)
        episode.begun = episode.events
        return episode


@dataclass(slots=True)
class Report:
    """An episode that was told of."""

    first: str
    start: Place
    last: Place
    digest: str | None = None  # as settled; None: only fired


def meeting(found: Sequence[Episode | Report], one: Episode | Report) -> slice:
    """Return which of them share a match with this one. They are in order, and no two of them share any."""
    first = bisect_left(found, one.start, key=lambda each: each.last)
    return slice(first, max(first, bisect_right(found, one.last, key=lambda each: each.start)))
