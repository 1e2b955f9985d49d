"""Every correlation's groups: matches and inner firings in, changes of episodes out as alerts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec

from rules.alert import Alert, Step, alert_id
from rules.correlation import Change, Group
from rules.episode import Episode, Place, Report, Track
from rules.event import Value
from rules.match import Match, beside
from rules.matcher import Hit
from rules.ruleset import RuleSet
from rules.sigma import Correlation
from rules.telling import Teller, joint
from rules.values import number_of, text_of
from rules.window import Seen

GROUPS_LIMIT: Final = 50_000  # a correlation
_LOOKS: Final = 100  # groups that nothing was fed to for longest, among which one is sought that nothing was told of
_NEVER: Final = datetime(9000, 1, 1, tzinfo=UTC)


class Passed(msgspec.Struct):
    """An episode that was passed on to outer correlations, as of its beginning."""

    start: Place
    events: tuple[str, ...]
    final: bool


class Grouped(msgspec.Struct, tag="group"):
    """A group's state as it is kept."""

    rule: str
    meaning: str
    key: dict[str, Value]
    cause: Match
    base: list[Seen]
    open: Episode | None
    recent: list[Seen]
    reports: list[Report]
    passed: dict[str, Passed]
    newest: dict[str, dict[str, Value]] = {}


@dataclass(slots=True)
class _One:
    """One group with what an alert of it needs."""

    correlation: Correlation
    key: dict[str, Value]
    group: Group
    cause: Match  # the last match that fed it
    passed: dict[str, Passed] = field(default_factory=dict)
    newest: dict[str, dict[str, Value]] = field(default_factory=dict)  # of a temporal one: each rule's newest event

    def note(self, match: Match) -> None:
        """Remember what is shown of the newest event of each rule, by event time, where all of them make an alert."""
        if self.correlation.correlating.type not in ("temporal", "temporal_ordered"):
            return
        shared = self.correlation.alerting.incident
        known, one = self.newest.get(match.rule), beside(match, shared.key if shared else ())
        if known is None or (str(known["@timestamp"]), str(known["event.id"])) <= (one["@timestamp"], one["event.id"]):
            self.newest[match.rule] = one


@dataclass(slots=True)
class Groups:
    """All groups of all correlations, inner correlations first."""

    ruleset: RuleSet
    teller: Teller
    changed: set[str] = field(default_factory=set)
    evicted: dict[str, int] = field(default_factory=dict)  # correlation -> groups let go before their time
    _groups: dict[str, OrderedDict[str, _One]] = field(default_factory=dict)  # correlation -> place -> group
    _feeds: dict[str, list[tuple[Correlation, tuple[int, ...]]]] = field(default_factory=dict)
    _names: dict[str, frozenset[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)  # correlations that only feed others
    _unseen: dict[str, _One] = field(default_factory=dict)  # groups in which matches out of order wait to be looked at

    def __post_init__(self) -> None:
        self._names.update((rule.about.id, rule.about.names) for rule in self.ruleset.rules)
        self._names.update((one.about.id, one.about.names) for one in self.ruleset.correlations)
        self._feeds.update(feeds(self.ruleset))
        self.silent |= silent(self.ruleset)
        for correlation in self.ruleset.correlations:
            self._groups[correlation.about.id] = OrderedDict()  # those that something was fed to last are last

    def feed(self, match: Match) -> list[Alert]:
        """Take a match of a rule; return what fires on arrival."""
        cause = Seen(match.time, match.event, appended=match.appended)
        return self._passed_on(match.rule, cause, match.fields, match)

    def advance(self, clock: datetime) -> list[Alert]:
        """Settle what is ripe by this time, and let go of groups that are over."""
        out: list[Alert] = []
        for groups in self._groups.values():
            for place, one in list(groups.items()):
                if one.group.due is not None and one.group.due > clock:
                    continue
                before = len(one.group.recent)
                changes = one.group.settle(clock)
                out += self._told(one, changes)
                out += self._settled_on(one)
                if changes or len(one.group.recent) != before:
                    self.changed.add(place)
                if one.group.idle:
                    del groups[place]
                    self._unseen.pop(place, None)
                    self.changed.add(place)
        return out

    def look(self, moment: datetime) -> list[Alert]:
        """Return what fires of matches that came out of order and were put off; `moment` is the stream's time."""
        out: list[Alert] = []
        for one in list(self._unseen.values()):
            out += self._fires(one, one.group.look(moment))
        return out

    def _fires(self, one: _One, changes: list[Change]) -> list[Alert]:
        """Tell what began on arrival, here and in outer correlations."""
        out = self._told(one, changes)
        for change in changes:
            if change.episode is not None:
                out += self._inner(one, change.episode, final=False)
        place = state_key(one.correlation.about.id, one.key)
        if changes:
            self.changed.add(place)
        if one.group.looks:
            self._unseen[place] = one
        else:
            self._unseen.pop(place, None)
        return out

    def _passed_on(self, name: str, cause: Seen, fields: Mapping[str, Value], match: Match) -> list[Alert]:
        out: list[Alert] = []
        for correlation, places in self._feeds.get(name, ()):
            key = group_of(correlation, self._names[name], fields)
            if key is not None:
                one = self._one(correlation, key, match)
                one.cause = match
                one.note(match)
                out += self._fires(one, one.group.feed(measured(correlation, places, cause, fields)))
                out += self._make_room(correlation)
        return out

    def _one(self, correlation: Correlation, key: dict[str, Value], match: Match) -> _One:
        place = state_key(correlation.about.id, key)
        self.changed.add(place)
        groups = self._groups[correlation.about.id]
        if place not in groups:
            groups[place] = _One(correlation, key, Group(Track.of(correlation.correlating)), match)
        groups.move_to_end(place)
        return groups[place]

    def _make_room(self, correlation: Correlation) -> list[Alert]:
        """Let one group go of those that nothing was fed to for longest, if it can be one that nothing was told of.

        What it holds is judged before, as if no more came.
        """
        groups = self._groups[correlation.about.id]
        if len(groups) <= GROUPS_LIMIT:
            return []
        oldest = list(islice(groups.items(), _LOOKS))
        place, one = next((pair for pair in oldest if not pair[1].group.reports), oldest[0])
        out = self._told(one, one.group.settle(_NEVER, room=0))
        out += self._settled_on(one)
        del groups[place]
        self._unseen.pop(place, None)
        self.changed.add(place)
        self.evicted[correlation.about.id] = self.evicted.get(correlation.about.id, 0) + 1
        return out

    def _told(self, one: _One, changes: Iterable[Change]) -> list[Alert]:
        if one.correlation.about.id in self.silent:
            return []
        out: list[Alert] = []
        rule = one.correlation.about.id
        for change in changes:
            if change.episode is None:
                alert = self.teller.alert(one.correlation, "resolved", one.cause, one.key, change.first)
                out.append(alert.model_copy(update=self._of_newest(one)))
                continue
            step: Step = "fired" if change.step == "fired" else "settled"
            alert = self.teller.episode(one.correlation, step, one.cause, one.key, change.episode)
            lost = one.group.base.window.evicted + one.group.early
            if lost:
                alert.proof.values["tocsin.evicted"] = lost
            replaces = tuple(alert_id(rule, one.key, first) for first in change.replaces)
            out.append(alert.model_copy(update={"replaces": replaces, **self._of_newest(one)}))
            if step == "settled" and one.correlation.alerting.kind == "condition":
                out.append(alert.model_copy(update={"step": "resolved"}))
        return out

    def _of_newest(self, one: _One) -> dict[str, object]:
        """Return what an alert takes from the newest events of its rules, whichever of them came last."""
        listed = self.ruleset.refers[one.correlation.about.id]
        found = tuple(one.newest[name] for name in dict.fromkeys(listed) if name in one.newest)
        return {"beside": found, "incident": joint(one.correlation, {**(found[-1] if found else {}), **one.key})}

    # Inner correlations: an episode's beginning is a match of the outer one, provisional until it is settled.

    def _settled_on(self, one: _One) -> list[Alert]:
        if one.correlation.about.id not in self._feeds:
            return []
        out: list[Alert] = []
        if one.group.judged is not None:
            first_place, last_place = one.group.judged
            begun = {episode.first for episode in one.group.begun}
            for first, passed in list(one.passed.items()):
                if first_place <= passed.start <= last_place and first not in begun:
                    self._taken_back(one, first)  # a late match made another of it, or nothing
        for episode in one.group.begun:
            out += self._inner(one, episode, final=True)
        self._forget(one)
        return out

    def _forget(self, one: _One) -> None:
        """Let go of what was passed on and lies wholly within the group's base."""
        floor = (one.group.recent[0].time, one.group.recent[0].id) if one.group.recent else None
        begun = {episode.first for episode in one.group.begun}
        one.passed = {
            first: passed
            for first, passed in one.passed.items()
            if first in begun or (floor is not None and passed.start >= floor)
        }

    def _inner(self, one: _One, episode: Episode, *, final: bool) -> list[Alert]:
        new = Passed(episode.start, episode.begun, final)
        if one.correlation.about.id not in self._feeds or one.passed.get(episode.first) == new:
            return []
        if episode.first in one.passed:
            self._taken_back(one, episode.first)
        one.passed[episode.first] = new
        identity = alert_id(one.correlation.about.id, one.key, episode.first)
        cause = Seen(
            episode.start[0], identity, events=episode.begun, appended=one.cause.appended, provisional=not final
        )
        return self._passed_on(one.correlation.about.id, cause, one.key, one.cause)

    def _taken_back(self, one: _One, first: str) -> None:
        del one.passed[first]
        identity = alert_id(one.correlation.about.id, one.key, first)
        for correlation, _ in self._feeds.get(one.correlation.about.id, ()):
            key = group_of(correlation, self._names[one.correlation.about.id], one.key)
            place = state_key(correlation.about.id, key or {})
            outer = self._groups[correlation.about.id].get(place)
            if outer is not None:
                outer.group.drop(identity)
                self._unseen[place] = outer
                self.changed.add(place)

    # State

    def state(self, place: str) -> bytes:
        """Return a group's state as it is kept; empty: it is gone."""
        for groups in self._groups.values():
            if place in groups:
                return _encoded(groups[place])
        return b""

    def places(self) -> list[str]:
        return [place for groups in self._groups.values() for place in groups]

    def restore(self, place: str, state: Grouped, correlation: Correlation) -> None:
        track = Track.of(correlation.correlating)
        for seen in state.base:
            track.window.push(seen)
        track.open = state.open
        group = Group(track, state.recent, state.reports)
        one = _One(correlation, state.key, group, state.cause, state.passed, state.newest)
        self._groups[correlation.about.id][place] = one


def _encoded(one: _One) -> bytes:
    about, group = one.correlation.about, one.group
    base = list(group.base.window.seen)
    kept = Grouped(
        about.id, about.meaning, one.key, one.cause, base, group.base.open, group.recent, group.reports, one.passed,
        one.newest,
    )  # fmt: skip
    return msgspec.json.encode(kept)


def feeds(ruleset: RuleSet) -> dict[str, list[tuple[Correlation, tuple[int, ...]]]]:
    """Return, for each rule, the correlations that it feeds, and its places in their lists."""
    out: dict[str, list[tuple[Correlation, tuple[int, ...]]]] = {}
    for correlation in ruleset.correlations:
        listed = ruleset.refers[correlation.about.id]
        for name in dict.fromkeys(listed):
            places = tuple(place for place, other in enumerate(listed) if other == name)
            out.setdefault(name, []).append((correlation, places))
    return out


def silent(ruleset: RuleSet) -> set[str]:
    """Return the rules that only feed correlations: one that does not `generate` keeps those it refers to quiet."""
    return {
        name
        for correlation in ruleset.correlations
        if not correlation.correlating.generate
        for name in ruleset.refers[correlation.about.id]
    }


def gravest_first(hits: Sequence[Hit], feeding: Set[str]) -> Sequence[Hit]:
    """Return an event's hits, those of rules that only feed correlations first (`silent`).

    What a correlation makes of the event is then told first, and what a single rule says of it joins that incident.
    """
    return sorted(hits, key=lambda hit: hit.rule.about.id not in feeding) if len(hits) > 1 else hits


def state_key(rule: str, key: Mapping[str, Value]) -> str:
    """Return the name under which a rule's state for a key is kept."""
    return msgspec.json.encode([rule, sorted(key.items())]).decode()


def group_of(correlation: Correlation, names: frozenset[str], fields: Mapping[str, Value]) -> dict[str, Value] | None:
    """Return the group's fields with their values, or None where one is missing: there is no group of the unknown."""
    aliases = {alias: dict(pairs) for alias, pairs in correlation.correlating.aliases}
    out: dict[str, Value] = {}
    for name in correlation.correlating.group_by:
        if name in aliases:
            value = fields.get(next((real for rule, real in aliases[name].items() if rule in names), name))
        else:
            value = fields.get(name)
        if value is None or value == []:
            return None
        out[name] = value
    return out


def measured(correlation: Correlation, places: tuple[int, ...], cause: Seen, fields: Mapping[str, Value]) -> Seen:
    """Return the cause with what the correlation takes of its event: its condition's fields."""
    limits = correlation.correlating.limits
    values = [fields.get(name) for name in (limits.fields if limits else ())]
    flat = [one[0] if isinstance(one, list) and one else None if isinstance(one, list) else one for one in values]
    number = number_of(flat[0]) if flat else None
    return replace(cause, places=places, values=tuple(map(text_of, flat)), number=number)
