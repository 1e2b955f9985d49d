"""Judge: what an alert, a person or time makes happen, each time with a name for why. Pure.

Nothing here changes the ledger: what is returned is written to `audit.incidents` and then applied. For each receiver
an alert is sent, held (told with others) or muted; the policy is the list in `_fate`, read from top to bottom.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from notifiers.digest import LATEST, Gathering, merged
from notifiers.incident import (
    TABLE,
    Cause,
    Entry,
    Fate,
    Incident,
    Kind,
    Send,
    Transition,
    What,
    ends_at,
    happened,
    key_of,
    mark_of,
    slim,
    tell_values,
    unheard,
)
from notifiers.ledger import Ledger
from notifiers.policy import Policy, audience, by_time, group_interval, group_wait
from notifiers.render import LATE
from notifiers.route import Labels, Route, labels_of
from notifiers.silence import Silence, SilenceError, silence
from rules.alert import Alert
from rules.event import Value

_STORM: Final = timedelta(minutes=1)
_LOOK: Final = timedelta(seconds=1)


class CommandError(ValueError):
    """The command cannot be carried out; the message says why."""


class Judge:
    """Decides by one policy over one ledger, which it only reads."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self._policy = policy
        self._ledger = ledger
        self._looked: datetime | None = None  # when it was last asked whether what keeps incidents quiet has ended

    # Alerts

    def alert(self, alert: Alert, cause: Cause, now: datetime) -> Entry | None:
        """Return what this alert means, or None where it changes nothing."""
        labels = labels_of(alert)
        mark = mark_of(alert)
        if self._ledger.knows(mark) or not audience(self._policy, labels):
            return None
        incident = self._ledger.incidents.get(key_of(alert))
        old = _old(alert, now)
        known = self._ledger.knows(*(f"{name}/fired" for name in (alert.id, *alert.replaces)))
        what = happened(incident, alert, known=known, held=old is not None)
        step = what and TABLE.get((incident.state if incident else None, what))
        if not what or not step:
            return None
        fates = self._fates(step[1], alert, incident, labels, now, old)
        if what == "woke" and all(fate.how == "muted" for fate in fates.values()):
            what, fates = "repeated", {}
        return self._entry(alert, cause, what, incident, fates, now)

    def _entry(
        self,
        alert: Alert,
        cause: Cause,
        what: What,
        incident: Incident | None,
        fates: Mapping[str, Fate],
        now: datetime,
    ) -> Entry:
        state, kind = TABLE[incident.state if incident else None, what]
        key = incident.key if incident else key_of(alert)
        occurrence = (incident.occurrence if incident else 0) + (what == "fired")
        heard = any(fate.heard for fate in fates.values())
        transition = Transition(
            incident=f"{key}-{occurrence}",
            key=key,
            occurrence=occurrence,
            what=what,
            state=state,
            alert_id=alert.id,
            mark=mark_of(alert),
            event_time=alert.time,
            replaces=alert.replaces,
            told=_told(None if what == "fired" else incident, alert) if heard and kind != "resolved" else {},
            alert=slim(alert) if kind or fates else None,
            fates=dict(fates),
            remind=self._remind(labels_of(alert), now) if kind in ("page", "graver", "reopened") else None,
        )
        sends = [*_sends(transition, kind, cause), *self._announcements(transition, alert)]
        return Entry(time=now, cause=cause, transition=transition, intended=tuple(sends))

    def _fates(
        self,
        kind: Kind | None,
        alert: Alert,
        incident: Incident | None,
        labels: Labels,
        now: datetime,
        old: Fate | None,
    ) -> dict[str, Fate]:
        """Return what becomes of it for each receiver. The end is told to whoever heard of the beginning."""
        if kind == "resolved":
            return {name: self._end(name, incident, now) for name in sorted(incident.heard)} if incident else {}
        if kind is None and old is None:
            return {}
        mute = self._mute(incident.key if incident else key_of(alert), labels, now)
        fates: dict[str, Fate] = {}
        for route in audience(self._policy, labels):
            fate = mute or self._fate(route, labels, alert, now, old, first=kind == "page")
            if route.receiver not in fates or fates[route.receiver].how == "muted":
                fates[route.receiver] = fate
        for name in sorted(incident.heard - fates.keys()) if incident and kind != "page" and not old else ():
            fates[name] = mute or Fate(how="sent")
        return fates

    def _mute(self, key: str, labels: Labels, now: datetime) -> Fate | None:
        quiet = self._ledger.silences.muting(labels, now)
        if quiet is not None:
            return Fate(how="muted", why=f"silence {quiet.id} by {quiet.person}: {quiet.reason}")
        source = self._ledger.inhibitor.muting(key, labels)
        if source is not None:
            return Fate(how="muted", why=f"inhibited by {self._ledger.incidents[source].id}")
        return None

    def _fate(
        self, route: Route, labels: Labels, alert: Alert, now: datetime, old: Fate | None, *, first: bool
    ) -> Fate:
        if old is not None:
            return old
        interval = by_time(self._policy, route, now)
        if interval:
            return Fate(how="muted", why=interval)
        wait = group_wait(route, alert.rule.urgency)
        if first and wait:
            return self._grouped(route, labels, wait, now)
        return self._stormy(route.receiver, now)

    def _stormy(self, receiver: str, now: datetime) -> Fate:
        """Send it, unless the receiver has had enough within this minute: then the rest comes in one message."""
        gathers = (receiver, "storm") in self._ledger.gathered
        if gathers or self._ledger.lately(receiver, now) >= self._policy.storm:
            return Fate(how="held", why="storm", gathering="storm", until=now + _STORM)
        return Fate(how="sent")

    def _end(self, receiver: str, incident: Incident, now: datetime) -> Fate:
        """The end of what is still to be told with others is told with them, never before the beginning."""
        found = self._ledger.gathers(receiver, incident.id)
        if found is None:
            return self._stormy(receiver, now)
        name, gathered = found
        return Fate(how="held", why=name, gathering=gathered.kind, until=gathered.until)

    def _grouped(self, route: Route, labels: Labels, wait: timedelta, now: datetime) -> Fate:
        """A group's first message waits for `group_wait`, the later ones for the next tick of `group_interval`."""
        name = route.group(labels)
        flushed = self._ledger.flushed.get((route.receiver, name))
        until = now + wait if flushed is None else max(now, flushed + group_interval(route))
        return Fate(how="held", why=name, gathering="group", until=until)

    def _announcements(self, step: Transition, alert: Alert) -> Iterator[Send]:
        """A silence that covers high or critical is announced, once, to those whom it keeps from hearing."""
        if alert.rule.level not in ("high", "critical"):
            return
        for receiver, fate in step.fates.items():
            name = fate.why.partition(" by ")[0]
            send = Send(id=f"{name}:{receiver}", receiver=receiver, kind="silenced", incident=step.incident)
            known = (send.id, receiver) in self._ledger.announced
            if fate.how == "muted" and name.startswith("silence ") and not known:
                yield send

    def _remind(self, labels: Labels, now: datetime) -> datetime | None:
        routes = audience(self._policy, labels)
        every = [route.timing.repeat_interval for route in routes if route.timing.repeat_interval]
        return now + min(every) if every else None

    # People

    def command(
        self, verb: str, person: str, arguments: Mapping[str, Value], cause: Cause, now: datetime
    ) -> Entry | None:
        """Return what a person's command means; None for a verb that is not the notifier's. Raises CommandError."""
        whats: Mapping[str, What] = {"ack": "acknowledged", "resolve": "closed", "assign": "assigned"}
        if verb in whats:
            return self._by_person(whats[verb], person, arguments, cause, now)
        try:
            if verb == "silence":
                return Entry(time=now, cause=cause, silence=silence(arguments, person, now))
            if verb == "unsilence":
                return Entry(time=now, cause=cause, silence=self._ended(arguments, now))
        except SilenceError as error:
            raise CommandError(str(error)) from error
        return None

    def _ended(self, arguments: Mapping[str, Value], now: datetime) -> Silence:
        known = self._ledger.silences.get(str(arguments.get("id")))
        if known is None:
            raise CommandError(f"no silence {arguments.get('id')!r}")
        return known.model_copy(update={"ends": min(known.ends, now)})

    def _by_person(self, what: What, person: str, arguments: Mapping[str, Value], cause: Cause, now: datetime) -> Entry:
        incident = self._ledger.by_id(str(arguments.get("incident")))
        if incident is None or self._ledger.incidents[incident.key].id != incident.id:
            raise CommandError(f"no incident {arguments.get('incident')!r} is open")
        step = TABLE.get((incident.state, what))
        if step is None:
            raise CommandError(f"incident {incident.id} is {incident.state}")
        note = arguments.get("note")
        transition = _step(incident, what).model_copy(
            update={
                "person": str(arguments.get("to") or person) if what == "assigned" else person,
                "note": str(note) if note else None,
                "fates": {name: Fate(how="sent") for name in sorted(incident.heard)} if step[1] else {},
            }
        )
        return Entry(time=now, cause=cause, transition=transition, intended=tuple(_sends(transition, step[1], cause)))

    # Time

    def due(self, now: datetime) -> Iterator[Entry]:
        """Return what time alone makes happen. Each entry must be applied before the next is asked for."""
        yield from self._complete(now)
        yield from self._expired(now)
        yield from self._reminded(now)
        yield from self._unmuted(now)

    def _complete(self, now: datetime) -> Iterator[Entry]:
        """Tell what was gathered. What would be a storm by itself is told in one."""
        due: dict[str, dict[str, Gathering]] = {}
        for (receiver, name), gathered in self._ledger.gathered.items():
            if gathered.deadline() <= now:
                due.setdefault(receiver, {})[name] = gathered
        for receiver, found in due.items():
            many = len(found) > 1 and len(found) + self._ledger.lately(receiver, now) > self._policy.storm
            for names in [tuple(found)] if many else [(name,) for name in found]:
                yield Entry(time=now, intended=(_together(receiver, {name: found[name] for name in names}),))

    def _expired(self, now: datetime) -> Iterator[Entry]:
        heap, ttl = self._ledger.ends, self._policy.ttl
        while heap and heap[0][0] <= now:
            _, key = heapq.heappop(heap)
            incident = self._ledger.incidents.get(key)
            if incident is None or incident.state == "resolved":
                continue
            if ends_at(incident, ttl) <= now:
                yield Entry(time=now, transition=_step(incident, "expired"))
            else:
                heapq.heappush(heap, (ends_at(incident, ttl), key))

    def _reminded(self, now: datetime) -> Iterator[Entry]:
        heap = self._ledger.reminders
        while heap and heap[0][0] <= now:
            at, key = heapq.heappop(heap)
            incident = self._ledger.incidents.get(key)
            if incident and incident.state == "triggered" and incident.remind == at and incident.heard:
                yield self._again(incident, "reminded", now, at)

    def _again(self, incident: Incident, what: What, now: datetime, tick: datetime) -> Entry:
        """Return a further message on an incident that is as it was. The tick is kept, so that none slips."""
        labels = labels_of(incident.alert)
        kind = TABLE[incident.state, what][1]
        told = self._fates(kind, incident.alert, incident, labels, now, None)
        fates = told if what == "reminded" else {name: fate for name, fate in told.items() if name in incident.muted}
        every = self._remind(labels, tick)
        while every is not None and every <= now:
            every = self._remind(labels, every)
        update = {"fates": fates, "remind": every}
        transition = _step(incident, what).model_copy(update=update)
        cause = Cause(topic="time", offset=int(tick.timestamp()))
        return Entry(time=now, transition=transition, intended=tuple(_sends(transition, kind, cause)))

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


def _old(alert: Alert, now: datetime) -> Fate | None:
    """Old news is told as old (law 9); a critical alert that comes late goes out at once, and says so."""
    if alert.step not in ("fired", "updated"):
        return None
    if alert.old:
        return Fate(how="held", why="digest", gathering="digest", until=now + LATEST)
    if now - alert.time > LATE and alert.rule.level != "critical":
        return Fate(how="held", why="catchup", gathering="catchup", until=now + LATEST)
    return None


def _told(incident: Incident | None, alert: Alert) -> dict[str, tuple[str, ...]]:
    if incident is not None:
        return unheard(incident, alert)
    return {name: tuple(sorted(values)) for name, values in tell_values(alert).items()}


def _sends(step: Transition, kind: Kind | None, cause: Cause) -> Sequence[Send]:
    if kind is None:
        return ()
    return [
        Send(
            id=f"{step.incident}:{kind}:{cause.topic}:{cause.offset}:{receiver}",
            receiver=receiver,
            kind=kind,
            incident=step.incident,
            alert=step.alert,
        )
        for receiver, fate in step.fates.items()
        if fate.how == "sent"
    ]


def _step(incident: Incident, what: What) -> Transition:
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
