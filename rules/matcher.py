"""match(event) -> the rules that hold for it, and what a condition says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rules.evaluate import Decide, compiled, fields_of
from rules.event import Fields, Value
from rules.logsource import Origin, origin, sees
from rules.ruleset import RuleSet
from rules.sigma import Rule

State: TypeAlias = Literal["holds", "between", "clear"]
_ORIGINS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule held, or, for a condition, said how things stand. `state` is None for an event rule."""

    rule: Rule
    state: State | None = None


Judge: TypeAlias = Callable[[Fields], Hit | None]


class Matcher:
    """A rule set, ready to judge events one at a time. Keeps nothing of them."""

    def __init__(self, ruleset: RuleSet) -> None:
        active = [rule for rule in ruleset.rules if not rule.missing]
        self._judges = [(sees(rule.logsource), _judge(rule)) for rule in active]
        self._by_origin: dict[Origin, list[Judge]] = {}

    def match(self, fields: Fields) -> list[Hit]:
        """Return every rule that sees the event and has something to say of it."""
        where = origin(fields)
        judges = self._by_origin.get(where)
        if judges is None:
            if len(self._by_origin) >= _ORIGINS_KEPT:
                self._by_origin.clear()
            judges = self._by_origin[where] = [judge for sees_it, judge in self._judges if sees_it(where)]
        return [hit for judge in judges if (hit := judge(fields)) is not None]


def _judge(rule: Rule) -> Judge:
    decide = compiled(rule.predicate)
    if rule.alerting.kind == "condition":
        return _condition(rule, decide)
    held = Hit(rule)
    return lambda fields: held if decide(fields) else None


def _condition(rule: Rule, holds: Decide) -> Judge:
    """An event without a field of the key, or of the predicate, says nothing: unknown is not ok."""
    reads = fields_of(rule.predicate) | frozenset(rule.alerting.key)
    if rule.alerting.clear is not None:
        reads |= fields_of(rule.alerting.clear)
    clears = compiled(rule.alerting.clear) if rule.alerting.clear is not None else None
    hits: dict[State, Hit] = {"holds": Hit(rule, "holds"), "between": Hit(rule, "between"), "clear": Hit(rule, "clear")}

    def judge(fields: Fields) -> Hit | None:
        if holds(fields):
            known = all(fields.get(name) is not None for name in rule.alerting.key)
            return hits["holds"] if known else None
        if any(fields.get(name) is None for name in reads):
            return None
        return hits["clear" if clears is None or clears(fields) else "between"]

    return judge


def key_values(names: tuple[str, ...], fields: Fields) -> dict[str, Value]:
    """Return the key's fields with their values; what the event lacks stands as null."""
    return {name: fields.get(name) for name in names}
