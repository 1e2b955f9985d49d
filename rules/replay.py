"""Events against rules with neither routing nor clock: what `tocsin rules match` and the rules' cases run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from rules import sigma
from rules.correlation import Track
from rules.correlator import group_of, measured, state_key
from rules.evaluate import compiled
from rules.event import Fields, Value
from rules.ruleset import RuleSet
from rules.window import Seen


@dataclass(frozen=True, slots=True)
class Shown:
    """A rule that held for one event, or a correlation that fired. `group` is None for a rule."""

    rule: str
    title: str
    events: tuple[int, ...]
    time: datetime
    group: Mapping[str, Value] | None = None


class Replay:
    """Feeds on events in their order. With `every`, correlations fire at each event while they hold."""

    def __init__(self, ruleset: RuleSet, *, every: bool) -> None:
        self._every = every
        self._rules = [(rule, compiled(rule.predicate)) for rule in ruleset.rules if not rule.missing]
        self._names = {one.about.id: one.about.names for one in (*self._all(ruleset),)}
        self._feeds: dict[str, list[tuple[sigma.Correlation, int]]] = {}
        for one in ruleset.correlations:
            for place, name in enumerate(ruleset.refers[one.about.id]):
                self._feeds.setdefault(name, []).append((one, place))
        self._tracks: dict[str, Track] = {}

    @staticmethod
    def _all(ruleset: RuleSet) -> Iterator[sigma.Rule | sigma.Correlation]:
        yield from ruleset.rules
        yield from ruleset.correlations

    def feed(self, line: int, moment: datetime, fields: Fields) -> list[Shown]:
        """Take the event that stands on a line; return everything that it makes fire."""
        out: list[Shown] = []
        for rule, holds in self._rules:
            if holds(fields):
                out.append(Shown(rule.about.id, rule.about.title, (line,), moment))
                self._passed_on(rule.about.id, Seen(moment, str(line), events=(str(line),)), fields, out)
        return out

    def finish(self) -> list[Shown]:
        """Return what only the end of the events can decide."""
        return []

    def _passed_on(self, name: str, cause: Seen, fields: Fields, out: list[Shown]) -> None:
        places: dict[str, tuple[sigma.Correlation, list[int]]] = {}
        for correlation, place in self._feeds.get(name, ()):
            places.setdefault(correlation.about.id, (correlation, []))[1].append(place)
        for correlation, listed in places.values():
            key = group_of(correlation, self._names[name], fields)
            if key is not None:
                self._correlated(correlation, key, measured(correlation, tuple(listed), cause, fields), fields, out)

    def _correlated(
        self, correlation: sigma.Correlation, key: dict[str, Value], one: Seen, fields: Fields, out: list[Shown]
    ) -> None:
        track = self._tracks.setdefault(state_key(correlation.about.id, key), Track(correlation.correlating))
        holds, begun = track.step(one)
        if not (holds if self._every else begun is not None):
            return
        events = tuple(dict.fromkeys(identity for seen in track.window.seen for identity in seen.events))
        about = correlation.about
        out.append(Shown(about.id, about.title, tuple(sorted(map(int, events))), one.time, key))
        outer = Seen(one.time, f"{about.id} {one.id}", events=events)
        self._passed_on(about.id, outer, {**fields, **key}, out)
