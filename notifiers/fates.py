"""Fates: what becomes of an alert for each receiver, sent, held or muted, and by which name. Pure.

The policy is the list in `_fate`, read from top to bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from notifiers.digest import LATEST
from notifiers.incident import TABLE, Cause, Fate, Incident, Kind, Send, Transition, What, key_of
from notifiers.ledger import Ledger
from notifiers.policy import Policy, audience, by_time, group_interval, group_wait
from notifiers.route import Labels, Route, labels_of
from notifiers.view import LATE
from rules.alert import Alert

_STORM: Final = timedelta(minutes=1)


class Fates:
    """Decides by one policy over one ledger, which it only reads."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self.policy = policy
        self.ledger = ledger

    def of(
        self, kind: Kind | None, alert: Alert, incident: Incident | None, now: datetime, old: Fate | None = None
    ) -> dict[str, Fate]:
        """Return what becomes of it for each receiver. The end is told to whoever heard of the beginning.

        `old`: what becomes of it as old news.
        """
        if kind == "resolved":
            return {name: self._end(name, incident, now) for name in sorted(incident.heard)} if incident else {}
        if kind is None and old is None:
            return {}
        labels = labels_of(alert)
        mute = self._mute(incident.key if incident else key_of(alert), labels, now)
        fates: dict[str, Fate] = {}
        for route in audience(self.policy, labels):
            fate = mute or old or self._fate(route, labels, alert, now, first=kind == "page")
            if route.receiver not in fates or fates[route.receiver].how == "muted":
                fates[route.receiver] = fate
        for name in sorted(incident.heard - fates.keys()) if incident and kind != "page" and not old else ():
            fates[name] = mute or Fate(how="sent")
        return fates

    def again(self, incident: Incident, what: What, now: datetime, tick: datetime) -> tuple[Transition, Sequence[Send]]:
        """Return a further message on an incident that is as it was. The tick is kept, so that none slips."""
        kind = TABLE[incident.state, what][1]
        told = self.of(kind, incident.alert, incident, now)
        fates = {name: fate for name, fate in told.items() if what != "unmuted" or name in incident.muted}
        labels = labels_of(incident.alert)
        every = self.remind(labels, tick)
        while every is not None and every <= now:
            every = self.remind(labels, every)
        transition = step_of(incident, what).model_copy(update={"fates": fates, "remind": every})
        return transition, sends(transition, kind, Cause(topic="time", offset=int(tick.timestamp())))

    def remind(self, labels: Labels, now: datetime) -> datetime | None:
        """Return when nobody having acknowledged it is told again."""
        every = [one.timing.repeat_interval for one in audience(self.policy, labels) if one.timing.repeat_interval]
        return now + min(every) if every else None

    def _mute(self, key: str, labels: Labels, now: datetime) -> Fate | None:
        quiet = self.ledger.silences.muting(labels, now)
        if quiet is not None:
            return Fate(how="muted", why=f"silence {quiet.id} by {quiet.person}: {quiet.reason}")
        source = self.ledger.inhibitor.muting(key, labels)
        if source is not None:
            return Fate(how="muted", why=f"inhibited by {self.ledger.incidents[source].id}")
        return None

    def _fate(self, route: Route, labels: Labels, alert: Alert, now: datetime, *, first: bool) -> Fate:
        interval = by_time(self.policy, route, now)
        if interval:
            return Fate(how="muted", why=interval)
        wait = group_wait(route, alert.rule.urgency)
        if first and wait:
            return self._grouped(route, labels, wait, now)
        return self._stormy(route.receiver, now)

    def _stormy(self, receiver: str, now: datetime) -> Fate:
        """Send it, unless the receiver has had enough within this minute: then the rest comes in one message."""
        gathers = (receiver, "storm") in self.ledger.gathered
        if gathers or self.ledger.lately(receiver, now) >= self.policy.storm:
            return Fate(how="held", why="storm", gathering="storm", until=now + _STORM)
        return Fate(how="sent")

    def _end(self, receiver: str, incident: Incident, now: datetime) -> Fate:
        """The end of what is still to be told with others is told with them, never before the beginning."""
        found = self.ledger.gathers(receiver, incident.id)
        if found is None:
            return self._stormy(receiver, now)
        name, gathered = found
        return Fate(how="held", why=name, gathering=gathered.kind, until=gathered.until)

    def _grouped(self, route: Route, labels: Labels, wait: timedelta, now: datetime) -> Fate:
        """A group's first message waits for `group_wait`, the later ones for the next tick of `group_interval`."""
        name = route.group(labels)
        flushed = self.ledger.flushed.get((route.receiver, name))
        until = now + wait if flushed is None else max(now, flushed + group_interval(route))
        return Fate(how="held", why=name, gathering="group", until=until)


def old_news(alert: Alert, now: datetime) -> Fate | None:
    """Old news is told as old (law 9); a critical alert that comes late goes out at once, and says so."""
    if alert.step not in ("fired", "updated"):
        return None
    if alert.old:
        return Fate(how="held", why="digest", gathering="digest", until=now + LATEST)
    if now - alert.time > LATE and alert.rule.level != "critical":
        return Fate(how="held", why="catchup", gathering="catchup", until=now + LATEST)
    return None


def sends(step: Transition, kind: Kind | None, cause: Cause) -> Sequence[Send]:
    """Return the messages that a transition causes at once."""
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


def step_of(incident: Incident, what: What) -> Transition:
    """Return a transition of an incident that no alert causes."""
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
