"""Ledger: all that the notifier knows, rebuilt from `audit.incidents` alone.

Decisions are made once (notifiers.judge) and written down; `apply` is the only way in which the ledger changes, so
that a successor who replays the log stands exactly where the one before stood, and decides nothing anew.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from notifiers.carry import carried, restored
from notifiers.delivery import Down, Pending, Try, Wait, after, following, rest
from notifiers.digest import Gathering, gathering
from notifiers.incident import Answer, Carried, Entry, Fate, Incident, Line, Send, Transition, advance, ends_at
from notifiers.inhibit import Inhibitor
from notifiers.policy import Policy
from notifiers.route import labels_of
from notifiers.silence import Silences
from notifiers.view import headline
from rules.alert import Alert, Proof, Rule

_MINUTE: Final = timedelta(minutes=1)
_FORGOTTEN: Final = timedelta(days=8)  # longer than a stream keeps its records, unless told otherwise
_OF_ALERT: Final = set(Alert.model_fields)  # which fields are set: pydantic keeps a set for each model, or a shared one
_OF_PROOF: Final = set(Proof.model_fields)
_COUNTED: Final = ("page", "news", "graver", "reopened", "resolved", "group", "storm")  # what counts towards a storm


class Ledger:
    """Every incident by its key, and every message that is still owed. Serves one thread."""

    def __init__(self, policy: Policy) -> None:
        self.ttl = policy.ttl
        self.incidents: dict[str, Incident] = {}
        self.silences = Silences()
        self.inhibitor = Inhibitor(policy.inhibit)
        self.positions: dict[str, int] = {}  # topic -> offset after the last record that caused an entry
        self.gathered: dict[tuple[str, str], Gathering] = {}  # (receiver, name) -> what will be told in one
        self.flushed: dict[tuple[str, str], datetime] = {}
        self.quiet: dict[str, None] = {}  # an ordered set: keys of incidents of which somebody was kept from hearing
        self.announced: set[tuple[str, str]] = set()  # (silence, receiver) that were told of each other
        self._keys: dict[str, str] = {}  # incident id -> key
        self._past: dict[str, Incident] = {}  # earlier occurrences of which somebody is still owed a message
        self._marks: dict[str, datetime] = {}  # transitions of alerts that were seen, and when
        self._done: dict[str, datetime] = {}  # sends that arrived, and when
        self._owed: dict[str, dict[str, Pending]] = {}  # receiver -> send id -> what it must still get, in order
        self._receipts: dict[tuple[str, str, int], str] = {}
        self._down: dict[str, dict[int, Down]] = {}
        self._recent: dict[str, deque[datetime]] = {}  # receiver -> when its last messages were intended
        self._rules: dict[tuple[str, str], Rule] = {}
        self.ends: list[tuple[datetime, str]] = []  # heaps: when an event's incident may expire,
        self.sleepers: list[tuple[datetime, str]] = []  # when a snoozed one wakes,
        self.reminders: list[tuple[datetime, str]] = []  # and when an unacknowledged one is told again

    # Asking

    def by_id(self, incident: str) -> Incident | None:
        key = self._keys.get(incident)
        found = self.incidents.get(key) if key else None
        return found if found is not None and found.id == incident else self._past.get(incident)

    def knows(self, *marks: str) -> bool:
        """Say whether one of these transitions was seen before."""
        return any(mark in self._marks for mark in marks)

    def lately(self, receiver: str, now: datetime) -> int:
        """Return how many messages were intended for the receiver within the last minute."""
        times = self._recent.get(receiver, deque())
        while times and times[0] <= now - _MINUTE:
            times.popleft()
        return len(times)

    def receipt(self, send: Send) -> str | None:
        """Return the receipt of the incident's last message on the channel that this send will use."""
        return self._receipts.get((send.incident or "", send.receiver, send.channel))

    def failures(self, send: Send) -> Sequence[str]:
        """Return how this send failed on the receiver's other channels."""
        pending = self._owed.get(send.receiver, {}).get(send.id)
        return [said for channel, said in pending.failures.items() if channel != send.channel] if pending else []

    def owed(self) -> Iterator[Pending]:
        return (pending for sends in self._owed.values() for pending in sends.values())

    def waiting(self) -> Iterator[tuple[str, Sequence[Pending]]]:
        """Yield each receiver whose service is away, with what waits behind the first message that it is owed."""
        for receiver, sends in self._owed.items():
            if self._down.get(receiver) and len(sends) > 1:
                first = _first(sends.values(), 2**31)
                yield receiver, [one for one in sends.values() if one is not first]

    def down(self) -> Mapping[str, Mapping[int, Down]]:
        """Return the channels that failed last, by receiver."""
        return self._down

    def gathers(self, receiver: str, incident: str) -> tuple[str, Gathering] | None:
        """Return what the receiver will be told in one and this incident is part of, with its name."""
        of_receiver = ((name, one) for (whose, name), one in self.gathered.items() if whose == receiver)
        return next(((name, one) for name, one in of_receiver if incident in one.incidents), None)

    def attempt(self, receiver: str, channels: int, now: datetime) -> Pending | Try | Wait | None:
        """Return what the receiver is owed first: an attempt already written down, one to write down, or a wait.

        Strictly in order, so that an end never overtakes its beginning; what every channel refused stands aside.
        """
        waits: list[datetime] = []
        for pending in self._owed.get(receiver, {}).values():
            if pending.open:
                return pending
            step = following(pending, channels, self._down.get(receiver, {}), now)
            if isinstance(step, Try) or not step.aside:
                return step
            waits.append(step.until)
        return Wait(min(waits)) if waits else None

    def orphans(self, channels: Mapping[str, int]) -> Sequence[Send]:
        """Return the attempts that may have been under way when the one before stopped.

        A receiver gets one message at a time, in order: what stands behind the first was never begun, unless every
        channel had refused that one.
        """
        return tuple(
            first.send
            for receiver, sends in self._owed.items()
            if (first := _first(sends.values(), channels.get(receiver, 1))) is not None and first.open
        )

    # Applying: the only way in which the ledger changes, live and replayed.

    def apply(self, entry: Entry) -> None:
        """Take in one record. Where two notifiers wrote of the same alert (one of them overtaken), the first counts."""
        if entry.transition and entry.transition.mark and self.knows(entry.transition.mark):
            return
        if entry.command and entry.cause and entry.cause.offset < self.positions.get(entry.cause.topic, 0):
            return  # written twice: its first writing was thought to have failed
        if entry.cause:
            self.positions[entry.cause.topic] = max(self.positions.get(entry.cause.topic, 0), entry.cause.offset + 1)
        if entry.silence:
            self.silences.put(entry.silence)
        if entry.carried:
            self._restore(entry.carried)
        if entry.transition:
            self._transit(entry.transition, entry.time)
        for send in entry.intended:
            self._intend(send, entry.time)
        if entry.answered:
            self._answer(entry.answered, entry.time)

    def carry(self, now: datetime) -> Iterator[Entry]:
        """Yield what must outlive the log, and forget what ended long ago."""
        self.incidents = {
            key: one for key, one in self.incidents.items() if one.state != "resolved" or now - one.last < _FORGOTTEN
        }
        self._keys = {one.id: key for key, one in self.incidents.items()}
        self._marks = {mark: seen for mark, seen in self._marks.items() if now - seen < _FORGOTTEN}
        self._done = {send: told for send, told in self._done.items() if now - told < _FORGOTTEN}
        self._receipts = {place: said for place, said in self._receipts.items() if place[0] in self._keys}
        receipts: dict[str, list[tuple[str, int, str]]] = {}
        for (incident, receiver, channel), receipt in self._receipts.items():
            receipts.setdefault(incident, []).append((receiver, channel, receipt))
        for one in self.incidents.values():
            yield Entry(time=now, carried=carried(one, receipts.get(one.id, ())))
        for silence in self.silences.all():
            if silence.ends > now:
                yield Entry(time=now, silence=silence)

    def _restore(self, one: Carried) -> None:
        incident = replace(restored(one), alert=self._shared(one.alert))
        self.incidents[one.key] = incident
        self._keys[one.incident] = one.key
        self._watch(incident)
        if incident.alert.rule.kind == "event" and incident.state != "resolved":
            heapq.heappush(self.ends, (ends_at(incident, self.ttl), one.key))
        if incident.remind is not None:
            heapq.heappush(self.reminders, (incident.remind, one.key))
        if incident.state == "snoozed" and incident.until is not None:
            heapq.heappush(self.sleepers, (incident.until, one.key))
        for receiver, channel, receipt in one.receipts:
            self._receipts[one.incident, receiver, channel] = receipt

    def _transit(self, step: Transition, time: datetime) -> None:
        before = self.incidents.get(step.key)
        if before is None and step.alert is None:
            return  # the log no longer holds how it began
        if step.alert is not None:
            step = step.model_copy(update={"alert": self._shared(step.alert)})
        incident = advance(before, step, time)
        if before is not None and before.id != incident.id:
            self._replace(before)
        self.incidents[step.key] = incident
        self._keys[step.incident] = step.key
        if step.mark:
            self._marks |= {step.mark: time, f"{step.alert_id}/fired": time}
        self._time(step, incident)
        self._watch(incident)
        for receiver, fate in step.fates.items():
            if fate.how == "held" and step.alert:
                self._gather(receiver, fate, step, step.alert, time)

    def _shared(self, alert: Alert) -> Alert:
        """Return the alert with what its like have in common kept once: that is half of its memory."""
        known = self._rules.setdefault((alert.rule.id, alert.rule.level), alert.rule)
        if known != alert.rule:  # the rule was changed since
            self._rules[alert.rule.id, alert.rule.level] = known = alert.rule
        proof = Proof.model_construct(_OF_PROOF, **alert.proof.__dict__)
        return Alert.model_construct(_OF_ALERT, **{**alert.__dict__, "rule": known, "proof": proof})

    def _time(self, step: Transition, incident: Incident) -> None:
        if step.what == "fired" and incident.alert.rule.kind == "event":
            heapq.heappush(self.ends, (ends_at(incident, self.ttl), step.key))
        if step.remind is not None:
            heapq.heappush(self.reminders, (step.remind, step.key))
        if step.until is not None:
            heapq.heappush(self.sleepers, (step.until, step.key))

    def _watch(self, incident: Incident) -> None:
        if incident.state == "resolved":
            self.inhibitor.ends(incident.key)
            self.quiet.pop(incident.key, None)
            return
        if self.inhibitor:
            self.inhibitor.fires(incident.key, labels_of(incident.alert))
        if incident.muted:
            self.quiet[incident.key] = None
        else:
            self.quiet.pop(incident.key, None)

    def _replace(self, past: Incident) -> None:
        """Forget an earlier occurrence, unless a message about it is still to be written."""
        self._keys.pop(past.id, None)
        owed = {one.send.incident for one in self.owed()}
        self._past = {name: one for name, one in {**self._past, past.id: past}.items() if name in owed}

    def _gather(self, receiver: str, fate: Fate, step: Transition, alert: Alert, time: datetime) -> None:
        over = "RESOLVED: " if step.state == "resolved" else ""
        line = Line(incident=step.incident, time=alert.time, level=alert.rule.level, text=over + headline(alert))
        gathered = self.gathered.setdefault((receiver, fate.why), gathering(alert, fate, time))
        gathered.add(over + alert.rule.title, line, time)

    def _intend(self, send: Send, time: datetime) -> None:
        if send.id in self._done:
            return
        owed = self._owed.setdefault(send.receiver, {})
        known = owed.get(send.id)
        merged = [one for name in send.merged if (one := owed.pop(name, None))]
        since = min((one.since for one in merged), default=time)
        owed[send.id] = replace(known, send=send, open=True) if known else Pending(send, since, open=True)
        if known is not None:
            return
        for name in send.gathered:
            if self.gathered.pop((send.receiver, name), None) is not None:
                self.flushed[send.receiver, name] = time
        if send.kind in _COUNTED:
            self._recent.setdefault(send.receiver, deque(maxlen=1000)).append(time)
        if send.kind == "silenced":
            self.announced.add((send.id, send.receiver))

    def _answer(self, answer: Answer, time: datetime) -> None:
        owed = self._owed.get(answer.receiver, {})
        pending = owed.get(answer.send)
        down = self._down.setdefault(answer.receiver, {})
        if answer.done:
            owed.pop(answer.send, None)
            if answer.receipt:
                self._done[answer.send] = time
            down.pop(answer.channel, None)
            if answer.receipt and answer.incident:
                self._receipts[answer.incident, answer.receiver, answer.channel] = answer.receipt
        elif pending is not None:
            owed[answer.send] = after(pending, answer, time)
            if not answer.rejected:
                down[answer.channel] = rest(down.get(answer.channel), answer, time)


def _first(owed: Iterable[Pending], channels: int) -> Pending | None:
    return next((one for one in owed if one.open or len(one.refused) < channels), None)
