"""One alert, one event: the rule again over what is stored; and what every re-run answers with (law 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rules.alert import Alert
from rules.alerting import DEFAULT_KEY
from rules.event import Event, Fields, Value, rfc3339
from rules.explain import No, Reading, Tree, clauses, failing, holds, readings, unrouted
from rules.logsource import origin
from rules.match import shown
from rules.matcher import key_values
from rules.sigma import Rule

Trees: TypeAlias = Callable[[Rule, Event], Tree]  # a list that changes by the hour is the event's


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule over one stored event: what each clause read, and whether it made the event a contributor."""

    event: str
    time: datetime
    rule: str
    title: str
    matched: bool
    counted: bool
    readings: tuple[Reading, ...]
    unseen: str | None = None  # why the rule's logsource leaves the event out


@dataclass(frozen=True, slots=True)
class Measure:
    """What was measured, as the alert told it and as it comes out now, against what was asked."""

    name: str
    then: Value
    now: Value
    asked: str


@dataclass(frozen=True, slots=True)
class Rerun:
    """The answer, with the reasons; no reason means that it holds."""

    judged: tuple[Judged, ...] = ()
    measures: tuple[Measure, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.reasons


def single(alert: Alert, rule: Rule, events: Sequence[Event], trees: Trees) -> Rerun:
    """Return what a rule of single events makes of the stored one."""
    event = next((one for one in events if one.id in alert.proof.events), None)
    if event is None:
        return Rerun(reasons=(missing(alert.proof.events[:1]),))
    tree, reasons = _asked(alert, rule, trees(rule, event)), []
    found = judged(rule, tree, event, counted=True)
    if found.unseen is not None:
        reasons.append(f"the rule does not see the event any more: {found.unseen}")
    failed = failing(tree, event.fields)
    if failed is not None:
        reasons.append(f"event {event.id}: {told(failed)}")
    key = key_values(rule.alerting.key or DEFAULT_KEY, event.fields)
    reasons += _changed("the key", alert.key, key)
    reasons += _changed("the event's time", rfc3339(alert.time), rfc3339(event.time))
    return Rerun((found,), tuple(_compared(alert, event.fields)), tuple(reasons))


def _asked(alert: Alert, rule: Rule, tree: Tree) -> Tree:
    """A condition's end is proved by `clear`, or by the rule not holding."""
    if alert.step != "resolved" or rule.alerting.kind != "condition":
        return tree
    if rule.alerting.clear is not None:
        return clauses("clear", rule.alerting.clear)
    return No(tree)


def _compared(alert: Alert, fields: Fields) -> list[Measure]:
    """The numbers that were compared, each with its thresholds as the rule writes them."""
    values = alert.proof.values
    out: list[Measure] = []
    for name, then in values.items():
        limits = [
            f"{other.partition('|')[2]} {limit}" for other, limit in values.items() if other.startswith(f"{name}|")
        ]
        if limits:
            out.append(Measure(name, then, fields.get(name), ", ".join(limits)))
    return out


def _changed(what: str, then: object, now: object) -> list[str]:
    return [] if then == now else [f"{what} is {now}; the alert told {then}"]


def missing(ids: Sequence[str]) -> str:
    """Return, in a sentence, that these events are not stored."""
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"not in the index: {', '.join(ids[:3])}{more}"


def judged(rule: Rule, tree: Tree, event: Event, *, counted: bool = False) -> Judged:
    """Return what the rule makes of one event."""
    unseen = unrouted(rule.logsource, origin(event.fields))
    matched = unseen is None and holds(tree, event.fields)
    found = tuple(readings(tree, event.fields))
    return Judged(event.id, event.time, rule.about.id, rule.about.title, matched, counted and matched, found, unseen)


def told(reading: Reading) -> str:
    """Return a failing clause in a sentence."""
    name = reading.field or "the whole event"
    place = f"{reading.selection}: " if reading.selection else ""
    there = f"it is {reading.there!r}" if reading.present and reading.field else "it is not there"
    if not reading.field:
        there = "it does" if reading.held else "it does not"
    others = {0: "", 1: " (nor does the other alternative)"}.get(
        reading.others, f" (nor does any of the {reading.others} other alternatives)"
    )
    return f"{place}{name} {'must not be so: ' if reading.negated else ''}{reading.wanted}; {there}{others}"


def altered(alert: Alert, event: Event) -> dict[str, tuple[Value, Value]]:
    """Return each field of which the stored event says something else than the alert carried: then, now."""
    now = shown(event)
    names = sorted(alert.fields.keys() | now.keys())
    return {name: (alert.fields.get(name), now.get(name)) for name in names if alert.fields.get(name) != now.get(name)}
