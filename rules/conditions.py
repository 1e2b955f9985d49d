"""Conditions on a key: clear -> pending -> firing -> clear, with `for`. Between holding and clear, firing goes on.

| state   | holds            | between | clear    | held for long enough |
|---------|------------------|---------|----------|----------------------|
| clear   | pending          | clear   | clear    |                      |
| pending | pending          | clear   | clear    | firing: fired        |
| firing  | firing           | firing  | clear: resolved |               |

What is unknown (no reading, a field missing) is no verdict, and changes nothing; nor does a verdict older than one that
was heard: a worker that lost a partition may still have said it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from rules.alert import Alert
from rules.event import Value
from rules.match import Verdict
from rules.sigma import Rule
from rules.telling import Teller

HEARD_LIMIT: Final = 200_000  # keys whose last verdict's time is kept; forgotten all at once


class Held(msgspec.Struct, tag="held"):
    """A condition that holds on a key: pending, or firing."""

    rule: str
    meaning: str
    first: Verdict  # what made it hold
    firing: bool = False


@dataclass(slots=True)
class Conditions:
    """Every condition that holds, by key."""

    teller: Teller
    held: dict[str, Held] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    _pending: dict[str, Rule] = field(default_factory=dict)
    _heard: dict[str, datetime] = field(default_factory=dict)

    def feed(self, rule: Rule, place: str, verdict: Verdict) -> list[Alert]:
        """Take a verdict; what held for long enough by the events' own time fires first."""
        if self._is_stale(place, verdict.time):
            return []
        out = self._ripe(place, rule, verdict.time, by_event_time=True)
        held = self.held.get(place)
        if verdict.state == "holds" and held is None:
            self.held[place] = Held(verdict.rule, verdict.meaning, verdict)
            self._pending[place] = rule
            self.changed.add(place)
            return out + self._ripe(place, rule, verdict.time, by_event_time=True)
        if held is not None and (verdict.state == "clear" or (verdict.state == "between" and not held.firing)):
            self._let_go(place)
            if held.firing:
                resolved = self.teller.alert(rule, "resolved", verdict, verdict.key, held.first.event)
                out.append(resolved.model_copy(update={"since": held.first.time}))
        return out

    def _is_stale(self, place: str, moment: datetime) -> bool:
        if moment < self._heard.get(place, moment):
            return True
        if len(self._heard) >= HEARD_LIMIT:
            self._heard.clear()
        self._heard[place] = moment
        return False

    def advance(self, clock: datetime) -> list[Alert]:
        """Fire what has been pending for long enough by the stream's clock, since it was read."""
        return [
            alert
            for place, rule in list(self._pending.items())
            for alert in self._ripe(place, rule, clock, by_event_time=False)
        ]

    def restore(self, place: str, held: Held, rule: Rule) -> None:
        self.held[place] = held
        if not held.firing:
            self._pending[place] = rule

    def _let_go(self, place: str) -> None:
        del self.held[place]
        self._pending.pop(place, None)
        self.changed.add(place)

    def _ripe(self, place: str, rule: Rule, now: datetime, *, by_event_time: bool) -> list[Alert]:
        if place not in self._pending:
            return []
        held = self.held[place]
        since = held.first.time if by_event_time else held.first.appended
        if now - since < rule.alerting.hold:
            return []
        held.firing = True
        del self._pending[place]
        self.changed.add(place)
        key: dict[str, Value] = held.first.key
        return [self.teller.alert(rule, "fired", held.first, key, held.first.event)]
