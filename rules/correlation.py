"""A correlation, group by group: which matches make an episode, in event time.

An episode begins at a match at which the condition holds of (t - span, t], goes on while it holds at each further
match, and ends at a match at which it does not, or once the span has passed without one. One episode is one alert.

Matches come in whatever order. A group therefore steps through them three times, each time in order of event time,
then id: provisionally on arrival (only what more matches can but make truer), for good once the lateness has passed
since they arrived ("ripe"), and once more, when no late match is expected any more, into the base from which a late
one makes it step again. All waiting is counted from arrival by the stream's clock, so a backlog is judged as it was.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from rules.episode import Episode, Place, Report, Track, meeting
from rules.window import Seen

LATENESS: Final = timedelta(seconds=60)
KEPT: Final = timedelta(minutes=10)  # beyond span and lateness, for matches that come later than that
RECENT_LIMIT: Final = 50_000  # matches that one group keeps apart; the oldest settle early beyond it
FEW: Final = 64  # matches that are stepped through at once when one comes out of order
LOOK_EVERY: Final = timedelta(seconds=1)  # of the stream's time: how often more of them are


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
    due: datetime | None = None  # when the clock next makes a difference; None: whenever it moves
    _tail: Track | None = field(init=False, default=None)  # provisional; None: to be made when it is next asked
    _settled: Track = field(init=False)
    _count: int = field(init=False, default=0)  # how many of `recent` the settled track has taken
    _behind: bool = field(init=False, default=True)  # it has to take them again, from the base on
    _episodes: list[Episode] = field(init=False, default_factory=list)  # the settled track's, since the base
    _stale: bool = field(init=False, default=False)  # the tail lacks matches that came out of order
    _unseen: bool = field(init=False, default=False)  # and they may have made something true that was not told
    _looked: datetime | None = field(init=False, default=None)  # when the last match had come, as the tail was whole

    def __post_init__(self) -> None:
        self.reports.sort(key=lambda one: one.start)
        self._settled = self.base

    def feed(self, one: Seen) -> list[Change]:
        """Take a match; a repeat changes nothing. Return what fires on arrival."""
        place = bisect_left(self.recent, one)
        if place < len(self.recent) and self.recent[place] == one:
            return []
        self.recent.insert(place, one)
        self._next(one.arrived + LATENESS)
        if len(self.recent) > RECENT_LIMIT:
            self.due = None  # the clock need not come to where the oldest are ripe
        if place < self._count:
            self._again_from(place)
        if not self.base.window.asks.monotone:
            return []
        if place == len(self.recent) - 1:
            return self._followed(one)
        self._stale = True
        self._unseen = self._unseen or not self._covered(one)
        return self.look(one.arrived)

    def _followed(self, one: Seen) -> list[Change]:
        """The tail takes a match that stands behind all others."""
        if self._tail is None:
            return self._fired(self._retail())
        holds, begun = self._tail.step(one)
        if not self._stale:
            return self._fired([begun] if begun is not None else [])
        self._unseen = self._unseen or begun is not None or not holds
        return self.look(one.arrived)

    def _covered(self, one: Seen) -> bool:
        """Whether all that a match out of order can make true is part of an episode that was told of."""
        open_ = self._tail.open if self._tail is not None else None
        return open_ is not None and open_.start <= (one.time, one.id)

    def look(self, moment: datetime) -> list[Change]:
        """Return what matches that came out of order make fire. To step through many again is put off for a moment."""
        many = len(self.recent) > FEW
        if not self._unseen or (many and self._looked is not None and moment - self._looked < LOOK_EVERY):
            return []
        self._looked = moment
        return self._fired(self._retail())

    @property
    def looks(self) -> bool:
        """Whether matches came out of order that were not yet looked at."""
        return self._unseen

    def drop(self, identity: str) -> None:
        """Take back an inner correlation's firing that turned out otherwise."""
        for place, one in enumerate(self.recent):
            if one.id == identity:
                del self.recent[place]
                if place < self._count:
                    self._again_from(place)
                self._stale = self._unseen = True
                self.due = None
                return

    def settle(self, clock: datetime, room: int | None = None) -> list[Change]:
        """Judge for good what is ripe at this time, and what is more than there is room for; return what changes."""
        room = RECENT_LIMIT if room is None else room
        if self._behind:
            self._resettle()
        ripe = clock - LATENESS
        while self._count < len(self.recent):
            one = self.recent[self._count]
            unripe = one.provisional or one.arrived > ripe
            if unripe and len(self.recent) - self._count <= room:
                break
            self._settle_next()
        out = self._fired(self._episodes)
        for episode in self._episodes:
            if self._over(episode, ripe):
                out += self._final(episode)
        out += self._withdrawn()
        self.begun = self._episodes.copy()
        self.judged = (_place(self.recent[0]), _place(self.recent[self._count - 1])) if self._count else None
        self._rebase(clock, room)
        self.due = self._due(clock)
        if self._count == len(self.recent):
            self._rest()
        return out

    def _rest(self) -> None:
        """All of it is settled, and was told: keep the base alone until there is more."""
        self._settled, self._tail = self.base, None
        self._behind, self._stale, self._unseen = True, False, False
        self._episodes = []

    @property
    def idle(self) -> bool:
        return not self.recent and self.base.open is None

    def _over(self, episode: Episode, ripe: datetime) -> bool:
        """Whether no match can extend the episode any more, unless it comes late."""
        return episode is not self._settled.open or episode.arrived + self.base.window.asks.timespan <= ripe

    def _fired(self, episodes: list[Episode]) -> list[Change]:
        out: list[Change] = []
        for episode in episodes:
            if not self.reports[meeting(self.reports, episode)]:
                self._report(Report(episode.first, episode.start, episode.last))
                out.append(Change("fired", episode.first, episode))
        return out

    def _report(self, report: Report) -> None:
        insort(self.reports, report, key=lambda one: one.start)

    def _final(self, episode: Episode) -> list[Change]:
        told = self.reports[meeting(self.reports, episode)]
        if [(report.first, report.digest) for report in told] == [(episode.first, episode.digest)]:
            told[0].last = episode.last
            return []
        del self.reports[meeting(self.reports, episode)]
        self._report(Report(episode.first, episode.start, episode.last, episode.digest))
        replaces = tuple(sorted({report.first for report in told} - {episode.first}))
        return [Change("settled", episode.first, episode.copy(), replaces)]

    def _withdrawn(self) -> list[Change]:
        """Take back what was told and is no longer so, once everything up to it is settled."""
        if not self._count:
            return []
        first, upto = _place(self.recent[0]), _place(self.recent[self._count - 1])
        gone, kept = list[Report](), list[Report]()
        for report in self.reports:
            judged = first <= report.start and report.last <= upto
            (kept if not judged or self._episodes[meeting(self._episodes, report)] else gone).append(report)
        self.reports = kept
        return [Change("withdrawn", report.first) for report in gone]

    def _again_from(self, place: int) -> None:
        """A match came late, or went: what is settled is settled again from the base, when it is next asked for."""
        self._count = place
        self._behind = True
        self.due = None

    def _resettle(self) -> None:
        self._settled, self._behind = self.base.copy(), False
        self._episodes = [self._settled.open] if self._settled.open is not None else []
        upto, self._count = self._count, 0
        while self._count < upto:
            self._settle_next()

    def _settle_next(self) -> None:
        begun = self._settled.step(self.recent[self._count])[1]
        self._count += 1
        if begun is not None:
            self._episodes.append(begun)

    def _retail(self) -> list[Episode]:
        if self._behind and self._count:
            self._resettle()
        self._tail, self._stale, self._unseen = (self._settled if self._count else self.base).copy(), False, False
        return [begun for one in self.recent[self._count :] if (begun := self._tail.step(one)[1]) is not None]

    def _next(self, moment: datetime) -> None:
        if self.due is not None and moment < self.due:
            self.due = moment

    def _due(self, clock: datetime) -> datetime:
        """Return when the clock next makes a difference, if nothing comes before that."""
        span = self.base.window.asks.timespan
        moments = [clock + KEPT]
        if self._count < len(self.recent) and not self.recent[self._count].provisional:
            moments.append(self.recent[self._count].arrived + LATENESS)
        if self._count:
            moments.append(self.recent[0].arrived + LATENESS + KEPT + span)
        if self._settled.open is not None:
            over = self._settled.open.arrived + span + LATENESS
            moments += [over] if over > clock else []
        return min(moments)

    def _rebase(self, clock: datetime, room: int) -> None:
        """Let the base take what no late match will change any more."""
        before = clock - LATENESS - KEPT - self.base.window.asks.timespan
        taken = 0
        for one in self.recent[: self._count]:
            if one.arrived > before and len(self.recent) - taken <= room:
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
            report for report in self.reports if report.last >= floor or self._episodes[meeting(self._episodes, report)]
        ]


def _place(one: Seen) -> Place:
    return one.time, one.id
