"""Explanations: clauses that agree with the rule, the clause that failed, and proofs that are run again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.alert import Alert
from rules.correlator import Correlator
from rules.evaluate import compiled
from rules.event import Event, Fields, Value
from rules.explain import Tree, failing, holds, readings, tree_of, unrouted
from rules.logsource import Logsource, origin
from rules.match import Marker, Match
from rules.rerun import rerun
from rules.ruleset import RuleSet, load
from rules.sigma import Rule
from rules.wording import wanted
from tests.rules import generate

START = datetime(2026, 11, 22, tzinfo=UTC)


def tree(text: str, lists: dict[str, tuple[str, ...]] | None = None) -> Tree:
    ruleset = load([("r.yml", text)], lists or {})
    assert not ruleset.errors, ruleset.errors
    return tree_of(ruleset.rules[0], text, lists, ruleset.filters)


def rule(detection: str) -> str:
    return f"title: t\nlogsource: {{product: test}}\ndetection:\n{detection}"


# clauses


@given(generate.rule(), st.lists(generate.event, min_size=1, max_size=5))
def test_the_clauses_of_any_rule_hold_where_the_rule_does(made: dict[str, object], events: list[Fields]) -> None:
    text = yaml.safe_dump(made)
    ruleset = load([("r.yml", text)], {})
    for one in ruleset.rules:
        decide, found = compiled(one.predicate), tree_of(one, text)
        for fields in events:
            assert holds(found, fields) is decide(fields)


@given(generate.rule(), generate.event)
def test_a_clause_is_blamed_exactly_when_the_rule_does_not_hold_and_stands_otherwise_than_asked(
    made: dict[str, object], fields: Fields
) -> None:
    text = yaml.safe_dump(made)
    for one in load([("r.yml", text)], {}).rules:
        blamed = failing(tree_of(one, text), fields)
        assert (blamed is None) is compiled(one.predicate)(fields)
        assert blamed is None or not blamed.good


@given(generate.rule())
def test_selections_keep_their_names(made: dict[str, object]) -> None:
    text = yaml.safe_dump(made)
    for one in load([("r.yml", text)], {}).rules:
        assert {reading.selection for reading in readings(tree_of(one, text), {})} <= {"s1", "s2", "_x"}


@pytest.mark.parametrize(
    ("detection", "fields", "selection", "field", "others"),
    [
        ("    s: {a: 1, b: 2}\n    condition: s", {"a": 1}, "s", "b", 0),
        ("    s: {a: 1}\n    x: {b: 2}\n    condition: s and not x", {"a": 1, "b": 2}, "x", "b", 0),
        ("    s: {a: 1}\n    x: {b: 2}\n    condition: 1 of *", {}, "s", "a", 1),
        ("    s: {a: 1}\n    x: {b: 2}\n    condition: not (s or x)", {"b": 2}, "x", "b", 0),
        ("    s: [needle]\n    condition: s", {"a": "hay"}, "s", "", 0),
    ],
)
def test_the_first_failing_clause_is_named(
    detection: str, fields: Fields, selection: str, field: str, others: int
) -> None:
    found = failing(tree(rule(detection)), fields)
    assert found is not None
    assert (found.selection, found.field, found.others) == (selection, field, others)


def test_a_filter_is_a_clause_of_its_own() -> None:
    text = (
        rule("    s: {a: 1}\n    condition: s")
        + "\n---\ntitle: No bots\nlogsource: {product: test}\n"
        + "filter:\n    rules: any\n    bot: {b: 2}\n    condition: not bot\n"
    )
    found = failing(tree(text), {"a": 1, "b": 2})
    assert found is not None
    assert (found.selection, found.field, found.negated) == ("filter 'No bots'", "b", True)


def test_a_rule_whose_text_has_changed_is_told_without_names_and_not_with_wrong_ones() -> None:
    (one,) = load([("r.yml", rule("    s: {a: 1}\n    condition: s"))], {}).rules
    changed = tree_of(one, rule("    s: {a: 2}\n    condition: s"))
    assert [(reading.selection, reading.wanted) for reading in readings(changed, {})] == [("", "is 1")]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("a: root", "is 'root'"),
        ("a: [root, toor]", "is one of 'root', 'toor'"),
        ("a|contains: [x, y]", "contains one of 'x', 'y'"),
        ("a|contains|all: [x, y]", "contains 'x' and contains 'y'"),
        ("a|startswith: x", "starts with 'x'"),
        ("a|endswith|cased: x", "ends with 'x' (case counts)"),
        ("a: x*y", "is like 'x*y'"),
        ("a: ''", "is empty"),
        ("a: null", "is absent or null"),
        ("a|exists: false", "is not there"),
        ("a|re|i: x+", "matches /x+/i"),
        ("a|cidr: 10.0.0.0/8", "is an address in 10.0.0.0/8"),
        ("a|gte: 0.9", ">= 0.9"),
        ("a|fieldref: b", "equals the field b"),
        ("a|hour|gte: 22", "its hour >= 22"),
        ("a: [1, 2, 3, 4, 5, 6, 7, 8]", "is 1 or is 2 or is 3 or is 4 or is 5 or is 6 … (8 in all)"),
    ],
)
def test_what_a_clause_wants_is_said_in_words(item: str, said: str) -> None:
    (one,) = load([("r.yml", rule(f"    s: {{{item}}}\n    condition: s"))], {}).rules
    assert wanted(one.predicate) == said


@pytest.mark.parametrize(
    ("logsource", "reason"),
    [
        (Logsource("windows"), "logsource product windows"),
        (Logsource("linux", None, "auditd"), "logsource service auditd"),
        (Logsource(None, "database"), "logsource category database"),
        (Logsource("tocsin"), "logsource product tocsin"),
        (Logsource("linux", None, "auth"), None),
    ],
)
def test_why_a_rule_does_not_see_an_event_is_named(logsource: Logsource, reason: str | None) -> None:
    assert unrouted(logsource, origin({"tocsin.class": "auth", "event.module": "sshd"})) == reason


def test_only_rules_of_product_tocsin_see_tocsin_s_own() -> None:
    assert unrouted(Logsource("linux"), origin({"event.module": "tocsin"})) == "the event is Tocsin's own"


# proofs

BASE = (
    "title: {name}\nname: {name}\nlogsource: {{product: linux}}\n"
    "detection:\n    s: {{kind: {name}}}\n    condition: s\n"
)
TYPES = [
    "{type: event_count, rules: [x, y], group-by: [g], timespan: 10s, condition: {gte: 3}}",
    "{type: event_count, rules: [x], timespan: 10s, condition: {lt: 3}}",
    "{type: event_count, rules: [x], timespan: 10s, condition: {eq: 2}}",
    "{type: value_count, rules: [x, y], group-by: [g], timespan: 10s, condition: {field: v, gte: 3}}",
    "{type: value_sum, rules: [x, y], group-by: [g], timespan: 10s, condition: {field: v, gt: 5}}",
    "{type: value_avg, rules: [x, y], timespan: 10s, condition: {field: v, lte: 2}}",
    "{type: value_percentile, rules: [x, y], timespan: 10s, condition: {field: v, percentile: 90, gte: 3}}",
    "{type: temporal, rules: [x, y], group-by: [g], timespan: 10s}",
    "{type: temporal, rules: [x, y], timespan: 10s, condition: x and not y}",
    "{type: temporal_ordered, rules: [x, y], group-by: [g], timespan: 10s}",
]
CHAINED = (
    "---\ntitle: inner\nname: inner\ncorrelation: {type: event_count, rules: [x], group-by: [g], timespan: 10s, "
    "condition: {gte: 2}}\n---\ntitle: corr\n"
    "correlation: {type: temporal, rules: [inner, y], group-by: [g], timespan: 30s}\n"
)

happening = st.tuples(st.integers(0, 40), st.sampled_from("xy"), st.sampled_from("gh"), st.integers(0, 4))
history = st.lists(happening, min_size=1, max_size=14)


@cache
def ruleset_of(correlation: str) -> RuleSet:
    text = BASE.format(name="x") + "---\n" + BASE.format(name="y")
    text += correlation if correlation.startswith("---") else f"---\ntitle: corr\ncorrelation: {correlation}\n"
    found = load([("r.yml", text)], {})
    assert not found.errors, found.errors
    return found


def events_of(happened: Sequence[tuple[int, str, str, int]]) -> list[Event]:
    out = []
    for number, (second, kind, group, value) in enumerate(happened):
        fields: dict[str, Value] = {"kind": kind, "g": group, "v": value}
        out.append(Event(f"e{number:02}", START + timedelta(seconds=second), fields))
    return sorted(out, key=lambda one: (one.time, one.id))


def alerts_of(rules: RuleSet, events: Sequence[Event]) -> list[Alert]:
    """Return the alerts of a live run, each as it was told last."""
    correlator = Correlator(rules, "test")
    out: list[Alert] = []
    for event in events:
        for one in rules.rules:
            if compiled(one.predicate)(event.fields):
                match = Match(
                    one.about.id, one.about.meaning, event.id, event.time, event.time, event.time, dict(event.fields)
                )
                out += correlator.feed(match)
    end = START + timedelta(days=1)
    for minutes in (2, 4, 8):
        moment = START + timedelta(minutes=minutes)
        out += correlator.feed(Marker(0, moment), moment)
    out += correlator.feed(Marker(0, end), end)
    return [one for one in out if one.step == "settled" and one.rule.title == "corr"]


def trees(one: Rule, _event: Event) -> Tree:
    return tree_of(one)


@pytest.mark.parametrize("correlation", [*TYPES, CHAINED])
@given(happened=history)
def test_what_was_told_of_a_history_holds_over_the_events_that_its_proof_names(
    correlation: str, happened: list[tuple[int, str, str, int]]
) -> None:
    rules, events = ruleset_of(correlation), events_of(happened)
    for alert in alerts_of(rules, events):
        stored = [one for one in events if one.id in alert.proof.events]
        assert rerun(alert, rules, stored, trees).reasons == ()


@pytest.mark.parametrize("correlation", [*TYPES, CHAINED])
@given(happened=history, place=st.integers(0, 20))
def test_without_one_of_its_events_an_alert_does_not_hold_and_the_event_is_named(
    correlation: str, happened: list[tuple[int, str, str, int]], place: int
) -> None:
    rules, events = ruleset_of(correlation), events_of(happened)
    for alert in alerts_of(rules, events):
        gone = alert.proof.events[place % len(alert.proof.events)]
        stored = [one for one in events if one.id in alert.proof.events and one.id != gone]
        found = rerun(alert, rules, stored, trees)
        assert not found.holds
        assert gone in "; ".join(found.reasons)


@pytest.mark.parametrize("correlation", [*TYPES, CHAINED])
@given(happened=history, place=st.integers(0, 20))
def test_with_one_event_changed_so_that_no_rule_holds_an_alert_does_not_hold(
    correlation: str, happened: list[tuple[int, str, str, int]], place: int
) -> None:
    rules, events = ruleset_of(correlation), events_of(happened)
    for alert in alerts_of(rules, events):
        named = alert.proof.events[place % len(alert.proof.events)]
        stored = [
            Event(one.id, one.time, {**one.fields, "kind": "z"}) if one.id == named else one
            for one in events
            if one.id in alert.proof.events
        ]
        assert not rerun(alert, rules, stored, trees).holds


def test_a_proof_that_names_only_the_first_and_last_of_its_events_is_checked_by_its_digest() -> None:
    rules = ruleset_of("{type: event_count, rules: [x], timespan: 1h, condition: {gte: 1200}}")
    events = events_of([(number, "x", "g", 1) for number in range(1300)])
    (alert,) = alerts_of(rules, [Event(f"e{n:04}", one.time, one.fields) for n, one in enumerate(events)])
    stored = [Event(f"e{n:04}", one.time, one.fields) for n, one in enumerate(events)]
    assert (len(alert.proof.events), alert.proof.count) == (1000, 1300)
    assert rerun(alert, rules, stored, trees).holds
    assert not rerun(alert, rules, [*stored[:600], *stored[601:]], trees).holds
    named = set(alert.proof.events)
    assert not rerun(alert, rules, [one for one in stored if one.id in named], trees).holds


def test_a_rule_that_is_gone_cannot_hold() -> None:
    rules = ruleset_of(TYPES[0])
    events = events_of([(1, "x", "g", 1), (2, "x", "g", 1), (3, "y", "g", 1)])
    (alert,) = alerts_of(rules, events)
    assert rerun(alert, RuleSet(), events, trees).reasons == ("no rule corr is loaded any more",)
