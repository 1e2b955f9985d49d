"""What was said of a key that then was absent: read from audit.matches, from its last sign to where it was missed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pipeline.streams import EVENTS, MATCHES, Stream, StreamUnavailable
from pipeline.streams.moments import from_moment
from pipeline.streams.whole import own_group
from rules.alert import Alert
from rules.match import Marker, Verdict, decode


def signs(alert: Alert, stream: Stream | None) -> list[Verdict] | None:
    """Return what the correlator heard of the alert's key until it fired; None where that is no longer kept."""
    start, end = alert.proof.window_start, alert.proof.window_end
    if stream is None or start is None or end is None:
        return None
    try:
        return _heard(alert, stream, min(start, alert.received), end)
    except StreamUnavailable:
        return None


def _heard(alert: Alert, stream: Stream, start: datetime, end: datetime) -> list[Verdict] | None:
    """Read until every partition's events are judged beyond the end: that is when it fired."""
    out: list[Verdict] = []
    waiting = set(stream.ends(EVENTS))
    kept = False
    for stored in from_moment(stream, MATCHES, own_group("explain"), start):
        try:
            record = decode(stored.value)
        except msgspec.DecodeError:
            continue  # the dead letters hold it
        if isinstance(record, Marker):
            kept = kept or record.up_to <= start
            if record.up_to >= end:
                waiting.discard(record.partition)
        elif isinstance(record, Verdict) and record.rule == alert.rule.id and record.key == alert.key:
            out.append(record)
        if not waiting:
            break
    return out if kept or any(one.event in alert.proof.events for one in out) else None
