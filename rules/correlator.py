"""The one place that decides: matches and verdicts in, alerts out. All state is by key, and can be handed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from rules import sigma
from rules.alert import Alert
from rules.alerting import DEFAULT_KEY
from rules.conditions import Conditions, Held
from rules.groups import Grouped, Groups, silent, state_key
from rules.match import Marker, Match, Record, Verdict
from rules.matcher import key_values
from rules.ruleset import RuleSet
from rules.telling import Teller

STEP: Final = timedelta(seconds=1)  # of the clock: what waits for time to pass is asked no more often
State: TypeAlias = Held | Grouped
_STATE: msgspec.json.Decoder[State] = msgspec.json.Decoder(State)


@dataclass(slots=True)
class Correlator:
    """Feeds on the records of audit.matches in their order. The same records give the same alerts (law 3)."""

    ruleset: RuleSet
    engine: str
    clock: datetime | None = None  # the least marker: everything before it is judged
    _rules: dict[str, sigma.Rule] = field(init=False)
    _correlations: dict[str, sigma.Correlation] = field(init=False)
    _silent: set[str] = field(init=False)
    _conditions: Conditions = field(init=False)
    _groups: Groups = field(init=False)
    _teller: Teller = field(init=False)

    def __post_init__(self) -> None:
        self._teller = Teller.of(self.ruleset, self.engine)
        self._rules = {rule.about.id: rule for rule in self.ruleset.rules if not rule.missing}
        self._correlations = {one.about.id: one for one in self.ruleset.correlations}
        self._silent = silent(self.ruleset)
        self._conditions = Conditions(self._teller)
        self._groups = Groups(self.ruleset, self._teller)

    def feed(self, record: Record, clock: datetime | None = None) -> list[Alert]:
        """Take the next record; `clock` is the least marker as the caller knows it (None: not known yet)."""
        out = self._advance(clock)
        if isinstance(record, Marker):
            return out + self._groups.look(record.up_to)
        rule = self._rules.get(record.rule)
        if rule is None:
            return out  # it is no longer there
        if isinstance(record, Verdict):
            return out + self._conditions.feed(rule, state_key(record.rule, record.key), record)
        if record.rule not in self._silent:
            out.append(self._fired(rule, record))
        return out + self._groups.feed(record)

    def _fired(self, rule: sigma.Rule, match: Match) -> Alert:
        key = key_values(rule.alerting.key or DEFAULT_KEY, match.fields)
        return self._teller.alert(rule, "fired", match, key, match.event)

    def _advance(self, clock: datetime | None) -> list[Alert]:
        if clock is None or (self.clock is not None and clock - self.clock < STEP):
            return []
        self.clock = clock
        return self._conditions.advance(clock) + self._groups.advance(clock)

    @property
    def evicted(self) -> int:
        """How many groups were let go before their time, for want of room, and not yet told."""
        return sum(self._groups.evicted.values())

    def changed(self) -> dict[str, bytes]:
        """Return the state of every key that changed since the last call; empty bytes: the key is gone."""
        out = {place: self._state(place) for place in self._conditions.changed | self._groups.changed}
        self._conditions.changed.clear()
        self._groups.changed.clear()
        return out

    def let_go(self) -> dict[str, int]:
        """Return how many keys were let go of each rule for want of room since the last call: loss is a number."""
        out = self._conditions.evicted | self._groups.evicted
        self._conditions.evicted, self._groups.evicted = {}, {}
        titles = {one.about.id: one.about.title for one in self.ruleset.rules}
        titles |= {one.about.id: one.about.title for one in self.ruleset.correlations}
        return {titles[one]: count for one, count in out.items()}

    def _state(self, place: str) -> bytes:
        held = self._conditions.held.get(place)
        return msgspec.json.encode(held) if held is not None else self._groups.state(place)

    def reloaded(self, ruleset: RuleSet) -> Correlator:
        """Return a correlator for another rule set that goes on where this one stands."""
        out = Correlator(ruleset, self.engine, self.clock)
        out.restore({place: self._state(place) for place in self._places()})
        # What was not yet given by `changed`, and what is no longer kept, is still to be given.
        out._groups.changed |= self._conditions.changed | self._groups.changed | (self._places() - out._places())
        return out

    def _places(self) -> set[str]:
        return {*self._conditions.held, *self._groups.places()}

    def restore(self, states: Mapping[str, bytes]) -> None:
        """Take over what `changed` gave; a rule whose meaning changed begins anew."""
        for place, state in states.items():
            found = _STATE.decode(state)
            if isinstance(found, Held):
                rule = self._rules.get(found.rule)
                if rule is not None and rule.about.meaning == found.meaning:
                    self._conditions.restore(place, found, rule)
            else:
                correlation = self._correlations.get(found.rule)
                if correlation is not None and correlation.about.meaning == found.meaning:
                    self._groups.restore(place, found, correlation)
