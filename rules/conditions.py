"""Conditions on a key: clear -> pending -> firing -> clear, with `for`. Between holding and clear, firing goes on.

| state   | holds            | between | clear    | held for long enough |
|---------|------------------|---------|----------|----------------------|
| clear   | pending          | clear   | clear    |                      |
| pending | pending          | clear   | clear    | firing: fired        |
| firing  | firing           | firing  | clear: resolved |               |

**Absence** (`alert.absent`): each event that matches says that its key is there, clears it, and sets it pending anew.
It fires once the stream's clock has passed the last one by so long; but for heartbeats themselves only if the
heartbeats of that event's source have, too: silence needs evidence, and a host that is silent as a whole is one alert.
Where the clock jumps (nobody was there to append ticks) the waiting begins anew: what was held back has time to come.

What is unknown (no reading, a field missing) is no verdict, and changes nothing; nor does a verdict older than one that
was heard: a worker that lost a partition may still have said it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import msgspec

from rules.alert import Alert
from rules.event import Value
from rules.match import Verdict
from rules.sigma import Rule
from rules.telling import Teller

GAP: Final = timedelta(seconds=30)  # in the stream's clock: more than any round of judging takes
HEARTBEATS: Final = "heartbeat"  # the service whose events are heartbeats
SILENCE: Final = "silence in seconds"  # what the proof of an absence measures
HELD_LIMIT: Final = 200_000  # keys of all conditions that hold, or are waited for; those heard of longest ago go
_LOOKS: Final = 100  # of them, among which one is sought that is not firing
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
    held: OrderedDict[str, Held] = field(default_factory=OrderedDict)
    evicted: dict[str, int] = field(default_factory=dict)  # rule -> keys let go for want of room
    changed: set[str] = field(default_factory=set)
    _pending: dict[str, Rule] = field(default_factory=dict)
    _heard: dict[str, datetime] = field(default_factory=dict)
    _beats: dict[tuple[str, str], datetime] = field(default_factory=dict)  # host, source -> is read up to
    _clock: datetime | None = None
    _resumed: datetime | None = None  # when the clock last jumped

    def feed(self, rule: Rule, place: str, verdict: Verdict) -> list[Alert]:
        """Take a verdict; what held for long enough by the events' own time fires first."""
        self._beat(rule, verdict)
        if self._is_stale(place, verdict.time):
            return []
        if verdict.state == "there":
            return self._there(rule, place, verdict)
        out = self._ripe(place, rule, verdict.time, by_event_time=True)
        held = self.held.get(place)
        if verdict.state == "holds" and held is None:
            self._hold(rule, place, verdict)
            return out + self._ripe(place, rule, verdict.time, by_event_time=True)
        if held is not None and (verdict.state == "clear" or (verdict.state == "between" and not held.firing)):
            self._let_go(place)
            if held.firing:
                out.append(self._resolved(rule, verdict, held))
        return out

    def _there(self, rule: Rule, place: str, verdict: Verdict) -> list[Alert]:
        """Set the key pending anew; what had fired is resolved."""
        held = self.held.get(place)
        self._hold(rule, place, verdict)
        return [self._resolved(rule, verdict, held)] if held is not None and held.firing else []

    def _hold(self, rule: Rule, place: str, verdict: Verdict) -> None:
        self.held[place] = Held(verdict.rule, verdict.meaning, verdict)
        self.held.move_to_end(place)
        self._pending[place] = rule
        self.changed.add(place)
        if len(self.held) > HELD_LIMIT:
            oldest = list(islice(self.held.items(), _LOOKS))
            gone, one = next((pair for pair in oldest if not pair[1].firing), oldest[0])
            self.evicted[one.rule] = self.evicted.get(one.rule, 0) + 1
            self._let_go(gone)

    def _beat(self, rule: Rule, verdict: Verdict) -> None:
        if rule.logsource.service == HEARTBEATS:
            if len(self._beats) >= HEARD_LIMIT:
                self._beats.clear()  # nothing is absent until the next ones
            self._beats[_source(verdict)] = verdict.time

    def _resolved(self, rule: Rule, verdict: Verdict, held: Held) -> Alert:
        resolved = self.teller.alert(rule, "resolved", verdict, verdict.key, held.first.event)
        return resolved.model_copy(update={"since": held.first.time})

    def _is_stale(self, place: str, moment: datetime) -> bool:
        if moment < self._heard.get(place, moment):
            return True
        if len(self._heard) >= HEARD_LIMIT:
            self._heard.clear()
        self._heard[place] = moment
        return False

    def advance(self, clock: datetime) -> list[Alert]:
        """Fire what has been pending for long enough by the stream's clock, since it was read."""
        if self._clock is None or clock - self._clock > GAP:
            self._resumed = clock
        self._clock = clock
        return [
            alert
            for place, rule in list(self._pending.items())
            for alert in self._ripe(place, rule, clock, by_event_time=False)
        ]

    def restore(self, place: str, held: Held, rule: Rule) -> None:
        self.held[place] = held
        self._beat(rule, held.first)
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
        if rule.alerting.absent is not None:
            if not self._is_absent(rule, held.first, rule.alerting.absent, now):
                return []
        elif now - since < rule.alerting.hold:
            return []
        held.firing = True
        del self._pending[place]
        self.changed.add(place)
        key: dict[str, Value] = held.first.key
        alert = self.teller.alert(rule, "fired", held.first, key, held.first.event)
        if rule.alerting.absent is not None:
            return [_with_silence(alert, self._since(held.first), rule.alerting.absent)]
        return [alert]

    def _since(self, last: Verdict) -> datetime:
        return last.appended if self._resumed is None else max(last.appended, self._resumed)

    def _is_absent(self, rule: Rule, last: Verdict, span: timedelta, clock: datetime) -> bool:
        if clock - self._since(last) < span:
            return False
        if rule.logsource.service == HEARTBEATS:
            return True
        beat = self._beats.get(_source(last))
        return beat is not None and beat >= last.time + span


def _with_silence(alert: Alert, since: datetime, span: timedelta) -> Alert:
    """Return the alert with what proves absence: from when to when, by the stream's clock, there was no sign."""
    seconds = span.total_seconds()
    bounds = {"window_start": since, "window_end": since + span}
    values = alert.proof.values | {SILENCE: seconds, f"{SILENCE}|gte": seconds}
    return alert.model_copy(update={"proof": alert.proof.model_copy(update={**bounds, "values": values})})


def _source(verdict: Verdict) -> tuple[str, str]:
    return str(verdict.fields.get("host.id")), str(verdict.fields.get("tocsin.source"))
