"""The `correlation:` block of a rule: which rules, in which window, grouped by what, until which condition holds."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from rules import condition
from rules.alerting import timespan
from rules.document import Entry, is_empty, mapping, scalar, spelled, text, texts, words
from rules.faults import Report, RuleError, meant
from rules.predicate import And, Field, Not, Null, Or, Predicate

Type: TypeAlias = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
TYPES: Final[Mapping[str, Type]] = {
    "event_count": "event_count",
    "value_count": "value_count",
    "temporal": "temporal",
    "temporal_ordered": "temporal_ordered",
    "value_sum": "value_sum",
    "value_avg": "value_avg",
    "value_percentile": "value_percentile",
    "value_median": "value_median",
}
OPS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}
SEEN_LIMIT: Final = 50_000  # matches that one group's window holds
_KNOWN = ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
_OF_VALUES = ("value_count", "value_sum", "value_avg", "value_percentile", "value_median")
_NUMBER = re.compile(r"[-+]?\d{1,18}(\.\d{0,18})?(e[-+]?\d{1,2})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """The comparisons that must all hold of the measured value."""

    ops: tuple[tuple[str, float], ...]
    fields: tuple[str, ...] = ()
    percentile: float = 50.0

    def hold(self, value: float) -> bool:
        return all(OPS[op](value, limit) for op, limit in self.ops)


@dataclass(frozen=True, slots=True)
class Correlating:
    """What a correlation asks. `seen` is a temporal one's boolean condition over rule names."""

    type: Type
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    timespan: timedelta
    limits: Limits | None
    seen: Predicate | None = None  # over Field(rule name, Null()): "was seen"; see rules/correlation.py
    aliases: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    generate: bool = False

    @property
    def monotone(self) -> bool:
        """Whether more events can only make it truer, so that it may fire on arrival (law 5)."""
        if self.seen is not None:
            return not _negates(self.seen)
        counts = self.type in ("event_count", "value_count", "temporal", "temporal_ordered")
        return counts and (self.limits is None or all(op in ("gt", "gte") for op, _ in self.limits.ops))


def _negates(part: Predicate) -> bool:
    match part:
        case Not():
            return True
        case And(parts) | Or(parts):
            return any(_negates(one) for one in parts)
    return False


def correlating(entry: Entry, report: Report) -> Correlating | None:
    """Read the block, or report every fault in it and return None."""
    before = report.errors
    found = mapping(entry.value, report, "correlation")
    if found is None:
        return None
    spelled(found, _KNOWN, report, "correlation")
    for name in found.keys() - set(_KNOWN):
        report.warn(found[name].key, f"correlation: {name!r} is not known; known are {', '.join(_KNOWN)}")
    for name in ("type", "timespan"):
        if name not in found:
            report.fault(entry.key, f"a correlation needs {name!r}")
    kind = _type(found.get("type"), report)
    rules = _rules(found, entry, report)
    limits, seen = _condition(kind, rules, found, entry, report)
    out = Correlating(
        kind or "event_count",
        rules,
        words(found.get("group-by"), report, "correlation.group-by") or (),
        _timespan(found.get("timespan"), report),
        limits,
        seen,
        _aliases(found.get("aliases"), report),
        _generate(found.get("generate"), report),
    )
    return out if report.errors == before else None


def _rules(found: Mapping[str, Entry], block: Entry, report: Report) -> tuple[str, ...]:
    """Return the rules that are listed or, where a condition in words names them, those that it names."""
    listed, said = found.get("rules"), found.get("condition")
    if listed is not None and not is_empty(listed.value):
        before = report.errors
        rules = texts(listed, report, "correlation.rules") or ()
        if not rules and report.errors == before:
            report.fault(listed.key, "correlation.rules names no rule")
        nodes = listed.value.value if isinstance(listed.value, SequenceNode) else [listed.value]
        for node, name in zip(nodes, rules, strict=False):
            report.refers(node, name, "correlation")
        return rules
    if said is not None and isinstance(said.value, ScalarNode) and not is_empty(said.value):
        rules = condition.names_in(str(said.value.value))
        for name in rules:
            report.refers(said.value, name, "correlation")
        return rules
    report.fault(block.key, "a correlation needs 'rules'")
    return ()


def _type(entry: Entry | None, report: Report) -> Type | None:
    value = text(entry, report, "correlation.type")
    kind = TYPES.get(value or "")
    if entry is not None and kind is None:
        hint = meant(value or "", TYPES)
        report.fault(entry.value, f"correlation.type {value!r} is not one of {', '.join(TYPES)}{hint}")
    return kind


def _timespan(entry: Entry | None, report: Report) -> timedelta:
    value = text(entry, report, "correlation.timespan")
    span = timespan(value) if value is not None else None
    if entry is not None and not span:
        report.fault(entry.value, f"correlation.timespan {value!r} is no span such as 30s, 5m, 2h, 1d")
    if entry is not None and value and value.endswith("M"):
        report.warn(entry.value, f"correlation.timespan {value}: M is months; minutes are m")
    return span or timedelta(0)


def _generate(entry: Entry | None, report: Report) -> bool:
    if entry is None or is_empty(entry.value):
        return False
    value = scalar(entry.value) if isinstance(entry.value, ScalarNode) else None
    if not isinstance(value, bool):
        report.fault(entry.value, "correlation.generate must be true or false")
    return value is True


def _aliases(entry: Entry | None, report: Report) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    found = mapping(entry.value, report, "correlation.aliases") if entry and not is_empty(entry.value) else None
    out: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    for alias, rules in (found or {}).items():
        named = mapping(rules.value, report, f"correlation.aliases.{alias}") or {}
        for rule, entry_of in named.items():
            report.refers(entry_of.key, rule, f"alias {alias!r}")
        pairs = {rule: text(field, report, f"correlation.aliases.{alias}.{rule}") for rule, field in named.items()}
        out.append((alias, tuple((rule, field) for rule, field in pairs.items() if field)))
    return tuple(out)


def _condition(
    kind: Type | None, rules: tuple[str, ...], found: Mapping[str, Entry], block: Entry, report: Report
) -> tuple[Limits | None, Predicate | None]:
    entry = found.get("condition")
    temporal = kind in ("temporal", "temporal_ordered")
    if entry is None or is_empty(entry.value):
        if kind is not None and not temporal:
            report.fault(block.key, f"a correlation of type {kind} needs a condition")
        return None, None
    if isinstance(entry.value, MappingNode):
        return _limits(kind, entry, report), None
    if not isinstance(entry.value, ScalarNode) or not temporal:
        report.fault(entry.value, "correlation.condition as text is for temporal ones; {gte: 10} or the like is meant")
        return None, None
    return None, _seen(entry.value, rules, report)


def _seen(node: ScalarNode, rules: tuple[str, ...], report: Report) -> Predicate | None:
    names: dict[str, Predicate] = {rule: Field(rule, Null()) for rule in rules}
    try:
        found, used = condition.parse(str(node.value), names, condition.Predicates(), "rule")
    except RuleError as error:
        report.fault(node, f"correlation.{error}")
        return None
    unused = [rule for rule in rules if rule not in used]
    if unused:
        report.fault(node, f"correlation.condition does not say what of {', '.join(unused)}")
    return found


def _limits(kind: Type | None, entry: Entry, report: Report) -> Limits | None:
    found = mapping(entry.value, report, "correlation.condition") or {}
    ops: list[tuple[str, float]] = []
    percentile = 50.0
    for name, part in found.items():
        if name == "field":
            continue
        number = _number(part, name, report)
        if name == "percentile" and number is not None:
            percentile = number
        elif name not in OPS and name != "percentile":
            known = (*OPS, "field", "percentile")
            report.fault(part.key, f"correlation.condition: {name!r} is not one of {', '.join(known)}")
        elif number is not None:
            ops.append((name, number))
            if kind in ("event_count", "value_count") and name in ("gt", "gte", "eq") and number > SEEN_LIMIT:
                report.warn(
                    part.value, f"correlation.condition: a window holds {SEEN_LIMIT} matches, so never {number:g}"
                )
    before = report.errors
    fields = words(found.get("field"), report, "correlation.condition.field") or ()
    if kind in _OF_VALUES and not fields and report.errors == before:
        report.fault(entry.key, f"correlation.condition: {kind} needs the field whose values it takes")
    if not any(name in OPS for name in found):
        report.fault(entry.key, f"correlation.condition needs a comparison: {', '.join(OPS)}")
    if not 0 <= percentile <= 100:
        report.fault(entry.key, "correlation.condition.percentile lies between 0 and 100")
    return Limits(tuple(ops), fields, percentile)


def _number(entry: Entry, name: str, report: Report) -> float | None:
    value = text(entry, report, f"correlation.condition.{name}")
    if value is None or not _NUMBER.fullmatch(value):
        report.fault(entry.value, f"correlation.condition.{name}: {value!r} is no number")
        return None
    return int(value) if value.lstrip("-+").isdigit() else float(value)
