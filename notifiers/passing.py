"""Passing: what time alone makes happen. Pure; timers run on the moments that are passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from notifiers.digest import Gathering, merged
from notifiers.fates import Fates, step_of
from notifiers.incident import Digest, Entry, Incident, Line, Send, What, ends_at
from notifiers.view import headline

_LOOK: Final = timedelta(seconds=1)


class Passing:
    """Looks at the ledger's heaps: what is not due costs nothing."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self._ledger = fates.ledger
        self._looked: datetime | None = None  # when it was last asked whether what keeps incidents quiet has ended

    def due(self, now: datetime) -> Iterator[Entry]:
        """Yield what is due. Each entry must be applied before the next is asked for."""
        yield from self._complete(now)
        yield from self._expired(now)
        yield from self._awake(now)
        yield from self._reminded(now)
        yield from self._unmuted(now)
        yield from self._merged(now)

    def _complete(self, now: datetime) -> Iterator[Entry]:
        """Tell what was gathered. What would be a storm by itself is told in one."""
        due: dict[str, dict[str, Gathering]] = {}
        for (receiver, name), gathered in self._ledger.gathered.items():
            if gathered.deadline() <= now:
                due.setdefault(receiver, {})[name] = gathered
        for receiver, found in due.items():
            many = len(found) > 1 and len(found) + self._ledger.lately(receiver, now) > self._fates.policy.storm
            for names in [tuple(found)] if many else [(name,) for name in found]:
                yield Entry(time=now, intended=(_together(receiver, {name: found[name] for name in names}),))

    def _expired(self, now: datetime) -> Iterator[Entry]:
        heap, ttl = self._ledger.ends, self._fates.policy.ttl
        while heap and heap[0][0] <= now:
            _, key = heapq.heappop(heap)
            incident = self._ledger.incidents.get(key)
            if incident is None or incident.state == "resolved":
                continue
            if ends_at(incident, ttl) <= now:
                yield Entry(time=now, transition=step_of(incident, "expired"))
            else:
                heapq.heappush(heap, (ends_at(incident, ttl), key))

    def _awake(self, now: datetime) -> Iterator[Entry]:
        heap = self._ledger.sleepers
        while heap and heap[0][0] <= now:
            at, key = heapq.heappop(heap)
            incident = self._ledger.incidents.get(key)
            if incident and incident.state == "snoozed" and incident.until == at:
                yield self._again(incident, "awake", now, at)

    def _reminded(self, now: datetime) -> Iterator[Entry]:
        heap = self._ledger.reminders
        while heap and heap[0][0] <= now:
            at, key = heapq.heappop(heap)
            incident = self._ledger.incidents.get(key)
            if incident and incident.state == "triggered" and incident.remind == at and incident.heard:
                yield self._again(incident, "reminded", now, at)

    def _unmuted(self, now: datetime) -> Iterator[Entry]:
        """What kept a condition quiet has ended, and the condition has not: whoever did not hear of it hears now."""
        if self._looked is not None and now - self._looked < _LOOK:
            return
        self._looked = now
        for key in list(self._ledger.quiet):
            incident = self._ledger.incidents[key]
            if incident.state != "triggered" or incident.alert.rule.kind != "condition":
                continue
            entry = self._again(incident, "unmuted", now, now)
            if entry.transition and any(fate.how != "muted" for fate in entry.transition.fates.values()):
                yield entry

    def _merged(self, now: datetime) -> Iterator[Entry]:
        """What waits for a service that is away becomes one message, so that it is not flooded when it is back."""
        for receiver, waiting in list(self._ledger.waiting()):
            if len(waiting) > self._fates.policy.merge:
                digest = merged([part for one in waiting for part in self._gathered(one.send, now)])
                names = tuple(one.send.id for one in waiting)
                name = f"storm:{receiver}:waited:{now.isoformat()}"
                yield Entry(
                    time=now, intended=(Send(id=name, receiver=receiver, kind="storm", digest=digest, merged=names),)
                )

    def _gathered(self, send: Send, now: datetime) -> Iterator[Digest | Gathering]:
        if send.digest is not None:
            yield send.digest
            return
        incident = self._ledger.by_id(send.incident or "")
        alert = send.alert or (incident.alert if incident else None)
        if alert is None:
            return
        word = "" if send.kind == "page" else f"{send.kind.upper()}: "
        one = Gathering("storm", now, now, now, first=alert.time, last=alert.time)
        line = Line(incident=send.incident or "", time=alert.time, level=alert.rule.level, text=word + headline(alert))
        one.add(word + alert.rule.title, line, now)
        yield one

    def _again(self, incident: Incident, what: What, now: datetime, tick: datetime) -> Entry:
        transition, intended = self._fates.again(incident, what, now, tick)
        return Entry(time=now, transition=transition, intended=tuple(intended))


def _together(receiver: str, found: Mapping[str, Gathering]) -> Send:
    first = next(iter(found.values()))
    kind = first.kind if len(found) == 1 else "storm"
    send = Send(
        id=f"{kind}:{receiver}:{next(iter(found))}:{first.began.isoformat()}",
        receiver=receiver,
        kind=kind,
        digest=merged(list(found.values())),
        gathered=tuple(found),
    )
    if kind in ("group", "storm") and len(first.incidents) == len(found) == 1:
        (incident,) = first.incidents
        return send.model_copy(update={"kind": "page", "incident": incident, "digest": None})
    return send
