"""What became of an alert: its incident, and for each receiver whether it was told, or what kept it quiet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from notifiers.entry import Answer, Entry, Fate, Transition
from notifiers.policy import Policy, audience
from notifiers.route import labels_of
from rules.alert import Alert
from rules.event import rfc3339

Row: TypeAlias = dict[str, object]
_SILENT = {
    "repeated": "a repeat of what the incident has told: silent until something new comes",
    "settled": "the alert's final ids became known: silent",
}


def fates(alerts: Sequence[Alert], log: Sequence[Entry], policy: Policy) -> Iterator[Row]:
    """Yield, for the transitions of one alert, each step of its incident and what each receiver heard of it."""
    ids = {name for alert in alerts for name in (alert.id, *alert.replaces)}
    marks: set[str] = set()
    for entry in log:
        step = entry.transition
        if step is None or step.alert_id not in ids or step.mark in marks:
            continue
        marks.add(step.mark)
        yield from _of_step(entry, step, log)
    if not marks:
        yield {"what": "fate", "alert": alerts[-1].id, "how": "nobody was told", "why": _why_nobody(alerts[-1], policy)}


def _why_nobody(alert: Alert, policy: Policy) -> str:
    if alert.rule.urgency == "record":
        return "its rule's urgency is record: it is kept, and nobody is told"
    if not audience(policy, labels_of(alert)):
        return "no route of the config takes it"
    return "the notifier wrote nothing of it: it has not come so far (`tocsin status`), or its log is no longer kept"


def _of_step(entry: Entry, step: Transition, log: Sequence[Entry]) -> Iterator[Row]:
    base: Row = {"what": "fate", "alert": step.alert_id, "incident": step.incident, "step": step.what}
    base["time"] = rfc3339(entry.time)
    if not step.fates:
        heard = _heard_before(step, log)
        why = _SILENT.get(step.what, "nobody was to hear of this step")
        yield {**base, "how": "silent", "why": why + (f"; {', '.join(heard)} heard of it" if heard else "")}
    for receiver, fate in step.fates.items():
        yield {**base, "receiver": receiver, **_fate(entry, receiver, fate, log)}


def _fate(entry: Entry, receiver: str, fate: Fate, log: Sequence[Entry]) -> Row:
    if fate.how == "muted":
        return {"how": "muted", "why": fate.why}
    if fate.how == "sent":
        sends = [send.id for send in entry.intended if send.receiver == receiver and send.kind != "silenced"]
        return {"how": "sent", "why": fate.why, **_answered(sends, log)}
    later = [
        send.id
        for other in log
        if other.time >= entry.time
        for send in other.intended
        if send.receiver == receiver and fate.why in send.gathered
    ]
    until = rfc3339(fate.until) if fate.until else None
    why = f"told with others ({fate.gathering or fate.why})"
    return {"how": "held", "why": why, "until": until, **_answered(later[:1], log)}


def _answered(sends: Sequence[str], log: Sequence[Entry]) -> Row:
    answers: list[tuple[Entry, Answer]] = [
        (entry, entry.answered) for entry in log if entry.answered is not None and entry.answered.send in sends
    ]
    if not answers:
        return {"delivered": None, "answer": "not yet answered" if sends else "not yet sent"}
    entry, last = answers[-1]
    if last.receipt:
        return {"delivered": rfc3339(entry.time), "answer": last.receipt}
    return {"delivered": None, "answer": last.failure or "no receipt"}


def _heard_before(step: Transition, log: Sequence[Entry]) -> list[str]:
    heard: dict[str, None] = {}
    for entry in log:
        if entry.transition is not None and entry.transition.incident == step.incident:
            heard.update((name, None) for name, fate in entry.transition.fates.items() if fate.heard)
    return list(heard)
