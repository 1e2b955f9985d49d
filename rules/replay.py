"""Events against rules with neither routing nor clock: what `tocsin rules match` and the rules' cases run."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime

from rules.episode import Episode, Track, meeting
from rules.evaluate import compiled
from rules.event import Fields, Value
from rules.groups import feeds, group_of, measured, state_key
from rules.ruleset import RuleSet
from rules.sigma import Correlation
from rules.window import Seen


@dataclass(frozen=True, slots=True)
class Shown:
    """A rule that held for one event, or a correlation that fired. `group` is None for a rule."""

    rule: str
    title: str
    events: tuple[int, ...]
    time: datetime
    group: Mapping[str, Value] | None = None


@dataclass(slots=True)
class _History:
    """One group's matches within twice the span, for those that come out of order."""

    track: Track
    seen: list[Seen] = field(default_factory=list)
    told: list[Episode] = field(default_factory=list)
    room: int = 1_000  # for matches before the old ones are let go

    def step(self, one: Seen, *, every: bool) -> tuple[str, ...]:
        """Return what was in the window if the match makes the correlation fire; with `every`, if it holds at all."""
        late = bool(self.seen) and one < self.seen[-1]
        insort(self.seen, one)
        if late:
            return self._again(one, every=every)
        holds, begun = self.track.step(one)
        if begun is not None:
            self.told.append(begun)
        return self._lines() if (holds if every else begun is not None) else ()

    def _again(self, one: Seen, *, every: bool) -> tuple[str, ...]:
        """A match came late: what holds of any window that it is in, or begins and was not told of, fires now."""
        self.track = Track.of(self.track.window.asks)
        episodes: list[tuple[Episode, tuple[str, ...]]] = []
        holding: tuple[str, ...] = ()
        for other in self.seen:
            holds, begun = self.track.step(other)
            if begun is not None:
                episodes.append((begun, self._lines()))
            if holds and not holding and one <= other and other.time - one.time < self.track.window.asks.timespan:
                holding = self._lines()
        new = [lines for episode, lines in episodes if not self.told[meeting(self.told, episode)]]
        first = (self.seen[0].time, self.seen[0].id)
        self.told = [told for told in self.told if told.last < first] + [episode for episode, _ in episodes]
        return holding if every else new[0] if new else ()

    def _lines(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line for part in self.track.window.seen for line in part.events))

    def forget(self) -> None:
        if len(self.seen) > self.room:
            start = self.seen[-1].time - 2 * self.track.window.asks.timespan
            self.seen = [one for one in self.seen if one.time > start]
            self.told = [told for told in self.told if told.last[0] > start]
            self.room = max(1_000, 2 * len(self.seen))


class Replay:
    """Feeds on events in their order. With `every`, correlations fire at each event while they hold."""

    def __init__(self, ruleset: RuleSet, *, every: bool) -> None:
        self._every = every
        self._rules = [(rule, compiled(rule.predicate)) for rule in ruleset.rules if not rule.missing]
        self._correlations = ruleset.correlations
        self._names = {rule.about.id: rule.about.names for rule in ruleset.rules}
        self._names |= {one.about.id: one.about.names for one in ruleset.correlations}
        self._feeds = feeds(ruleset)
        self._groups: dict[str, _History] = {}

    def feed(self, line: int, moment: datetime, fields: Fields, *, only: Set[str] | None = None) -> list[Shown]:
        """Take the event that stands on a line; return everything that it makes fire. `only`: the rules that see it."""
        hits = [rule for rule, holds in self._rules if (only is None or rule.about.id in only) and holds(fields)]
        out = [Shown(rule.about.id, rule.about.title, (line,), moment) for rule in hits]
        if not self._feeds:
            return out
        causes: dict[str, list[tuple[Seen, Mapping[str, Value]]]] = {}
        for rule in hits:
            causes[rule.about.id] = [(Seen(moment, f"{line:012}", events=(str(line),)), fields)]
        for correlation in self._correlations:  # inner ones first
            fired = self._fired(correlation, causes)
            out += [shown for shown, _ in fired]
            causes[correlation.about.id] = [(cause, shown.group or {}) for shown, cause in fired]
        return out

    def _fired(
        self, correlation: Correlation, causes: Mapping[str, list[tuple[Seen, Mapping[str, Value]]]]
    ) -> list[tuple[Shown, Seen]]:
        """An event that several of the referred rules matched is taken once for each of its groups."""
        taken: dict[tuple[str, str], tuple[dict[str, Value], Seen]] = {}
        for name, found in causes.items():
            places = next((at for one, at in self._feeds.get(name, ()) if one is correlation), None)
            for cause, fields in found if places is not None else ():
                key = group_of(correlation, self._names[name], fields)
                if key is None or places is None:
                    continue
                place = (state_key(correlation.about.id, key), cause.id)
                before = taken[place][1].places if place in taken else ()
                taken[place] = key, measured(correlation, (*before, *places), cause, fields)
        steps = [(key, seen, self._step(correlation, place[0], seen)) for place, (key, seen) in taken.items()]
        return [self._shown(correlation, key, seen, events) for key, seen, events in steps if events]

    def _step(self, correlation: Correlation, place: str, one: Seen) -> tuple[str, ...]:
        if place not in self._groups:
            self._groups[place] = _History(Track.of(correlation.correlating))
        events = self._groups[place].step(one, every=self._every)
        self._groups[place].forget()
        return events

    @staticmethod
    def _shown(
        correlation: Correlation, key: dict[str, Value], one: Seen, events: tuple[str, ...]
    ) -> tuple[Shown, Seen]:
        about = correlation.about
        shown = Shown(about.id, about.title, tuple(sorted(map(int, events))), one.time, key)
        return shown, Seen(one.time, f"{about.id} {one.id}", events=events)
