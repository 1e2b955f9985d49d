"""An event explained: each rule that sees it, held or not and by which clause, and what became of what held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pipeline.commands.explain_alert import chosen, row_of
from pipeline.commands.explain_fates import Row
from pipeline.commands.explain_sources import Loaded
from rules.alert import Alert
from rules.evaluate import compiled, fields_of
from rules.event import Event, rfc3339
from rules.explain import failing, unrouted
from rules.groups import feeds, group_of, silent
from rules.logsource import origin
from rules.proof import told
from rules.sigma import Correlation, Rule


def of_event(
    event: Event, loaded: Loaded, alerts: Mapping[str, Sequence[Alert]], became: Mapping[str, Sequence[Row]]
) -> Iterator[Row]:
    """Yield what is to be said of one event, given the alerts to whose proof it belongs and their fates."""
    yield _head(event)
    skipped: Counter[str] = Counter()
    held: list[Rule] = []
    for rule in loaded.ruleset.rules:
        reason = _skipped(rule, event)
        if reason is not None:
            skipped[reason] += 1
            continue
        row = _judged(rule, event, loaded)
        if row["outcome"] == "held":
            held.append(rule)
        yield row
    for reason, count in skipped.most_common():
        yield {"what": "skipped", "reason": reason, "rules": count}
    named = {one.rule.id for transitions in alerts.values() for one in transitions}
    counted = list(_counted(held, event, loaded, named))
    yield from counted
    for name, transitions in alerts.items():
        yield _alert(chosen(transitions), transitions)
        yield from became[name]
    yield _conclusion(held, counted, alerts, became, silent(loaded.ruleset))


def _head(event: Event) -> Row:
    where = origin(event.fields)
    shown = ("event.dataset", "event.action", "event.outcome", "user.name", "source.ip", "host.name", "message")
    fields = {name: event.fields[name] for name in shown if event.fields.get(name) is not None}
    return {"what": "event", "event": event.id, "time": rfc3339(event.time), "class": where.kind, "fields": fields}


def _skipped(rule: Rule, event: Event) -> str | None:
    if rule.missing:
        return f"inactive: no list {', '.join(sorted(rule.missing))}"
    return unrouted(rule.logsource, origin(event.fields))


def _judged(rule: Rule, event: Event, loaded: Loaded) -> Row:
    row: Row = {"what": "rule", "rule": rule.about.id, "title": rule.about.title}
    failed = failing(loaded.tree(rule, event), event.fields)
    absent = [name for name in rule.alerting.key if event.fields.get(name) is None]
    if rule.alerting.kind == "condition" and absent:
        return {**row, "outcome": "says nothing", "because": f"its key {', '.join(absent)} is not in the event"}
    if failed is None:
        return {**row, "outcome": "held"}
    state: Row = {"state": _state(rule, event)} if rule.alerting.kind == "condition" else {}
    return {**row, "outcome": "not held", **state, "because": told(failed), **row_of(failed)}


def _state(rule: Rule, event: Event) -> str:
    """What a condition that does not hold says: unknown is not ok."""
    clear = rule.alerting.clear
    read = fields_of(rule.predicate) | (fields_of(clear) if clear is not None else frozenset())
    if any(event.fields.get(name) is None for name in read):
        return "says nothing"
    return "clear" if clear is None or compiled(clear)(event.fields) else "neither holding nor clear"


def _counted(held: Sequence[Rule], event: Event, loaded: Loaded, named: set[str]) -> Iterator[Row]:
    """The correlations that what held feeds, with the group that the event belongs to."""
    feeding = feeds(loaded.ruleset)
    for rule in held:
        for correlation, _ in feeding.get(rule.about.id, ()):
            key = group_of(correlation, rule.about.names, event.fields)
            row: Row = {"what": "correlation", "rule": correlation.about.id, "title": correlation.about.title}
            row |= {"fed_by": rule.about.title, "group": key, "fired": correlation.about.id in named}
            yield {**row, "because": _stood(correlation, key, fired=correlation.about.id in named)}


def _stood(correlation: Correlation, key: Mapping[str, object] | None, *, fired: bool) -> str:
    asks = correlation.correlating
    if key is None:
        return f"not counted: the event lacks one of {', '.join(asks.group_by)}"
    limits = " and ".join(f"{op} {limit}" for op, limit in asks.limits.ops) if asks.limits else "its condition"
    asked = f"{asks.type} {limits} within {asks.timespan}"
    return f"part of an alert: {asked}" if fired else f"counted, and no alert names the event: {asked} was not reached"


def _alert(alert: Alert, transitions: Sequence[Alert]) -> Row:
    row: Row = {"what": "alert", "alert": alert.id, "rule": alert.rule.id, "title": alert.rule.title}
    row |= {"urgency": alert.rule.urgency, "old": alert.old, "late": alert.late, "key": alert.key}
    return {**row, "steps": [{"step": one.step, "time": rfc3339(one.time)} for one in transitions]}


def _conclusion(
    held: Sequence[Rule],
    counted: Sequence[Row],
    alerts: Mapping[str, Sequence[Alert]],
    became: Mapping[str, Sequence[Row]],
    feeding: set[str],
) -> Row:
    row: Row = {"what": "conclusion"}
    rows = [one for found in became.values() for one in found]
    heard = sorted({str(one["receiver"]) for one in rows if one.get("delivered")})
    if heard:
        return {**row, "verdict": "told", "because": [f"{', '.join(heard)} heard of it"]}
    if rows:
        return {**row, "verdict": "quiet", "because": sorted({f"{one['how']}: {one.get('why', '')}" for one in rows})}
    if not held:
        return {**row, "verdict": "quiet", "because": ["no rule held for it"]}
    reasons = [str(one["because"]) for one in counted if not one["fired"]]
    alone = [rule for rule in held if rule.about.id not in feeding]
    reasons += [_unalerted(rule) for rule in alone]
    return {**row, "verdict": "quiet", "because": reasons or ["what held only feeds correlations"]}


def _unalerted(rule: Rule) -> str:
    if rule.alerting.kind == "condition":
        after = f", or had not yet held for {rule.alerting.hold}" if rule.alerting.hold else ""
        return f"{rule.about.title!r} holds, and no alert names this event: it was firing already{after}"
    return f"{rule.about.title!r} holds now, and there is no alert: it was judged by other rules, or not yet"
