"""A correlation, group by group: which matches make an episode, in event time.

An episode begins at a match at which the condition holds of (t - span, t], goes on while it holds at each further
match, and ends at a match at which it does not, or once the span has passed without one. One episode is one alert,
named by its first contributor.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rules.correlation_rule import Correlating
from rules.window import Seen, Window

KEPT_IDS = 500  # contributing ids that a proof names, from each end


@dataclass(slots=True)
class Episode:
    """A run of matches during which the condition held."""

    first: str  # the first contributor's id
    since: datetime  # its time
    start: datetime  # when the condition became true
    last: datetime
    value: float
    count: int = 0
    head: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)
    digest: str = ""

    def add(self, one: Seen) -> None:
        for identity in one.events or (one.id,):
            self.count += 1
            self.digest = hashlib.blake2b(f"{self.digest}{identity}".encode(), digest_size=16).hexdigest()
            (self.head if len(self.head) < KEPT_IDS else self.tail).append(identity)
        del self.tail[:-KEPT_IDS]

    @property
    def events(self) -> tuple[str, ...]:
        return (*self.head, *self.tail)


@dataclass(slots=True)
class Track:
    """Steps through a group's matches in order, and says when an episode begins."""

    asks: Correlating
    window: Window = field(init=False)
    open: Episode | None = None

    def __post_init__(self) -> None:
        self.window = Window(self.asks)

    def step(self, one: Seen) -> tuple[bool, Episode | None]:
        """Take the next match; return whether the condition holds and the episode that began, if one did."""
        if self.open is not None and one.time - self.open.last >= self.asks.timespan:
            self.open = None
        self.window.push(one)
        if not self.window.holds():
            self.open = None
            return False, None
        value = self.window.value() or 0
        if self.open is not None:
            self.open.last, self.open.value = one.time, value
            self.open.add(one)
            return True, None
        first = self.window.seen[0]
        self.open = Episode(first.id, first.time, one.time, one.time, value)
        for part in self.window.seen:
            self.open.add(part)
        return True, self.open


@dataclass(slots=True)
class Group:
    """The matches of one group that may still matter, and the track over them."""

    track: Track
    recent: list[Seen] = field(default_factory=list)
    known: set[tuple[str, tuple[int, ...]]] = field(default_factory=set)

    def feed(self, one: Seen) -> list[Episode]:
        """Take a match, in whatever order it comes; a repeat changes nothing. Return the episodes that are new."""
        mark = (one.id, one.places)
        if mark in self.known:
            return []
        self.known.add(mark)
        in_order = not self.recent or self.recent[-1] <= one
        insort(self.recent, one)
        if in_order:
            begun = self.track.step(one)[1]
            return [begun] if begun is not None else []
        return self._again()

    def _again(self) -> list[Episode]:
        before = self.track.open.first if self.track.open is not None else None
        self.track = Track(self.track.asks)
        begun = [episode for one in self.recent if (episode := self.track.step(one)[1]) is not None]
        return [episode for episode in begun if episode.first != before]

    @staticmethod
    def restored(asks: Correlating, recent: list[Seen], open_: Episode | None) -> Group:
        group = Group(Track(asks), recent, {(one.id, one.places) for one in recent})
        for one in recent:
            group.track.step(one)
        group.track.open = open_
        return group

    def forget(self, before: datetime) -> None:
        """Let go of matches that came before: by arrival, so that a backlog is correlated as it was."""
        kept = [one for one in self.recent if (one.appended or one.time) > before]
        if len(kept) < len(self.recent):
            self.recent = kept
            self.known = {(one.id, one.places) for one in kept}

    @property
    def idle(self) -> bool:
        return not self.recent


LATENESS = timedelta(seconds=60)
