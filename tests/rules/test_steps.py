"""What a group's clock and counts are held to, step by step, beside the model of whole histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alert import Alert
from rules.correlator import Correlator
from rules.match import Marker, Match, Record
from tests.rules.test_correlations import Happened, at, records, ruleset, run


def both(number: int, seconds: int, value: int, *, rules: tuple[str, ...]) -> list[Record]:
    """One event that each of these rules matched."""
    moment = at(seconds)
    fields = {"g": "g", "v": value, "host.id": "h"}
    return [Match(rule, "", f"e{number:03}", moment, moment, moment, fields) for rule in rules]


def held(asked: dict[str, Any], *events: list[Record]) -> list[Alert]:
    rules = ruleset({"rules": ["a", "b"], **asked}, ("a", "b"))
    end: list[Record] = [Marker(0, at(10_000))]
    return run(rules, [record for event in (*events, end) for record in event])


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({"type": "event_count", "condition": {"gte": 3}}, False),
        ({"type": "event_count", "condition": {"gte": 2}}, True),
        ({"type": "event_count", "condition": {"eq": 2}}, True),
        ({"type": "value_sum", "condition": {"gte": 8, "field": "v"}}, False),
        ({"type": "value_sum", "condition": {"eq": 7, "field": "v"}}, True),
        ({"type": "value_avg", "condition": {"eq": 3.5, "field": "v"}}, True),
        ({"type": "value_count", "condition": {"gte": 3, "field": "v"}}, False),
        ({"type": "temporal"}, True),
        ({"type": "temporal_ordered"}, False),
    ],
)
def test_an_event_that_several_rules_matched_is_one_event(asked: dict[str, Any], *, holds: bool) -> None:
    second = both(2, 5, 4, rules=("a",)) if asked["type"] == "temporal_ordered" else both(2, 5, 4, rules=("b", "a"))
    assert bool(held(asked, both(1, 0, 3, rules=("a", "b")), second)) is holds


def test_one_event_is_no_order_however_its_matches_come() -> None:
    assert not held({"type": "temporal_ordered"}, both(1, 0, 0, rules=("a", "b")))
    assert not held({"type": "temporal_ordered"}, both(1, 0, 0, rules=("b", "a")))
    assert held({"type": "temporal_ordered"}, both(1, 0, 0, rules=("b", "a")), both(2, 1, 0, rules=("b",)))


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "event_count", "condition": {"eq": 2}},
        {"type": "event_count", "condition": {"lt": 3, "gt": 1}},
        {"type": "event_count", "condition": {"neq": 1}},
        {"type": "value_sum", "condition": {"gte": 0, "field": "v"}},
        {"type": "value_avg", "condition": {"lte": 9, "field": "v"}},
        {"type": "temporal", "rules": ["a", "b"], "condition": "a and not b"},
    ],
)
def test_what_more_events_can_make_false_is_told_when_the_lateness_has_passed_and_not_before(
    asked: dict[str, Any],
) -> None:
    rules = ruleset({"rules": ["a"], **asked}, ("a", "b"))
    correlator = Correlator(rules, "test")
    for record in records([Happened(0, 0), Happened(1, 0)], [])[:-1]:
        assert not correlator.feed(record)
    for second in (1, 30, 59):
        assert not correlator.feed(Marker(0, at(second)), at(second))
    assert [alert.step for alert in correlator.feed(Marker(0, at(62)), at(62))][:1] == ["fired"]


def test_waiting_is_counted_from_arrival_so_that_a_backlog_is_judged_as_it_was() -> None:
    rules = ruleset({"type": "event_count", "rules": ["a"], "condition": {"eq": 2}})
    correlator = Correlator(rules, "test")
    backlog = [replace(one, delay=3_600) for one in (Happened(0, 0), Happened(1, 0))]
    for record in records(backlog, [])[:-1]:
        assert not correlator.feed(record, at(3_600))
    assert not correlator.feed(Marker(0, at(3_650)), at(3_650))
    assert correlator.feed(Marker(0, at(3_662)), at(3_662))


def test_a_match_after_a_quiet_time_is_settled_as_soon_as_any() -> None:
    rules = ruleset({"type": "event_count", "rules": ["a"], "condition": {"eq": 2}})
    correlator = Correlator(rules, "test")
    first, second, third = records([Happened(0, 0), Happened(105, 0), Happened(106, 0)], [])[:-1]
    assert not [
        alert for step in (0, 100) for alert in correlator.feed(first if not step else Marker(0, at(step)), at(step))
    ]
    assert not correlator.feed(second)
    assert not correlator.feed(third)
    assert [alert.step for alert in correlator.feed(Marker(0, at(170)), at(170))][:1] == ["fired"]


late_happened = st.builds(
    Happened,
    st.one_of(st.integers(0, 40), st.integers(700, 740)),
    st.one_of(st.just(0), st.integers(0, 5), st.integers(640, 900)),
    st.sampled_from(["a", "b"]),
    st.just("g"),
    st.integers(0, 4),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(late_happened, min_size=2, max_size=8),
    st.lists(st.sampled_from([100, 690, 760, 800, 850, 1500]), max_size=6),
    st.sampled_from(["event_count", "value_count", "value_sum", "value_avg", "temporal", "temporal_ordered"]),
    st.sampled_from(["gte", "lt", "eq", "neq"]),
    st.integers(1, 3),
)
def test_a_successor_says_all_that_the_one_before_would_have_said(
    history: list[Happened], marks: list[int], kind: str, op: str, limit: int
) -> None:
    condition: dict[str, Any] = {op: limit} | ({"field": "v"} if kind.startswith("value") else {})
    asked = ruleset({"type": kind, "rules": ["a", "b"], "condition": condition})
    incoming = records(history, marks)

    def said(restart_at: int | None) -> list[tuple[object, ...]]:
        alerts = run(asked, incoming, restart_at=restart_at)
        return [(one.step, one.id, one.proof.events, one.proof.count, one.replaces) for one in alerts]

    whole = said(None)
    for place in range(1, len(incoming)):
        assert said(place) == whole, f"handed over before record {place}"
