"""Tocsin's own events: what it did, and what it lost, as records like all others (laws 7 and 11). Pure.

They are of class `tocsin`, so that only rules that name product tocsin see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from collectors.assemble import Host, identify
from collectors.sources import Loss, Record
from rules.event import SCHEMA, Value, rfc3339


def own_event(
    action: str, message: str, host: Host, now: datetime, *, origin: bytes, fields: Mapping[str, Value]
) -> dict[str, Value]:
    """Return the fields of one event; the same action with the same origin has the same id, however often told."""
    moment = rfc3339(now)
    return {
        "@timestamp": moment,
        "event.id": identify(host, Record(b"", b"tocsin:%s:%s" % (action.encode(), origin), "", 0)),
        "event.created": moment,
        "event.kind": "event",
        "event.module": "tocsin",
        "event.dataset": f"tocsin.{action.partition('-')[0]}",
        "event.action": action,
        "message": message,
        **fields,
        "host.id": host.id,
        "host.name": host.name,
        "tocsin.schema": SCHEMA,
        "tocsin.record": "event",
        "tocsin.class": "tocsin",
    }


def loss_event(loss: Loss, source: str, host: Host, now: datetime) -> dict[str, Value]:
    """Return the gap record: what of a source is gone, and how much where that is known.

    A loss of no record at all is none: it tells that readers were set back, and read again what they had read.
    """
    fields: dict[str, Value] = {"tocsin.source": source, "tocsin.about.host": host.id}
    if loss.records is not None:
        fields["tocsin.lost.records"] = loss.records
    if loss.size_bytes is not None:
        fields["tocsin.lost.bytes"] = loss.size_bytes
    action = "loss-gap" if is_gap(loss) else "reader-back"
    return own_event(action, loss.reason, host, now, origin=loss.origin, fields=fields)


def is_gap(loss: Loss) -> bool:
    """Say whether anything is gone, or may be."""
    return loss.records != 0 or bool(loss.size_bytes)
