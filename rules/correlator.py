"""The one place that decides: matches and verdicts in, alerts out. All state is by key, and can be handed over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

import msgspec

from rules import sigma
from rules.alert import Alert, Proof, Rule, Step, alert_id
from rules.alerting import DEFAULT_KEY
from rules.correlation import LATENESS, Episode, Group, Track
from rules.evaluate import fields_of
from rules.event import Value
from rules.match import Marker, Match, Record, Verdict
from rules.matcher import key_values
from rules.ruleset import RuleSet
from rules.values import number_of, text_of
from rules.window import Seen

Cause: TypeAlias = Match | Verdict


class Held(msgspec.Struct, tag="held"):
    """A condition on a key that holds: pending until it held long enough, then firing."""

    rule: str
    meaning: str
    first: Verdict  # what made it hold
    firing: bool = False


class Grouped(msgspec.Struct, tag="group"):
    """A correlation's group: its matches that may still matter, and its open episode."""

    rule: str
    meaning: str
    key: str
    recent: list[Seen]
    open: Episode | None


State: TypeAlias = Held | Grouped
_STATE: msgspec.json.Decoder[State] = msgspec.json.Decoder(State)


@dataclass(slots=True)
class Correlator:
    """Feeds on the records of audit.matches in their order. The same records give the same alerts (law 3)."""

    ruleset: RuleSet
    engine: str
    clock: datetime | None = None  # the least marker: everything before it is judged
    _held: dict[str, Held] = field(default_factory=dict)
    _groups: dict[str, Group] = field(default_factory=dict)
    _group_rule: dict[str, str] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _documents: dict[str, sigma.Rule | sigma.Correlation] = field(default_factory=dict)
    _feeds: dict[str, list[tuple[sigma.Correlation, int]]] = field(default_factory=dict)
    _silent: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._documents.update((rule.about.id, rule) for rule in self.ruleset.rules)
        self._documents.update((one.about.id, one) for one in self.ruleset.correlations)
        for correlation in self.ruleset.correlations:
            for place, name in enumerate(self.ruleset.refers[correlation.about.id]):
                self._feeds.setdefault(name, []).append((correlation, place))
                if not correlation.correlating.generate:
                    self._silent.add(name)

    def feed(self, record: Record, clock: datetime | None = None) -> list[Alert]:
        """Take the next record; `clock` is the least marker as the caller knows it (None: not known yet)."""
        out = self._advance(clock)
        if isinstance(record, Marker):
            return out
        document = self._documents.get(record.rule)
        if document is None or isinstance(document, sigma.Correlation) or document.missing:
            return out  # a rule that is no longer there
        if isinstance(record, Verdict):
            return out + self._verdict(document, record)
        if record.rule not in self._silent:
            out.append(self._fired(document, record))
        return out + self._correlated(record)

    # Events

    def _fired(self, rule: sigma.Rule, match: Match) -> Alert:
        key = key_values(rule.alerting.key or DEFAULT_KEY, match.fields)
        return self._alert(rule, "fired", match, key, match.event)

    def _alert(
        self, document: sigma.Rule | sigma.Correlation, step: Step, cause: Cause, key: dict[str, Value], first: str
    ) -> Alert:
        return Alert(
            step=step,
            id=alert_id(document.about.id, key, first),
            rule=told(document),
            key=key,
            time=cause.time,
            since=cause.time,
            received=cause.received,
            old=cause.old,
            fields=cause.fields,
            proof=self._proof(document, (cause.event,)),
        )

    def _proof(self, document: sigma.Rule | sigma.Correlation, events: tuple[str, ...]) -> Proof:
        lists = document.lists if isinstance(document, sigma.Rule) else frozenset[str]()
        reads = sorted(fields_of(document.predicate)) if isinstance(document, sigma.Rule) else ()
        return Proof(
            rule_hash=document.about.meaning,
            engine=self.engine,
            lists={name: self.ruleset.lists[name] for name in sorted(lists) if name in self.ruleset.lists},
            events=events,
            count=len(events),
            fields=tuple(reads),
        )

    # Conditions

    def _verdict(self, rule: sigma.Rule, verdict: Verdict) -> list[Alert]:
        place = state_key(verdict.rule, verdict.key)
        held = self._held.get(place)
        out = self._ripe([place], verdict.time, by_event_time=True) if held is not None else []
        if verdict.state == "holds":
            if held is None:
                self._keep(place, Held(verdict.rule, verdict.meaning, verdict))
                out += self._ripe([place], verdict.time, by_event_time=True)
        elif held is not None and (verdict.state == "clear" or not held.firing):
            if held.firing:
                resolved = self._alert(rule, "resolved", verdict, verdict.key, held.first.event)
                out.append(resolved.model_copy(update={"since": held.first.time}))
            self._keep(place, None)
        return out

    def _ripe(self, places: Iterable[str], now: datetime, *, by_event_time: bool) -> list[Alert]:
        """Fire what was pending for long enough: by the events' own time, or by the clock since it was read."""
        out: list[Alert] = []
        for place in places:
            held = self._held[place]
            rule = self._documents.get(held.rule)
            if held.firing or not isinstance(rule, sigma.Rule):
                continue
            since = held.first.time if by_event_time else held.first.appended
            if now - since >= rule.alerting.hold:
                held.firing = True
                self._changed.add(place)
                out.append(self._alert(rule, "fired", held.first, held.first.key, held.first.event))
        return out

    def _keep(self, place: str, held: Held | None) -> None:
        if held is None:
            self._held.pop(place, None)
        else:
            self._held[place] = held
        self._changed.add(place)

    # Correlations

    def _correlated(self, match: Match) -> list[Alert]:
        out: list[Alert] = []
        for correlation, place in self._feeds.get(match.rule, ()):
            found = self._seen(correlation, place, match)
            if found is None:
                continue
            key, seen = found
            group = self._group(correlation, state_key(correlation.about.id, key))
            for episode in group.feed(seen):
                out.append(self._episode(correlation, key, episode, match))
        return out

    def _group(self, correlation: sigma.Correlation, place: str) -> Group:
        self._changed.add(place)
        self._group_rule[place] = correlation.about.id
        if place not in self._groups:
            self._groups[place] = Group(Track(correlation.correlating))
        return self._groups[place]

    def _seen(self, correlation: sigma.Correlation, place: int, match: Match) -> tuple[dict[str, Value], Seen] | None:
        key = group_of(correlation, self._documents[match.rule].about.names, match.fields)
        if key is None:
            return None
        return key, measured(
            correlation, (place,), Seen(match.time, match.event, appended=match.appended), match.fields
        )

    def _episode(self, correlation: sigma.Correlation, key: dict[str, Value], episode: Episode, match: Match) -> Alert:
        alert = self._alert(correlation, "fired", match, key, episode.first)
        limits = correlation.correlating.limits
        values: dict[str, Value] = {"value": episode.value}
        values.update(limits.ops if limits else ())
        proof = alert.proof.model_copy(
            update={
                "events": episode.events,
                "count": episode.count,
                "digest": episode.digest,
                "window_start": episode.last - correlation.correlating.timespan,
                "window_end": episode.last,
                "values": values,
            }
        )
        return alert.model_copy(update={"since": episode.since, "proof": proof})

    # Time and state

    def _advance(self, clock: datetime | None) -> list[Alert]:
        if clock is None or (self.clock is not None and clock <= self.clock):
            return []
        self.clock = clock
        for place, group in list(self._groups.items()):
            group.forget(clock - group.track.asks.timespan - LATENESS)
            if group.idle:
                del self._groups[place]
                self._changed.add(place)
        return self._ripe(list(self._held), clock, by_event_time=False)

    def changed(self) -> dict[str, bytes]:
        """Return the state of every key that changed since the last call; empty bytes: the key is gone."""
        out = {place: self._state(place) for place in self._changed}
        self._changed.clear()
        return out

    def _state(self, place: str) -> bytes:
        if place in self._held:
            return msgspec.json.encode(self._held[place])
        group = self._groups.get(place)
        if group is None:
            return b""
        rule = self._group_rule[place]
        meaning = self._documents[rule].about.meaning
        return msgspec.json.encode(Grouped(rule, meaning, place, group.recent, group.track.open))

    def reloaded(self, ruleset: RuleSet) -> Correlator:
        """Return a correlator for another rule set that goes on where this one stands."""
        out = Correlator(ruleset, self.engine, self.clock)
        out.restore({place: self._state(place) for place in (*self._held, *self._groups)})
        return out

    def restore(self, states: Mapping[str, bytes]) -> None:
        """Take over what `changed` gave; a rule whose meaning changed begins anew."""
        for place, state in states.items():
            found = _STATE.decode(state)
            document = self._documents.get(found.rule)
            if document is None or document.about.meaning != found.meaning:
                continue
            if isinstance(found, Held):
                self._held[place] = found
            elif isinstance(document, sigma.Correlation):
                self._groups[place] = Group.restored(document.correlating, found.recent, found.open)
                self._group_rule[place] = found.rule


def state_key(rule: str, key: Mapping[str, Value]) -> str:
    """Return the name under which a rule's state for a key is kept."""
    return msgspec.json.encode([rule, sorted(key.items())]).decode()


def group_of(
    correlation: sigma.Correlation, names: frozenset[str], fields: Mapping[str, Value]
) -> dict[str, Value] | None:
    """Return the group's fields with their values, or None where one is missing: there is no group of the unknown."""
    aliases = {alias: dict(pairs) for alias, pairs in correlation.correlating.aliases}
    out: dict[str, Value] = {}
    for name in correlation.correlating.group_by:
        if name in aliases:
            field_name = next((real for rule, real in aliases[name].items() if rule in names), None)
            value = fields.get(field_name) if field_name is not None else None
        else:
            value = fields.get(name)
        if value is None or value == []:
            return None
        out[name] = value
    return out


def measured(correlation: sigma.Correlation, places: tuple[int, ...], cause: Seen, fields: Mapping[str, Value]) -> Seen:
    """Return the cause with what the correlation takes of its event: its condition's fields."""
    limits = correlation.correlating.limits
    values = [fields.get(name) for name in (limits.fields if limits else ())]
    flat = [one[0] if isinstance(one, list) and one else None if isinstance(one, list) else one for one in values]
    number = number_of(flat[0]) if flat else None
    return replace(cause, places=places, values=tuple(map(text_of, flat)), number=number)


def told(document: sigma.Rule | sigma.Correlation) -> Rule:
    """Return what an alert says of its rule."""
    about, alerting = document.about, document.alerting
    return Rule(
        id=about.id,
        title=about.title,
        level=about.level,
        kind=alerting.kind,
        urgency=alerting.urgency,
        tell=alerting.tell,
        runbook=alerting.runbook,
        description=about.description,
        tags=about.tags,
    )
