"""What holds of any rules and any events: replayed is as live, and nobody's rule changes anybody else's alerts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.correlator import Correlator
from rules.match import Marker, Match
from rules.matcher import Matcher
from rules.replay import Replay
from rules.ruleset import RuleSet, load
from tests.rules import generate
from tests.rules.test_correlations import KINDS, OPS, Happened, at, histories, records, ruleset, run, settled

TYPES = st.sampled_from([
    {"type": "event_count", "condition": {"gte": 2}},
    {"type": "event_count", "condition": {"eq": 1}},
    {"type": "value_count", "condition": {"gte": 2, "field": "a"}},
    {"type": "value_sum", "condition": {"gt": 1, "field": "a"}},
    {"type": "temporal"},
    {"type": "temporal_ordered"},
])  # fmt: skip


@st.composite
def rule_set(draw: st.DrawFn, prefix: str) -> list[dict[str, Any]]:
    """A few rules and a correlation over some of them."""
    seen_by_all = {"logsource": {"category": "application"}}
    rules = [
        draw(generate.rule()) | seen_by_all | {"title": f"{prefix}{n}", "name": f"{prefix}{n}"}
        for n in range(draw(st.integers(1, 3)))
    ]
    named = draw(st.lists(st.sampled_from([rule["name"] for rule in rules]), min_size=1, max_size=3, unique=True))
    asked = draw(TYPES) | {"rules": named, "timespan": "5s", "group-by": draw(st.sampled_from([[], ["d"]]))}
    return [*rules, {"title": f"{prefix}c", "name": f"{prefix}c", "correlation": asked}]


def alerts(ruleset: RuleSet, events: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Everything told of these events, one a second, as a worker matches them and the correlator decides."""
    matcher, correlator = Matcher(ruleset), Correlator(ruleset, "test")
    out: list[tuple[object, ...]] = []
    for second, event in enumerate(events):
        hits, fields = matcher.match_json(msgspec.json.encode(event))
        told = correlator.feed(Marker(0, at(second)), at(second))
        for hit in hits:
            about = hit.rule.about
            told += correlator.feed(
                Match(about.id, about.meaning, f"e{second}", at(second), at(second), at(second), fields)
            )
        out += [(one.step, one.id, one.rule.id, one.proof.events, one.replaces) for one in told]
    told = correlator.feed(Marker(0, at(1_000)), at(1_000))
    return out + [(one.step, one.id, one.rule.id, one.proof.events, one.replaces) for one in told]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(rule_set("a"), rule_set("b"), st.lists(generate.event, min_size=1, max_size=10))
def test_adding_rules_never_changes_what_another_fires(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    alone = load([("a.yml", yaml.safe_dump_all(ours, allow_unicode=True))], {})
    both = [
        ("b.yml", yaml.safe_dump_all(theirs, allow_unicode=True)),
        ("a.yml", yaml.safe_dump_all(ours, allow_unicode=True)),
    ]
    names = {one.about.id for one in (*alone.rules, *alone.correlations)}
    assert [one for one in alerts(load(both, {}), events) if one[2] in names] == alerts(alone, events)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(histories, st.sampled_from(KINDS), st.sampled_from(sorted(OPS)), st.integers(1, 4))
def test_replayed_in_order_the_same_episodes_begin_as_live(
    history: list[Happened], kind: str, op: str, limit: int
) -> None:
    condition: dict[str, Any] = {op: limit} | ({"field": "v"} if kind.startswith("value") else {})
    asked = ruleset({"type": kind, "rules": ["a", "b", "c"], "condition": condition})
    ordered = sorted(history, key=lambda one: one.time)
    replay = Replay(asked, every=False)
    begun = [
        tuple(f"e{line - 1:03}" for line in shown.events)
        for line, one in enumerate(ordered, 1)
        for shown in replay.feed(line, at(one.time), {"r": one.rule, "g": one.group, "v": one.value})
        if shown.group is not None
    ]
    live = settled(
        run(asked, records([Happened(one.time, one.delay, one.rule, one.group, one.value) for one in ordered], []))
    )
    assert sorted(begun) == sorted(events[: len(one)] for one, events in _paired(begun, list(live.values())))


def _paired(begun: list[tuple[str, ...]], live: list[tuple[str, ...]]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Put each episode's beginning beside all of it; as many of the one as of the other."""
    assert len(begun) == len(live)
    return list(zip(sorted(begun), sorted(live), strict=True))
