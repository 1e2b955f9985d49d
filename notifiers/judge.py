"""Judge: what an alert, a person or time makes happen, each time with a name for why. Pure.

Nothing here changes the ledger: what is returned is written to `audit.incidents` and then applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from notifiers.fates import Fates, old_news, sends
from notifiers.incident import (
    TABLE,
    Cause,
    Entry,
    Fate,
    Incident,
    Send,
    Transition,
    What,
    graded,
    happened,
    key_of,
    mark_of,
    slim,
    tell_values,
    unheard,
)
from notifiers.ledger import Ledger
from notifiers.orders import CommandError, Order, Orders
from notifiers.passing import Passing
from notifiers.policy import Policy, audience
from notifiers.route import labels_of
from rules.alert import Alert

__all__ = ["CommandError", "Judge", "Order"]


class Judge:
    """Decides by one policy over one ledger, which it only reads."""

    def __init__(self, policy: Policy, ledger: Ledger) -> None:
        self._policy = policy
        self._ledger = ledger
        self._fates = Fates(policy, ledger)
        self._orders = Orders(self._fates)
        self._passing = Passing(self._fates)

    def command(self, order: Order, cause: Cause, now: datetime) -> Entry | None:
        """Return what a person's command means; None for a verb that is not the notifier's. Raises CommandError."""
        return self._orders.entry(order, cause, now)

    def due(self, now: datetime) -> Iterator[Entry]:
        """Return what time alone makes happen. Each entry must be applied before the next is asked for."""
        return self._passing.due(now)

    def alert(self, alert: Alert, cause: Cause, now: datetime) -> Entry | None:
        """Return what this alert means, or None where it changes nothing."""
        incident = self._ledger.incidents.get(key_of(alert))
        alert = graded(incident, alert)
        mark = mark_of(alert)
        if self._ledger.knows(mark) or not (audience(self._policy, labels_of(alert)) or _open(incident)):
            return None
        old = old_news(alert, now)
        known = self._ledger.knows(*(f"{name}/fired" for name in (alert.id, *alert.replaces)))
        what = happened(incident, alert, known=known, held=old is not None)
        step = what and TABLE.get((incident.state if incident else None, what))
        if not what or not step:
            return None
        fates = self._fates.of(step[1], alert, incident, now, old)
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
        reminds = kind in ("page", "graver", "reopened")
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
            remind=self._fates.remind(labels_of(alert), now) if reminds else None,
        )
        intended = [*sends(transition, kind, cause), *self._announcements(transition, alert)]
        return Entry(time=now, cause=cause, transition=transition, intended=tuple(intended))

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


def _open(incident: Incident | None) -> bool:
    return incident is not None and incident.state != "resolved"


def _told(incident: Incident | None, alert: Alert) -> dict[str, tuple[str, ...]]:
    if incident is not None:
        return unheard(incident, alert)
    return {name: tuple(sorted(values)) for name, values in tell_values(alert).items()}
