"""Ledger: all that the notifier knows, rebuilt from `audit.incidents` alone.

Decisions are made once and written down; `apply` is the only way in which the ledger changes, so that a successor
who replays the log stands exactly where the one before stood, and decides nothing anew. No clock, no I/O: `now` is
passed in, and `deadline` says when to come back.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from notifiers.delivery import Down, Pending, Try, Wait, after, following, rest
from notifiers.digest import Gathering, gathering
from notifiers.incident import (
    TABLE,
    Answer,
    Cause,
    Entry,
    Held,
    Incident,
    Kind,
    Line,
    Send,
    Transition,
    What,
    advance,
    happened,
    key_of,
    mark_of,
    slim,
    tell_values,
    unheard,
)
from notifiers.render import LATE, headline
from notifiers.route import Route, receivers_of
from rules.alert import Alert

TTL: Final = timedelta(hours=4)  # an event's incident ends when nothing more happened for so long


class Ledger:
    """Every incident by its key, and every message that is still owed. Serves one thread."""

    def __init__(self, route: Route, ttl: timedelta = TTL) -> None:
        self._route = route
        self._ttl = ttl
        self.incidents: dict[str, Incident] = {}
        self.positions: dict[str, int] = {}  # topic -> offset after the last record that caused an entry
        self._past: dict[str, Incident] = {}  # earlier occurrences of which somebody is still owed a message
        self._keys: dict[str, str] = {}  # incident id -> key
        self._marks: set[str] = set()
        self._owed: dict[str, dict[str, Pending]] = {}  # receiver -> send id -> what it must still get, in order
        self._receipts: dict[tuple[str, str, int], str] = {}
        self._down: dict[str, dict[int, Down]] = {}
        self._held: dict[tuple[str, Held], Gathering] = {}
        self._ends: list[tuple[datetime, str]] = []  # heap: when an event's incident may expire

    def by_id(self, incident: str) -> Incident | None:
        key = self._keys.get(incident)
        found = self.incidents.get(key) if key else None
        return found if found is not None and found.id == incident else self._past.get(incident)

    def failures(self, send: Send) -> Sequence[str]:
        """Return how this send failed on the receiver's other channels."""
        pending = self._owed.get(send.receiver, {}).get(send.id)
        return [said for channel, said in pending.failures.items() if channel != send.channel] if pending else []

    def receipt(self, send: Send) -> str | None:
        """Return the receipt of the incident's last message on the channel that this send will use."""
        return self._receipts.get((send.incident or "", send.receiver, send.channel))

    def owed(self) -> Sequence[Pending]:
        return tuple(pending for sends in self._owed.values() for pending in sends.values())

    # Deciding: what should be written down. Nothing here changes the ledger.

    def judge(self, alert: Alert, cause: Cause, now: datetime) -> Entry | None:
        """Return what this alert means, or None where it changes nothing."""
        mark = mark_of(alert)
        receivers = receivers_of(self._route, alert)
        if mark in self._marks or not receivers:
            return None
        key = key_of(alert)
        incident = self.incidents.get(key)
        held = self._holds(alert, now)
        known = any(f"{name}/fired" in self._marks for name in (alert.id, *alert.replaces))
        what = happened(incident, alert, known=known, held=held is not None)
        step = what and TABLE.get((incident.state if incident else None, what))
        if not what or not step:
            return None
        state, kind = step
        occurrence = (incident.occurrence if incident else 0) + (what == "fired")
        opens = incident is None or what == "fired"
        transition = Transition(
            incident=f"{key}-{occurrence}",
            key=key,
            occurrence=occurrence,
            what=what,
            state=state,
            alert_id=alert.id,
            mark=mark,
            event_time=alert.time,
            replaces=alert.replaces,
            told={} if held else _told(None if opens else incident, alert),
            alert=slim(alert) if kind or held else None,
            held=held,
            receivers=receivers if opens or incident is None else _union(incident.receivers, receivers),
        )
        sends = () if held or not self._is_told(incident, kind) else _sends(transition, kind, cause)
        return Entry(time=now, cause=cause, transition=transition, intended=sends)

    def _holds(self, alert: Alert, now: datetime) -> Held | None:
        """Old news is told as old (law 9); a critical alert that comes late goes out at once, and says so."""
        if alert.step not in ("fired", "updated"):
            return None
        if alert.old:
            return "digest"
        return "catchup" if now - alert.time > LATE and alert.rule.level != "critical" else None

    @staticmethod
    def _is_told(incident: Incident | None, kind: Kind | None) -> bool:
        """The end is told to whoever heard of the beginning."""
        if kind != "resolved" or incident is None:
            return kind is not None
        return incident.paged or incident.caught_up

    def due(self, now: datetime) -> Iterator[Entry]:
        """Return what time alone makes happen: digests that are complete, incidents that end by themselves."""
        for (receiver, held), gathered in self._held.items():
            if gathered.deadline() <= now:
                name = f"{held}:{receiver}:{gathered.began.isoformat()}"
                send = Send(id=name, receiver=receiver, kind=held, digest=gathered.digest())
                yield Entry(time=now, intended=(send,))
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            incident = self.incidents[key]
            if incident.state == "resolved":
                continue
            if incident.last + self._ttl <= now:
                yield Entry(time=now, transition=_by_time(incident, "expired"))
            else:
                heapq.heappush(self._ends, (incident.last + self._ttl, key))

    def deadline(self) -> datetime | None:
        """Return when `due` must be asked next."""
        times = [gathered.deadline() for gathered in self._held.values()] + [end for end, _ in self._ends[:1]]
        return min(times, default=None)

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

    def orphans(self) -> Sequence[Send]:
        """Return the attempts that may have been under way when the one before stopped.

        A receiver gets one message at a time, in order: what stands behind the first open one was never begun.
        """
        firsts = (next((one.send for one in sends.values() if one.open), None) for sends in self._owed.values())
        return tuple(send for send in firsts if send is not None)

    # Applying: the only way in which the ledger changes, live and replayed.

    def apply(self, entry: Entry) -> None:
        if entry.cause:
            self.positions[entry.cause.topic] = entry.cause.offset + 1
        if entry.transition:
            self._transit(entry.transition, entry.time)
        for send in entry.intended:
            self._intend(send, entry.time)
        if entry.answered:
            self._answer(entry.answered, entry.time)

    def _transit(self, step: Transition, time: datetime) -> None:
        before = self.incidents.get(step.key)
        incident = advance(before, step, time)
        if before is not None and before.id != incident.id:
            self._replace(before)
        self.incidents[step.key] = incident
        self._keys[step.incident] = step.key
        if step.mark:
            self._marks.update((step.mark, f"{step.alert_id}/fired"))
        if step.what == "fired" and incident.alert.rule.kind == "event":
            heapq.heappush(self._ends, (incident.last + self._ttl, step.key))
        if step.held and step.alert:
            self._gather(step, step.held, step.alert, time)

    def _replace(self, past: Incident) -> None:
        """Forget an earlier occurrence, unless a message about it is still to be written."""
        self._keys.pop(past.id, None)
        owed = {one.send.incident for one in self.owed()}
        self._past = {name: one for name, one in {**self._past, past.id: past}.items() if name in owed}

    def _gather(self, step: Transition, held: Held, alert: Alert, time: datetime) -> None:
        line = Line(incident=step.incident, time=alert.time, level=alert.rule.level, text=headline(alert))
        for receiver in step.receivers:
            gathered = self._held.setdefault((receiver, held), gathering(alert, time))
            gathered.add(alert, line, time)

    def _intend(self, send: Send, time: datetime) -> None:
        owed = self._owed.setdefault(send.receiver, {})
        known = owed.get(send.id)
        if send.kind in ("digest", "catchup") and known is None:
            self._held.pop((send.receiver, "digest" if send.kind == "digest" else "catchup"), None)
        owed[send.id] = replace(known, send=send, open=True) if known else Pending(send, time, open=True)

    def _answer(self, answer: Answer, time: datetime) -> None:
        owed = self._owed.get(answer.receiver, {})
        pending = owed.get(answer.send)
        down = self._down.setdefault(answer.receiver, {})
        if answer.done:
            owed.pop(answer.send, None)
            down.pop(answer.channel, None)
            if answer.receipt and answer.incident:
                self._receipts[answer.incident, answer.receiver, answer.channel] = answer.receipt
        elif pending is not None:
            owed[answer.send] = after(pending, answer, time)
            if not answer.rejected:
                down[answer.channel] = rest(down.get(answer.channel), answer, time)


def _told(incident: Incident | None, alert: Alert) -> dict[str, tuple[str, ...]]:
    if incident is not None:
        return unheard(incident, alert)
    return {name: tuple(sorted(values)) for name, values in tell_values(alert).items()}


def _union(some: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def _sends(step: Transition, kind: Kind | None, cause: Cause) -> tuple[Send, ...]:
    if kind is None:
        return ()
    return tuple(
        Send(
            id=f"{step.incident}:{kind}:{cause.topic}:{cause.offset}:{receiver}",
            receiver=receiver,
            kind=kind,
            incident=step.incident,
        )
        for receiver in step.receivers
    )


def _by_time(incident: Incident, what: What) -> Transition:
    state, _ = TABLE[incident.state, what]
    return Transition(
        incident=incident.id,
        key=incident.key,
        occurrence=incident.occurrence,
        what=what,
        state=state,
        alert_id="",
        mark="",
        event_time=incident.last,
    )
