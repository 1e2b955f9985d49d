"""What a rule means: a table of the edges, and a naive second evaluator over random rules and events."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile import Index
from rules.evaluate import compiled
from rules.ruleset import load
from rules.sieve import Sieve
from tests.properties import examples
from tests.rules import generate, naive


def holds(detection: str, event: dict[str, Any], lists: dict[str, list[str]] | None = None) -> bool:
    text = f"title: t\nlogsource: {{product: test}}\ndetection:\n  s: {detection}\n  condition: s\n"
    ruleset = load([("t.yml", text)], lists or {})
    assert not ruleset.errors, ruleset.errors
    return compiled(ruleset.rules[0].predicate)(event)


@pytest.mark.parametrize(
    ("detection", "value", "matches"),
    [
        # Strings: whole value, case ignored, wildcards, escapes.
        (r"{a: admin}", "ADMIN", True),
        (r"{a: admin}", "administrator", False),
        (r"{a: adm*}", "administrator", True),
        (r"{a: adm?n}", "admin", True),
        (r"{a: adm?n}", "admn", False),
        (r"{a: 'a\b'}", r"a\b", True),
        (r"{a: 'a\\b'}", r"a\b", True),
        (r"{a: 'a\*'}", "a*", True),
        (r"{a: 'a\*'}", "ab", False),
        (r"{a: 'a\\*'}", r"a\xyz", True),
        (r"{a: 'a\\*'}", "a*", False),
        (r"{a: 'a\\\*'}", r"a\*", True),
        (r"{a: 'a\\\*'}", r"a\b", False),
        (r"{a: 'a\\\\'}", r"a\\", True),
        (r"{a: 'C:\Windows\'}", "c:\\windows\\", True),
        (r"{a: 'a*b*c'}", "a\nb\nc", True),
        (r"{a: 'a*ab'}", "ab", False),
        (r"{a: 'ä'}", "Ä", True),
        (r"{a: ''}", "", True),
        (r"{a: ''}", None, False),
        (r"{a: '*'}", "", True),
        (r"{a: '*'}", None, False),
        # Numbers match both ways; booleans are their own.
        (r"{a: 443}", "443", True),
        (r"{a: '443'}", 443, True),
        (r"{a: 443}", "4430", False),
        (r"{a: 1}", True, False),
        (r"{a: true}", True, True),
        (r"{a: true}", 1, False),
        (r"{a: 'true'}", True, True),
        # Null.
        (r"{a: null}", None, True),
        (r"{a: null}", "", False),
        (r"{a: []}", None, True),
        (r"{a: []}", "x", False),
        # Lists: any element.
        (r"{a: x}", ["y", "x"], True),
        (r"{a|contains|all: [x, y]}", ["ax", "ay"], True),
        (r"{a|neq: x}", ["y", "x"], False),
        # Modifiers.
        (r"{a|contains: B}", "abc", True),
        (r"{a|contains|cased: B}", "abc", False),
        (r"{a|cased|contains: B}", "aBc", True),
        (r"{a|startswith: 'a*'}", "axx", True),
        (r"{a|endswith: c}", "abC", True),
        (r"{a|contains|all: [a, b]}", "xbxa", True),
        (r"{a|contains|all: [a, b]}", "xa", False),
        (r"{a|neq: x}", None, True),
        (r"{a|neq|all: [x, y]}", "x", True),
        (r"{a|neq: [x, y]}", "x", False),
        (r"{a|re: '^a.c$'}", "abc", True),
        (r"{a|re: 'ABC'}", "abc", False),
        (r"{a|re|i: 'ABC'}", "abc", True),
        (r"{a|re: 'b'}", "abc", True),
        (r"{a|re: 'a.c'}", "a\nc", False),
        (r"{a|re|s: 'a.c'}", "a\nc", True),
        (r"{a|re|m: '^b'}", "a\nb", True),
        (r"{a|re: '[0-9]'}", 5, True),
        (r"{a|cidr: 10.0.0.0/8}", "10.1.2.3", True),
        (r"{a|cidr: 10.0.0.0/8}", "11.1.2.3", False),
        (r"{a|cidr: 10.0.0.0/8}", "not an address", False),
        (r"{a|cidr: 'fe80::/10'}", "fe80::1", True),
        (r"{a|base64: foo}", "Zm9v", True),
        (r"{a|wide|base64: ping}", "cABpAG4AZwA=", True),
        (r"{a|utf16le|base64: ping}", "cABpAG4AZwA=", True),
        (r"{a|base64offset|contains: foobar}", "eGZvb2Jhcg==", True),
        (r"{a|base64offset|contains: foobar}", "eHhmb29iYXI=", True),
        (r"{a|windash|contains: ' -x'}", "cmd /x", True),
        (r"{a|windash|contains: ' -x'}", "cmd \u2014x", True),
        (r"{a|gt: 5}", "5.5", True),
        (r"{a|gt: 5}", "five", False),
        (r"{a|lte: 5}", 5, True),
        (r"{a|lt: 5}", True, False),
        (r"{a|exists: true}", None, True),
        (r"{a|exists: false}", "x", False),
        (r"{a|hour: 3}", "2024-01-15T03:10:00+09:00", True),
        (r"{a|hour|gte: 22}", "2024-01-15 22:00:00", True),
        (r"{a|week: 3}", "2024-01-15", True),
        (r"{a|day: 15}", "2024-01-15T03:10:00Z", True),
        (r"{a|year: 2024}", "not a date", False),
        (r"{a|fieldref: b}", "same", True),
        (r"{a|fieldref|endswith: b}", "the same", True),
        (r"{a|fieldref|cased: b}", "SAME", False),
        (r"{a|fieldref|neq: b}", "same", False),
    ],
)  # fmt: skip
def test_an_item(detection: str, value: Any, matches: bool) -> None:
    assert holds(detection, {"a": value, "b": "same"}) is matches


def test_an_absent_field_is_null_and_not_there() -> None:
    assert holds("{x: null}", {})
    assert holds("{x|exists: false}", {})
    assert not holds("{x: '*'}", {})
    assert holds("{x|neq: y}", {})


def test_keywords_are_found_anywhere_in_any_value() -> None:
    assert holds("[segfault, 'sig*kill']", {"message": "a SigTermKill came", "n": 3})
    assert not holds("{'|all': [segfault, core]}", {"message": "a segfault"})
    assert holds("{'|all': [segfault, core]}", {"message": "a segfault", "more": "core dumped"})


def test_lists_are_expanded_and_a_missing_one_makes_the_rule_inactive() -> None:
    assert holds("{a|expand: '%dbas%'}", {"a": "Ann"}, {"dbas": ["ann", "svc_*"]})
    assert holds("{a|expand|endswith: '/%dbas%'}", {"a": "x/svc_1"}, {"dbas": ["ann", "svc_*"]})
    assert holds("{a: '%dbas%'}", {"a": "%dbas%"})
    text = "title: t\nlogsource: {product: x}\ndetection: {s: {a|expand: '%gone%'}, condition: s}"
    ruleset = load([("t.yml", text)], {})
    assert ruleset.inactive(ruleset.rules[0]) == "no list gone"
    assert [str(fault) for fault in ruleset.faults] == ["t.yml:1: warning: inactive: there is no list gone"]


@settings(max_examples=examples(600))
@given(generate.rule(), st.lists(generate.event, min_size=1, max_size=4))
def test_a_naive_evaluator_agrees(rule: dict[str, Any], events: list[dict[str, Any]]) -> None:
    ruleset = load([("t.yml", yaml.safe_dump(rule, allow_unicode=True))], {})
    if ruleset.errors:  # too many dashes, say: the loader may refuse, never err in silence
        assert "windash" in ruleset.errors[0].what
        return
    decide = compiled(ruleset.rules[0].predicate)
    for event in events:
        assert decide(event) is naive.matches(rule, event), event


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(
    st.lists(generate.rule(), min_size=1, max_size=8), st.lists(generate.event, min_size=1, max_size=8), st.booleans()
)
def test_the_compiled_rule_set_agrees_with_the_naive_evaluator(
    rules: list[dict[str, Any]], events: list[dict[str, Any]], escaped: bool
) -> None:
    named = [rule | {"title": f"rule {number}"} for number, rule in enumerate(rules)]
    ruleset = load([("t.yml", yaml.safe_dump_all(named, allow_unicode=True))], {})
    predicates = [(rule.predicate, (rule, compiled(rule.predicate))) for rule in ruleset.rules]
    index, sieve = Index(predicates), Sieve(Index(predicates), {}, msgspec.json.decode)
    loaded = {rule.about.title for rule in ruleset.rules}
    for event in events:
        held = {rule.about.title for rule, holds in index.candidates(event) if holds(event)}
        record = json.dumps(event, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
        read = sieve.read(record)
        triggered = sieve.narrow(read, record)
        found = sieve.caught(triggered, read, record)[0] if triggered else []
        assert held == {rule.about.title for rule, holds in found if holds(event)}
        assert held == {rule["title"] for rule in named if rule["title"] in loaded and naive.matches(rule, event)}, (
            event
        )


@pytest.mark.slow
@settings(max_examples=examples(150))
@given(
    st.lists(generate.rule(), min_size=1, max_size=8),
    st.lists(generate.event, min_size=1, max_size=6),
    st.lists(generate.event, min_size=1, max_size=6),
)
def test_what_was_learnt_of_events_changes_nothing_of_what_matches(
    rules: list[dict[str, Any]], learnt: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    named = [rule | {"title": f"rule {number}"} for number, rule in enumerate(rules)]
    ruleset = load([("t.yml", yaml.safe_dump_all(named, allow_unicode=True))], {})
    index = Index([(rule.predicate, (rule, compiled(rule.predicate))) for rule in ruleset.rules])
    index.learn(learnt)
    sieve = Sieve(index, {}, msgspec.json.decode)
    for event in events:
        record = msgspec.json.encode(event)
        read = sieve.read(record)
        triggered = sieve.narrow(read, record)
        found = sieve.caught(triggered, read, record)[0] if triggered else []
        held = {rule.about.title for rule, holds in found if holds(event)}
        assert held == {rule.about.title for rule in ruleset.rules if compiled(rule.predicate)(event)}
