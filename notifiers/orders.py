"""Orders: what a person's command means. Pure; who the person is has been proved before it comes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast, get_args

from notifiers.fates import Fates, sends, step_of
from notifiers.incident import TABLE, Cause, Entry, Fate, Incident, What, regraded, slim
from notifiers.route import labels_of
from notifiers.silence import Silence, SilenceError, silence
from rules.alert import Level
from rules.event import Value, instant

VERBS: Final[Mapping[str, What]] = {
    "ack": "acknowledged",
    "resolve": "closed",
    "assign": "assigned",
    "unassign": "unassigned",
    "snooze": "snoozed",
    "note": "noted",
    "severity": "regraded",
}
OTHERS: Final = ("silence", "unsilence")
LONGEST_SNOOZE: Final = timedelta(days=30)
_NOTE: Final = 2000  # characters


class CommandError(ValueError):
    """The command cannot be carried out; the message says why."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command whose person is proved. `person` says who, and how that was proved."""

    verb: str
    person: str
    arguments: Mapping[str, Value]
    nonce: str = ""


class Orders:
    """Decides by one policy over one ledger, which it only reads."""

    def __init__(self, fates: Fates) -> None:
        self._fates = fates
        self._ledger = fates.ledger

    def entry(self, order: Order, cause: Cause, now: datetime) -> Entry | None:
        """Return what the command means; None for a verb that is not the notifier's. Raises CommandError."""
        if order.verb in VERBS:
            return self._on_incident(VERBS[order.verb], order, cause, now)
        if order.verb not in OTHERS:
            return None
        try:
            made = silence(order.arguments, order.person, now) if order.verb == "silence" else self._ended(order, now)
        except SilenceError as error:
            raise CommandError(str(error)) from error
        return Entry(time=now, cause=cause, silence=made, command=order.nonce or None)

    def _ended(self, order: Order, now: datetime) -> Silence:
        name = order.arguments.get("id")
        known = self._ledger.silences.get(str(name))
        if known is None:
            raise CommandError(f"no silence {name!r}")
        return known.model_copy(update={"ends": min(known.ends, now)})

    def _on_incident(self, what: What, order: Order, cause: Cause, now: datetime) -> Entry:
        name = order.arguments.get("incident")
        incident = self._ledger.by_id(str(name))
        if incident is None or self._ledger.incidents[incident.key].id != incident.id:
            raise CommandError(f"no incident {name!r} is open")
        found = TABLE.get((incident.state, what))
        if found is None:
            raise CommandError(f"incident {incident.id} is {incident.state}")
        note = order.arguments.get("note")
        update: dict[str, object] = {"person": order.person, "note": str(note)[:_NOTE] if note else None}
        update |= self._more(what, incident, order.arguments, now)
        if found[1]:
            update.setdefault("fates", {receiver: Fate(how="sent") for receiver in sorted(incident.heard)})
        transition = step_of(incident, what).model_copy(update=update)
        intended = tuple(sends(transition, found[1], cause))
        return Entry(time=now, cause=cause, transition=transition, intended=intended, command=order.nonce or None)

    def _more(self, what: What, incident: Incident, arguments: Mapping[str, Value], now: datetime) -> dict[str, object]:
        match what:
            case "assigned":
                return {"assignee": _required(arguments, "to", "who has it now")}
            case "noted":
                return {"note": _required(arguments, "note", "what the others should know")[:_NOTE]}
            case "snoozed":
                return {"until": _until(arguments, now)}
            case "unassigned":
                return {"remind": self._fates.remind(labels_of(incident.alert), now)}
            case "regraded":
                return self._regraded(incident, arguments, now)
        return {}

    def _regraded(self, incident: Incident, arguments: Mapping[str, Value], now: datetime) -> dict[str, object]:
        level = str(arguments.get("severity"))
        if level not in get_args(Level):
            raise CommandError(f"no severity {level!r}; there are {', '.join(get_args(Level))}")
        if level == incident.alert.rule.level:
            raise CommandError(f"incident {incident.id} is {level} already")
        alert = slim(regraded(incident.alert, cast("Level", level)))
        return {"alert": alert, "fates": self._fates.of("regraded", alert, incident, now)}


def _required(arguments: Mapping[str, Value], name: str, what: str) -> str:
    found = str(arguments.get(name) or "").strip()
    if not found:
        raise CommandError(f"{name}: say {what}")
    return found


def _until(arguments: Mapping[str, Value], now: datetime) -> datetime:
    try:
        until = instant(str(arguments.get("until") or ""))
    except ValueError as error:
        raise CommandError(str(error)) from error
    if until <= now:
        raise CommandError("the snooze is over before it begins")
    if until - now > LONGEST_SNOOZE:
        raise CommandError(f"a snooze is {LONGEST_SNOOZE.days} days long at most")
    return until
