"""A correlation, group by group: which matches make an episode, in event time.

An episode begins at a match at which the condition holds of (t - span, t], goes on while it holds at each further
match, and ends at a match at which it does not, or once the span has passed without one. One episode is one alert.

Matches come in whatever order. A group therefore steps through them three times, each time in order of event time,
then id: provisionally on arrival (only what more matches can but make truer), for good once the lateness has passed
since they arrived ("ripe"), and once more, when no late match is expected any more, into the base from which a late
one makes it step again. All waiting is counted from arrival by the stream's clock, so a backlog is judged as it was.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from rules.correlation_rule import Correlating
from rules.window import Seen, Window

LATENESS: Final = timedelta(seconds=60)
KEPT: Final = timedelta(minutes=10)  # beyond span and lateness, for matches that come later than that
KEPT_IDS: Final = 500  # contributing ids that a proof names, from each end
RECENT_LIMIT: Final = 20_000  # matches that one group keeps apart; the oldest settle early beyond it

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

    def meets(self, start: Place, last: Place) -> bool:
        return self.start <= last and start <= self.last

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


@dataclass(frozen=True, slots=True)
class Change:
    """What a group has to say: an episode fired, settled (replacing those named), or was nothing after all."""

    step: Literal["fired", "settled", "withdrawn"]
    first: str
    episode: Episode | None = None
    replaces: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    """One group's matches, as far back as a late one may come, and what was told of them."""

    base: Track
    recent: list[Seen] = field(default_factory=list)  # in order; what the base has not taken
    reports: list[Report] = field(default_factory=list)
    early: int = 0  # matches that the base took before their time, for want of room
    begun: list[Episode] = field(default_factory=list)  # as of the last settling: those whose beginning is settled
    judged: tuple[Place, Place] | None = None  # as of the last settling: from where to where no other can have begun
    _tail: Track = field(init=False)
    _settled: Track = field(init=False)
    _count: int = field(init=False, default=0)  # how many of `recent` the settled track has taken
    _episodes: list[Episode] = field(init=False, default_factory=list)  # the settled track's, since the base

    def __post_init__(self) -> None:
        self._restart()
        self._retail()

    def feed(self, one: Seen) -> list[Change]:
        """Take a match; a repeat changes nothing. Return what fires on arrival."""
        place = bisect_left(self.recent, one)
        if place < len(self.recent) and self.recent[place] == one:
            return []
        self.recent.insert(place, one)
        if place < self._count:
            self._resettle(place)
        if not self.base.window.asks.monotone:
            return []
        if place == len(self.recent) - 1:
            begun = self._tail.step(one)[1]
            return self._fired([begun] if begun is not None else [])
        return self._fired(self._retail())

    def drop(self, identity: str) -> None:
        """Take back an inner correlation's firing that turned out otherwise."""
        for place, one in enumerate(self.recent):
            if one.id == identity:
                del self.recent[place]
                if place < self._count:
                    self._resettle(place)
                self._retail()
                return

    def settle(self, clock: datetime) -> list[Change]:
        """Judge for good what is ripe at this time; return what changes by it."""
        ripe = clock - LATENESS
        while self._count < len(self.recent):
            one = self.recent[self._count]
            if one.provisional or one.arrived > ripe:
                break
            self._count += 1
            begun = self._settled.step(one)[1]
            if begun is not None:
                self._episodes.append(begun)
        out = self._fired(self._episodes)
        for episode in self._episodes:
            if self._over(episode, ripe):
                out += self._final(episode)
        out += self._withdrawn()
        self.begun = self._episodes.copy()
        self.judged = (_place(self.recent[0]), _place(self.recent[self._count - 1])) if self._count else None
        self._rebase(clock)
        return out

    @property
    def idle(self) -> bool:
        return not self.recent and self.base.open is None

    def _over(self, episode: Episode, ripe: datetime) -> bool:
        """Whether no match can extend the episode any more, unless it comes late."""
        return episode is not self._settled.open or episode.arrived + self.base.window.asks.timespan <= ripe

    def _fired(self, episodes: list[Episode]) -> list[Change]:
        out: list[Change] = []
        for episode in episodes:
            if not any(episode.meets(report.start, report.last) for report in self.reports):
                self.reports.append(Report(episode.first, episode.start, episode.last))
                out.append(Change("fired", episode.first, episode))
        return out

    def _final(self, episode: Episode) -> list[Change]:
        told = [report for report in self.reports if episode.meets(report.start, report.last)]
        if [(report.first, report.digest) for report in told] == [(episode.first, episode.digest)]:
            told[0].last = episode.last
            return []
        self.reports = [report for report in self.reports if report not in told]
        self.reports.append(Report(episode.first, episode.start, episode.last, episode.digest))
        replaces = tuple(sorted({report.first for report in told} - {episode.first}))
        return [Change("settled", episode.first, episode.copy(), replaces)]

    def _withdrawn(self) -> list[Change]:
        """Take back what was told and is no longer so, once everything up to it is settled."""
        if not self._count:
            return []
        first, upto = _place(self.recent[0]), _place(self.recent[self._count - 1])
        gone = [
            report
            for report in self.reports
            if first <= report.start
            and report.last <= upto
            and not any(one.meets(report.start, report.last) for one in self._episodes)
        ]
        self.reports = [report for report in self.reports if report not in gone]
        return [Change("withdrawn", report.first) for report in gone]

    def _resettle(self, place: int) -> None:
        """A match came late, or went: settle again from the base up to it."""
        self._restart()
        for one in self.recent[:place]:
            begun = self._settled.step(one)[1]
            if begun is not None:
                self._episodes.append(begun)
        self._count = place
        self._retail()

    def _restart(self) -> None:
        self._settled = self.base.copy()
        self._tail = self.base.copy()
        self._count = 0
        self._episodes = [self._settled.open] if self._settled.open is not None else []

    def _retail(self) -> list[Episode]:
        self._tail = self._settled.copy()
        return [begun for one in self.recent[self._count :] if (begun := self._tail.step(one)[1]) is not None]

    def _rebase(self, clock: datetime) -> None:
        """Let the base take what no late match will change any more."""
        before = clock - LATENESS - KEPT - self.base.window.asks.timespan
        taken = 0
        for one in self.recent[: self._count]:
            if one.arrived > before and len(self.recent) - taken <= RECENT_LIMIT:
                break
            self.early += one.arrived > before
            self.base.step(one)
            taken += 1
        if not taken:
            return
        if self.base.open is not None and taken == len(self.recent):
            self.base.open = None  # the span has passed, and more
        del self.recent[:taken]
        self._count -= taken
        self._forget()

    def _forget(self) -> None:
        """Drop episodes and reports that lie wholly within the base."""
        if not self.recent:
            self._episodes, self.reports = [], []
            return
        floor = _place(self.recent[0])
        going_on = self.base.open.start if self.base.open is not None else floor
        self._episodes = [one for one in self._episodes if one.last >= floor or one.start >= going_on]
        self.reports = [
            report
            for report in self.reports
            if report.last >= floor or any(one.meets(report.start, report.last) for one in self._episodes)
        ]


def _place(one: Seen) -> Place:
    return one.time, one.id
