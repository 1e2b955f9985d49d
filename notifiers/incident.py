"""Incident: what a person is told and acts on. Its life is the table below; its history is `audit.incidents`.

An incident is known by rule and key values. It opens on a fired alert and gathers the repeats of its key; a new
value in one of the rule's `tell` fields is news, and reopens an acknowledged one. A condition's incident ends when
the condition does, an event's by a person or when nothing more happened for its time to live. The next alert of a
resolved key opens the next occurrence. Everything here is a function of its arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from notifiers.entry import (
    Answer,
    Carried,
    Cause,
    Digest,
    Entry,
    Fate,
    Gathered,
    Kind,
    Line,
    Send,
    State,
    Transition,
    What,
)
from rules.alert import URGENCY_OF_LEVEL, Alert, Level
from rules.event import Value

__all__ = [
    "TABLE",
    "Answer",
    "Carried",
    "Cause",
    "Digest",
    "Entry",
    "Fate",
    "Gathered",
    "Incident",
    "Kind",
    "Line",
    "Send",
    "State",
    "Transition",
    "What",
    "advance",
    "ends_at",
    "graded",
    "happened",
    "key_of",
    "mark_of",
    "regraded",
    "slim",
    "tell_values",
    "unheard",
]

# (state before, what happened) -> (state after, the message it causes). What is not listed changes nothing.
TABLE: Final[Mapping[tuple[State | None, What], tuple[State, Kind | None]]] = MappingProxyType(
    {
        (None, "fired"): ("triggered", "page"),
        ("resolved", "fired"): ("triggered", "page"),
        ("triggered", "repeated"): ("triggered", None),
        ("triggered", "news"): ("triggered", "news"),
        ("triggered", "graver"): ("triggered", "graver"),
        ("triggered", "woke"): ("triggered", "page"),
        ("triggered", "unmuted"): ("triggered", "page"),
        ("triggered", "reminded"): ("triggered", "reminder"),
        ("triggered", "settled"): ("triggered", None),
        ("triggered", "cleared"): ("resolved", "resolved"),
        ("triggered", "expired"): ("resolved", None),
        ("triggered", "acknowledged"): ("acknowledged", "acknowledged"),
        ("triggered", "closed"): ("resolved", "resolved"),
        ("triggered", "assigned"): ("triggered", None),
        ("triggered", "unassigned"): ("triggered", None),
        ("triggered", "noted"): ("triggered", None),
        ("triggered", "regraded"): ("triggered", "regraded"),
        ("triggered", "snoozed"): ("snoozed", "snoozed"),
        ("acknowledged", "repeated"): ("acknowledged", None),
        ("acknowledged", "news"): ("triggered", "reopened"),
        ("acknowledged", "graver"): ("triggered", "graver"),
        ("acknowledged", "woke"): ("triggered", "page"),
        ("acknowledged", "settled"): ("acknowledged", None),
        ("acknowledged", "cleared"): ("resolved", "resolved"),
        ("acknowledged", "expired"): ("resolved", None),
        ("acknowledged", "closed"): ("resolved", "resolved"),
        ("acknowledged", "assigned"): ("acknowledged", None),
        ("acknowledged", "unassigned"): ("triggered", "unassigned"),
        ("acknowledged", "noted"): ("acknowledged", None),
        ("acknowledged", "regraded"): ("acknowledged", "regraded"),
        ("acknowledged", "snoozed"): ("snoozed", "snoozed"),
        ("snoozed", "repeated"): ("snoozed", None),
        ("snoozed", "news"): ("triggered", "reopened"),
        ("snoozed", "graver"): ("triggered", "graver"),
        ("snoozed", "woke"): ("triggered", "page"),
        ("snoozed", "settled"): ("snoozed", None),
        ("snoozed", "awake"): ("triggered", "awake"),
        ("snoozed", "cleared"): ("resolved", "resolved"),
        ("snoozed", "expired"): ("resolved", None),
        ("snoozed", "acknowledged"): ("acknowledged", "acknowledged"),
        ("snoozed", "closed"): ("resolved", "resolved"),
        ("snoozed", "assigned"): ("snoozed", None),
        ("snoozed", "unassigned"): ("snoozed", None),
        ("snoozed", "noted"): ("snoozed", None),
        ("snoozed", "regraded"): ("snoozed", "regraded"),
        ("snoozed", "snoozed"): ("snoozed", "snoozed"),
        ("resolved", "noted"): ("resolved", None),
        ("resolved", "settled"): ("resolved", None),
    }
)


_NOTES: Final = 5
_WAKING: Final = ("acknowledged", "news", "graver", "woke", "closed", "cleared")  # what ends a snooze
_BY_ALERT: Final = ("repeated", "news", "graver", "woke")
_RANK: Final[Mapping[Level, int]] = {"informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


@dataclass(frozen=True, slots=True)
class Incident:
    """Where an incident stands after all its transitions."""

    id: str
    key: str
    occurrence: int
    state: State
    alert: Alert  # the latest that was shown
    opened: datetime  # event time of the first alert
    seen: datetime  # when Tocsin judged the alert that was shown
    last: datetime  # event time of the latest alert
    count: int
    told: Mapping[str, frozenset[str]]
    level: Level  # the gravest that was told
    heard: frozenset[str] = frozenset()  # receivers that heard of it, other than as old news
    muted: Mapping[str, str] = field(default_factory=dict)  # receivers kept from hearing of it, and why
    remind: datetime | None = None
    person: str | None = None  # who acknowledged, closed or has it
    until: datetime | None = None  # when a snoozed one wakes, or woke
    graded: bool = False  # a person has said how severe it is: alerts no longer do
    notes: tuple[str, ...] = ()  # the latest that people wrote


def ends_at(incident: Incident, ttl: timedelta) -> datetime:
    """Return when an event's incident ends by itself: counted from when people heard of it, old news from the event."""
    moments = [incident.last]
    if incident.heard:
        moments.append(incident.seen)
    if incident.until is not None:
        moments.append(incident.until)  # what sleeps does not end before it is told again
    return max(moments) + ttl


def key_of(alert: Alert) -> str:
    """Return what tells one incident from another: rule and key values, or what the rules of one incident share."""
    told = (
        ["incident", sorted(alert.incident.items())] if alert.incident else [alert.rule.id, sorted(alert.key.items())]
    )
    material = msgspec.json.encode(told)
    return hashlib.blake2b(material, digest_size=5).hexdigest()


def mark_of(alert: Alert) -> str:
    """Return what is equal for the same transition delivered again, and for no other."""
    if alert.step in ("fired", "resolved"):
        return f"{alert.id}/{alert.step}"
    return f"{alert.id}/{alert.step}/{alert.time.isoformat()}/{alert.proof.count}/{alert.proof.digest}"


def tell_values(alert: Alert) -> dict[str, frozenset[str]]:
    """Return the values of the rule's `tell` fields in this alert, as text; an absent field has none."""
    return {name: _texts(alert.fields[name]) for name in alert.rule.tell if alert.fields.get(name) is not None}


def _texts(value: Value) -> frozenset[str]:
    return frozenset(str(one) for one in (value if isinstance(value, list) else [value]))


def unheard(incident: Incident, alert: Alert) -> dict[str, tuple[str, ...]]:
    """Return the values of `tell` fields that the incident has not seen."""
    new = {name: values - incident.told.get(name, frozenset()) for name, values in tell_values(alert).items()}
    return {name: tuple(sorted(values)) for name, values in new.items() if values}


def happened(incident: Incident | None, alert: Alert, *, known: bool, held: bool) -> What | None:
    """Name what this alert means for the incident of its key; None: it changes nothing.

    `known`: this alert has fired before, under this id or one that it replaces. `held`: it is old news.
    """
    if alert.step == "resolved":
        return None if alert.incident else "cleared"  # what others told of the same incident still holds
    if alert.step == "settled" and known:
        return "settled"
    if incident is None or incident.state == "resolved":
        stale = known and incident is not None and alert.time <= incident.last
        return None if stale else "fired"
    if held:
        return "repeated"
    if not incident.heard:
        return "woke"
    if _RANK[alert.rule.level] > _RANK[incident.level]:
        return "graver"
    return "news" if unheard(incident, alert) else "repeated"


def slim(alert: Alert) -> Alert:
    """Return the alert with no more of its proof than people are shown."""
    proof = alert.proof.model_copy(update={"events": alert.proof.events[:1], "fields": (), "lists": {}})
    return alert.model_copy(update={"proof": proof})


def advance(incident: Incident | None, step: Transition, time: datetime) -> Incident:
    """Return the incident after one transition. The first of an occurrence must carry its alert."""
    if step.what == "fired" or incident is None:
        return _opened(step, time)
    told = {name: incident.told.get(name, frozenset()) | frozenset(step.told.get(name, ())) for name in step.told}
    heard = incident.heard | _hearing(step)
    shown = step.alert if step.what != "repeated" else None
    return replace(
        incident,
        state=step.state,
        alert=shown or incident.alert,
        opened=shown.since if shown and not incident.heard else incident.opened,
        seen=time if shown else incident.seen,
        last=max(incident.last, step.event_time),
        count=incident.count + (step.what in _BY_ALERT),
        told={**incident.told, **told} if told else incident.told,
        level=_level(incident, step, shown),
        heard=heard,
        muted={name: why for name, why in {**incident.muted, **_muted(step)}.items() if name not in heard},
        remind=step.remind or (incident.remind if step.state == "triggered" else None),
        person=_person(incident, step),
        until=step.until or (None if step.what in _WAKING else incident.until),
        graded=incident.graded or step.what == "regraded",
        notes=(*incident.notes, f"{step.note} ({step.person})")[-_NOTES:] if step.note else incident.notes,
    )


def _level(incident: Incident, step: Transition, shown: Alert | None) -> Level:
    if shown is None:
        return incident.level
    return shown.rule.level if step.what == "regraded" else max(incident.level, shown.rule.level, key=_RANK.__getitem__)


def _person(incident: Incident, step: Transition) -> str | None:
    if step.what in ("noted", "regraded"):
        return incident.person
    if step.what in ("news", "graver", "woke", "awake", "unassigned"):
        return None
    return step.assignee or step.person or incident.person


def graded(incident: Incident | None, alert: Alert) -> Alert:
    """Return the alert with the severity that a person gave its incident, if one did."""
    if incident is None or not incident.graded or incident.state == "resolved":
        return alert
    return regraded(alert, incident.alert.rule.level)


def regraded(alert: Alert, level: Level) -> Alert:
    """Return the alert with another severity, and the urgency that this one brings."""
    rule = alert.rule.model_copy(update={"level": level, "urgency": URGENCY_OF_LEVEL[level]})
    return alert.model_copy(update={"rule": rule})


def _hearing(step: Transition) -> frozenset[str]:
    return frozenset(name for name, fate in step.fates.items() if fate.heard)


def _muted(step: Transition) -> dict[str, str]:
    return {name: fate.why for name, fate in step.fates.items() if fate.how == "muted"}


def _opened(step: Transition, time: datetime) -> Incident:
    if step.alert is None:
        raise ValueError(f"{step.incident}: the first transition carries no alert")
    return Incident(
        id=step.incident,
        key=step.key,
        occurrence=step.occurrence,
        state=step.state,
        alert=step.alert,
        opened=step.alert.since,
        seen=time,
        last=step.event_time,
        count=1,
        told={name: frozenset(values) for name, values in step.told.items()},
        level=step.alert.rule.level,
        heard=_hearing(step),
        muted=_muted(step),
        remind=step.remind,
    )
