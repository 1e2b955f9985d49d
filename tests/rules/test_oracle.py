"""pySigma reads the same rules: what it makes of them, put into our algebra, decides every event alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.collection import SigmaCollection
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.types import (
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

from rules import predicate as p
from rules.evaluate import compiled, fields_of
from rules.patterns import join
from rules.ruleset import load
from tests.properties import examples
from tests.rules import generate

RULES = Path(__file__).parents[3] / "shared" / "suites" / "sigma" / "rules_yaml"


def theirs(text: str) -> p.Predicate:
    (rule,) = SigmaCollection.from_yaml(text).rules
    assert isinstance(rule, SigmaRule)
    return p.Or(tuple(tree(condition.parse()) for condition in rule.detection.parsed_condition))


def tree(node: Any) -> p.Predicate:
    match node:
        case ConditionAND():
            return p.And(tuple(map(tree, node.args)))
        case ConditionOR():
            return p.Or(tuple(map(tree, node.args)))
        case ConditionNOT():
            return p.Not(tree(node.args[0]))
        case ConditionFieldEqualsValueExpression():
            return value(node.field, node.value)
        case ConditionValueExpression():
            found = pattern(node.value) if isinstance(node.value, SigmaString) else (str(node.value),)
            if isinstance(node.value, SigmaRegularExpression):
                return p.Keyword(p.Regex(str(node.value.regexp)))
            return p.Keyword(p.Text(found))
    raise AssertionError(node)


def pattern(text: SigmaString) -> tuple[str | p.Wildcard, ...]:
    wild: dict[object, p.Wildcard] = {
        SpecialChars.WILDCARD_MULTI: p.Wildcard.ANY,
        SpecialChars.WILDCARD_SINGLE: p.Wildcard.ONE,
    }
    return join(*(part if isinstance(part, str) else wild[part] for part in text.s))


def value(field: str, what: Any) -> p.Predicate:
    match what:
        case SigmaExpansion():
            return p.Or(tuple(value(field, one) for one in what.values))
        case SigmaString():
            return p.Field(field, p.Text(pattern(what), isinstance(what, SigmaCasedString)))
        case SigmaNumber():
            return p.Field(field, p.Number(what.number))
        case SigmaBool():
            return p.Field(field, p.Boolean(what.boolean))
        case SigmaNull():
            return p.Field(field, p.Null())
        case SigmaRegularExpression():
            flags = "".join(sorted(flag.name[0].lower() for flag in what.flags))
            return p.Field(field, p.Regex(str(what.regexp), flags))
        case SigmaCIDRExpression():
            return p.Field(field, p.Cidr(what.cidr))
        case SigmaCompareExpression():
            op: Any = what.op.name.lower()
            return p.Field(field, p.Compare(op, what.number.number))
        case SigmaExists():
            return p.Field(field, p.Exists(what.exists))
        case SigmaFieldReference():
            how = {(True, True): "contains", (True, False): "startswith", (False, True): "endswith"}
            kind: Any = how.get((what.starts_with, what.ends_with), "equals")
            return p.Field(field, p.SameAs(what.field, kind))
    raise AssertionError(type(what))


@settings(max_examples=examples(300))
@given(generate.rule(), st.lists(generate.event, min_size=1, max_size=4))
def test_random_rules_mean_what_pysigma_reads(rule: dict[str, Any], events: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump(rule, allow_unicode=True)
    ours = load([("t.yml", text)], {})
    try:
        oracle = compiled(theirs(text))
    except (SigmaError, AssertionError):
        return  # it refuses some of what we take, and tells apart less (cased references)
    if ours.errors or "fieldref" in text:
        return
    decide = compiled(ours.rules[0].predicate)
    for event in events:
        assert decide(event) is oracle(event), event


def likely(predicate: p.Predicate) -> Iterator[dict[str, Any]]:
    """Events made of the rule's own values, in turns."""
    values: dict[str, list[Any]] = {name: [] for name in fields_of(predicate)}
    for field, test in leaves(predicate):
        if isinstance(test, p.Text) and field:
            values[field].append("".join(part if isinstance(part, str) else "x" for part in test.pattern))
        elif isinstance(test, p.Number):
            values[field].append(test.value)
    for turn in range(12):
        event = {name: found[turn * step % len(found)] for step, (name, found) in enumerate(values.items(), 1) if found}
        yield event
        yield dict(itertools.islice(event.items(), turn % 4))


def leaves(predicate: p.Predicate) -> Iterator[tuple[str, p.Test]]:
    match predicate:
        case p.And(parts) | p.Or(parts):
            for part in parts:
                yield from leaves(part)
        case p.Not(part):
            yield from leaves(part)
        case p.Field(name, test):
            yield name, test


@pytest.mark.skipif(not RULES.is_dir(), reason="the acceptance suites are not here")
def test_sigmahq_s_rules_mean_what_pysigma_reads() -> None:
    held = 0
    for path in sorted(RULES.glob("rules*/**/*.yml")):
        text = path.read_text()
        ruleset = load([(path.name, text)], {})
        if len(ruleset.rules) != 1 or ruleset.rules[0].missing or ruleset.correlations:
            continue
        ours, oracle = compiled(ruleset.rules[0].predicate), compiled(theirs(text))
        for event in likely(ruleset.rules[0].predicate):
            assert ours(event) is oracle(event), (path, event)
            held += ours(event)
    assert held > 100
