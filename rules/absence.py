"""Absence, run again: was there no sign of the key for as long as the rule asks? (law 12)"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rules.alert import Alert
from rules.conditions import SILENCE
from rules.event import rfc3339
from rules.match import Verdict
from rules.proof import Measure, Rerun
from rules.sigma import Rule


def absence(alert: Alert, rule: Rule, signs: Sequence[Verdict] | None) -> Rerun:
    """Return what the signs that are stored make of an absence that was told; None: they are stored no more."""
    start, end, asked = alert.proof.window_start, alert.proof.window_end, rule.alerting.absent
    if start is None or end is None or asked is None:
        return Rerun(
            reasons=("the alert does not say from when to when there was no sign: an earlier version told it",)
        )
    if signs is None:
        return Rerun(reasons=(_unstored(alert, start, end),))
    reasons = [f"{asked} without a sign are asked now, and {end - start} then"] if asked != end - start else []
    named = alert.proof.events[0]
    if named not in {one.event for one in signs}:
        reasons.append(f"its last sign, {named}, is not in audit.matches")
    later = min((one.appended for one in signs if start < one.appended < end and one.time >= alert.since), default=None)
    if later is not None:
        reasons.append(f"there was a sign of it within that time, which the stream took at {rfc3339(later)}")
    now = ((later or end) - start).total_seconds()
    measure = Measure(SILENCE, alert.proof.values.get(SILENCE), now, f"gte {_seconds(asked)}")
    return Rerun((), (measure,), tuple(reasons))


def _unstored(alert: Alert, start: datetime, end: datetime) -> str:
    host, source = alert.fields.get("host.id"), alert.fields.get("tocsin.source")
    return (
        "cannot be run again: heartbeats are not kept in the index, and audit.matches no longer goes back so far. What "
        f"is stored is the alert: source {source!r} of host {host!r} was read up to "
        f"{rfc3339(alert.since)}; by the stream's clock there was no sign from {rfc3339(start)} to {rfc3339(end)}"
    )


def _seconds(span: timedelta) -> float:
    return span.total_seconds()
