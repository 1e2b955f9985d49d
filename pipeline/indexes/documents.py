"""What a record of the stream becomes in the index: a document whose id and place are functions of the record alone.

Alerts and incidents are of class `tocsin`. What they are about stands in ECS's `related.*` and in `tocsin.alert.*`,
never in the fields of the event itself: a search for a login finds the login, not what was said of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from notifiers.incident import Entry
from pipeline.indexes import Document
from pipeline.streams import ALERTS, EVENTS, INCIDENTS, Stored
from rules.alert import Alert
from rules.event import CLASSES, SCHEMA, EventClass, Scalar, Value, classify, instant, rfc3339
from rules.values import text_of

_fields = msgspec.json.Decoder(dict[str, Value])
_RELATED: Mapping[str, tuple[str, ...]] = {
    "related.user": ("user.name", "user.effective.name", "user.target.name"),
    "related.ip": ("source.ip", "client.ip"),
    "related.hosts": ("host.name", "host.hostname", "host.id"),
}


def document(record: Stored) -> Document | None:
    """Return what to index of a record, or None for one that only serves the stream (a heartbeat, a tick).

    Raises ValueError (or a kind of it) for one that is not what its topic holds.
    """
    match record.topic:
        case topic if topic == EVENTS:
            return _event(record.value)
        case topic if topic == ALERTS:
            return _alert(record)
        case topic if topic == INCIDENTS:
            return _incident(record)
    raise ValueError(f"nothing of {record.topic} is indexed")


def _event(value: bytes) -> Document | None:
    fields = _fields.decode(value)
    if fields.get("tocsin.record", "event") != "event":
        return None
    id_, time = fields.get("event.id"), fields.get("@timestamp")
    if not isinstance(id_, str) or not id_:
        raise ValueError("an event without event.id")
    if not isinstance(time, str):
        raise ValueError("an event without @timestamp")
    return Document(id_, _class(fields), instant(time), value)


def _class(fields: Mapping[str, Value]) -> EventClass:
    stated = fields.get("tocsin.class")
    return next((one for one in CLASSES if one == stated), None) or classify(fields)


def _alert(record: Stored) -> Document:
    alert = Alert.model_validate_json(record.value)
    fields: dict[str, Value] = {
        "event.kind": "alert",
        "event.dataset": "tocsin.alert",
        "event.action": f"alert-{alert.step}",
        "event.created": rfc3339(record.time),
        "message": f"{alert.rule.title} ({alert.step})",
        **_about(alert),
        "tocsin.alert.step": alert.step,
        "tocsin.alert.replaces": list(alert.replaces) or None,
        "tocsin.alert.events": alert.proof.count,
    }
    return _ours(record, alert.time.isoformat(), fields)


def _about(alert: Alert) -> dict[str, Value]:
    key: list[Scalar] = [f"{name}={_joined(value)}" for name, value in sorted(alert.key.items())]
    fields: dict[str, Value] = {
        "rule.id": alert.rule.id,
        "rule.name": alert.rule.title,
        "log.level": alert.rule.level,
        "tocsin.alert.id": alert.id,
        "tocsin.alert.since": rfc3339(alert.since),
        "tocsin.alert.key": key,
    }
    for related, names in _RELATED.items():
        found: dict[Scalar, None] = {}
        for name in names:
            value = alert.fields.get(name)
            found |= dict.fromkeys(one for one in (value if isinstance(value, list) else [value]) if one is not None)
        fields[related] = list(found)
    return fields


def _incident(record: Stored) -> Document:
    entry = Entry.model_validate_json(record.value)
    fields: dict[str, Value] = {
        "event.kind": "event",
        "event.dataset": "tocsin.incident",
        "event.created": rfc3339(record.time),
        "event.action": "notification-intended",
    }
    if entry.intended:
        receivers: list[Scalar] = [*sorted({send.receiver for send in entry.intended})]
        fields["tocsin.incident.receivers"] = receivers
        fields["message"] = f"{entry.intended[0].kind} to {_joined(receivers)}"
        fields["tocsin.incident.id"] = entry.intended[0].incident
    if entry.answered is not None:
        answer = entry.answered
        told = answer.failure or answer.receipt or "sent"
        fields |= {"event.action": "notification-answered", "message": f"{answer.receiver}: {told}"}
        fields |= {"tocsin.incident.id": answer.incident, "tocsin.incident.receivers": [answer.receiver]}
    if entry.transition is not None:
        step = entry.transition
        fields |= {} if step.alert is None else _about(step.alert)
        fields |= {
            "event.action": f"incident-{step.what}",
            "message": f"incident {step.incident}: {step.what}, now {step.state}",
            "tocsin.incident.id": step.incident,
            "tocsin.incident.state": step.state,
            "tocsin.incident.occurrence": step.occurrence,
            "tocsin.alert.id": step.alert_id,
            "related.user": [step.person] if step.person else fields.get("related.user", []),
        }
    return _ours(record, entry.time.isoformat(), fields)


def _ours(record: Stored, time: str, fields: Mapping[str, Value]) -> Document:
    """An event of Tocsin's own; the same record has the same id however often it is read, or written again."""
    moment = instant(time)
    id_ = hashlib.blake2b(record.topic.encode() + b"\0" + record.value, digest_size=16).hexdigest()
    base: dict[str, Value] = {
        "@timestamp": rfc3339(moment),
        "event.id": id_,
        "event.module": "tocsin",
        "event.original": record.value.decode("utf-8", "backslashreplace"),
        "tocsin.schema": SCHEMA,
        "tocsin.record": "event",
        "tocsin.class": "tocsin",
    }
    known = {name: value for name, value in fields.items() if value not in (None, [])}
    return Document(id_, "tocsin", moment, msgspec.json.encode(base | known))


def _joined(value: Value) -> str:
    return ",".join(text_of(one) or "" for one in (value if isinstance(value, list) else [value]))
