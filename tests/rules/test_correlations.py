"""Correlations settle to what a brute-force model of the whole history says, however the matches came in."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.alert import Alert, alert_id
from rules.correlator import Correlator
from rules.event import rfc3339
from rules.match import Marker, Match, Record
from rules.ruleset import RuleSet, load
from tests.properties import examples

START = datetime(2026, 11, 22, tzinfo=UTC)
SPAN = 20


@dataclass(frozen=True)
class Happened:
    """A match of the model: when it happened, when the stream took it, which rule, group and value."""

    time: int
    delay: int
    rule: str = "a"
    group: str = "g"
    value: int = 0


def ruleset(correlation: dict[str, Any], rules: Sequence[str] = ("a", "b", "c")) -> RuleSet:
    simple = [
        {"title": name, "name": name, "logsource": {"product": "x"}, "detection": {"s": {"r": name}, "condition": "s"}}
        for name in rules
    ]
    asked = {"group-by": ["g"], "timespan": f"{SPAN}s", **correlation}
    document = {"title": "corr", "id": "corr", "correlation": asked}
    found = load([("c.yml", yaml.safe_dump_all([*simple, document]))], {})
    assert not found.errors, found.errors
    return found


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def records(history: Sequence[Happened], marks: Sequence[int]) -> list[Record]:
    """The history as it comes in: by arrival, with markers at the given times and one long after."""
    matches: list[tuple[float, Record]] = [
        (
            one.time + one.delay,
            Match(
                one.rule,
                "",
                f"e{number:03}",
                at(one.time),
                at(one.time + one.delay),
                at(one.time),
                {"g": one.group, "v": one.value, "host.id": "h"},
            ),
        )
        for number, one in enumerate(history)
    ]
    markers: list[tuple[float, Record]] = [(mark + 0.5, Marker(0, at(mark + 0.5))) for mark in marks]
    end: tuple[float, Record] = (1e5, Marker(0, at(1e5)))
    return [record for _, record in sorted([*matches, *markers, end], key=lambda pair: pair[0])]


def run(rules: RuleSet, incoming: Sequence[Record], *, restart_at: int | None = None) -> list[Alert]:
    correlator = Correlator(rules, "test")
    states: dict[str, bytes] = {}
    out: list[Alert] = []
    for number, record in enumerate(incoming):
        if number == restart_at:
            states |= correlator.changed()
            clock = correlator.clock
            correlator = Correlator(rules, "test", clock)
            correlator.restore({place: state for place, state in states.items() if state})
        out += correlator.feed(record, record.up_to if isinstance(record, Marker) else None)
    return out


def settled(alerts: Sequence[Alert]) -> dict[str, tuple[str, ...]]:
    """The last settled transition of each alert that no other replaced: its id and its evidence."""
    out: dict[str, tuple[str, ...]] = {}
    for alert in alerts:
        if alert.rule.id != "corr":
            continue
        for replaced in alert.replaces:
            out.pop(replaced, None)
        if alert.step == "settled":
            out[alert.id] = alert.proof.events
        elif alert.step == "resolved":
            out.pop(alert.id, None)
    return out


OPS = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}


def model(
    history: Sequence[Happened], kind: str, op: str, limit: float, rules: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Every window of every match, measured from scratch."""
    out: dict[str, tuple[str, ...]] = {}
    ordered = sorted((one.time, f"e{number:03}", one) for number, one in enumerate(history) if one.rule in rules)
    for group in {one.group for _, _, one in ordered}:
        mine = [row for row in ordered if row[2].group == group]
        episode: list[str] = []
        name, last = "", -(10**9)
        for time, identity, _ in mine:
            window = [row for row in mine if time - SPAN < row[0] and (row[0], row[1]) <= (time, identity)]
            holds = OPS[op](measure(window, kind, rules), limit)
            if not holds or time - last >= SPAN:
                episode = []
            if not holds:
                continue
            if not episode:
                monotone = op in ("gt", "gte") and kind in (
                    "event_count",
                    "value_count",
                    "temporal",
                    "temporal_ordered",
                )
                name = window[0][1] if monotone else identity
                episode = [row[1] for row in window]
            else:
                episode.append(identity)
            last = time
            out[alert_id("corr", {"g": group}, name)] = tuple(episode)
    return out


def measure(window: Sequence[tuple[int, str, Happened]], kind: str, rules: Sequence[str]) -> float:
    values = [row[2].value for row in window]
    seen = [row[2].rule for row in window]
    match kind:
        case "event_count":
            return len(window)
        case "value_count":
            return len(set(values))
        case "value_sum":
            return sum(values)
        case "value_avg":
            return statistics.fmean(values)
        case "value_percentile":
            return statistics.median(values)
        case "temporal":
            return len(set(seen))
    return longest(seen, rules)


def longest(seen: Sequence[str], rules: Sequence[str]) -> int:
    """The longest run of rules in the listed order, by trying every start."""
    best = 0
    for start, rule in enumerate(seen):
        later = [other for other in rules if rules.index(other) > rules.index(rule)]
        best = max(best, 1 + longest([one for one in seen[start + 1 :] if one in later], rules))
    return best


happened = st.builds(
    Happened,
    st.integers(0, 90),
    st.one_of(st.integers(0, 5), st.integers(0, 5), st.integers(0, 300)),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["g", "g", "h"]),
    st.integers(0, 4),
)
histories = st.lists(happened, max_size=14)
moments = st.lists(st.integers(0, 500), max_size=12)
KINDS = ["event_count", "value_count", "value_sum", "value_avg", "value_percentile", "temporal", "temporal_ordered"]


@settings(max_examples=examples(400))
@given(histories, moments, st.sampled_from(KINDS), st.sampled_from(sorted(OPS)), st.integers(1, 4), st.integers(0, 20))
def test_what_settles_is_what_the_model_says(
    history: list[Happened], marks: list[int], kind: str, op: str, limit: int, restart_at: int
) -> None:
    rules = ("a", "b", "c") if kind.startswith("temporal") else ("a", "b")
    condition: dict[str, Any] = {op: limit} | ({"field": "v"} if kind.startswith("value") else {})
    asked = ruleset({"type": kind, "rules": list(rules), "condition": condition})
    alerts = run(asked, records(history, marks), restart_at=restart_at)
    assert settled(alerts) == model(history, kind, op, limit, rules)


@settings(max_examples=examples(100))
@given(histories, moments, moments)
def test_when_the_clock_is_told_changes_nothing_of_what_settles(
    history: list[Happened], marks: list[int], others: list[int]
) -> None:
    asked = ruleset({"type": "event_count", "rules": ["a", "b"], "condition": {"gte": 3}})
    assert settled(run(asked, records(history, marks))) == settled(run(asked, records(history, others)))


@settings(max_examples=examples(100))
@example(
    [Happened(0, 61, "a", "h", 0), *[Happened(0, 0, "a", "h", 0)] * 2, Happened(0, 0, "b", "h", 0)], [60], 0, 0
)  # settled, then late: the firing that was passed on must go
@given(histories, moments, st.integers(0, 20), st.integers(0, 3))
def test_a_chained_correlation_settles_alike_through_a_restart_and_late_matches(
    history: list[Happened], marks: list[int], restart_at: int, more: int
) -> None:
    inner = {"title": "i", "id": "i", "name": "i", "correlation": {
        "type": "event_count", "rules": ["a"], "group-by": ["g"], "timespan": "10s",
        "condition": {"gte": 2}}}  # fmt: skip
    simple = [
        {"title": name, "name": name, "logsource": {"product": "x"}, "detection": {"s": {"r": name}, "condition": "s"}}
        for name in ("a", "b")
    ]
    outer = {"title": "corr", "id": "corr", "correlation": {
        "type": "temporal_ordered", "rules": ["i", "b"], "group-by": ["g"], "timespan": "20s"}}  # fmt: skip
    asked = load([("c.yml", yaml.safe_dump_all([*simple, inner, outer]))], {})
    assert not asked.errors
    in_time = [Happened(one.time, 0, one.rule, one.group) for one in history]
    plain = settled(run(asked, records(in_time, range(0, 2000, 7))))
    assert settled(run(asked, records(history, marks), restart_at=restart_at)) == plain


def test_a_count_fires_on_the_match_that_reaches_it_and_once_for_the_episode() -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 3}})
    history = [Happened(second, 0) for second in (0, 5, 10, 12, 14)]
    alerts = run(asked, records(history, range(0, 200, 1)))
    assert [(alert.step, alert.proof.count) for alert in alerts] == [("fired", 3), ("settled", 5)]
    assert alerts[0].id == alerts[1].id


@pytest.mark.parametrize(("second", "fires"), [(19, True), (20, False)])
def test_the_window_is_open_at_its_beginning(second: int, fires: bool) -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}})
    assert bool(run(asked, records([Happened(0, 0), Happened(second, 0)], []))) is fires


def test_what_more_events_can_make_false_waits_for_the_lateness() -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"eq": 2}})
    history = [Happened(0, 0), Happened(1, 0), Happened(2, 40)]
    alerts = run(asked, records(history, range(0, 200, 1)))
    assert [(alert.step, alert.proof.events) for alert in alerts] == [
        ("fired", ("e000", "e001")),
        ("settled", ("e000", "e001")),
    ]
    late = [Happened(0, 0), Happened(2, 0), Happened(1, 40)]
    alerts = run(asked, records(late, range(0, 200, 1)))
    assert [alert.proof.events for alert in alerts if alert.step == "settled"] == [("e000", "e002")]


def test_a_late_match_names_the_alert_anew_and_takes_over_the_old_one() -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}})
    history = [Happened(10, 0), Happened(11, 0), Happened(5, 100)]
    alerts = run(asked, records(history, range(0, 400, 1)))
    assert [alert.step for alert in alerts] == ["fired", "settled", "settled"]
    assert alerts[2].proof.events == ("e002", "e000", "e001")
    assert alerts[2].replaces == (alerts[0].id,)


def test_an_event_far_ahead_closes_nobody_s_window() -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 3}})
    far = Happened(10 * 365 * 86400, -10 * 365 * 86400 + 2)
    history = [Happened(0, 0), Happened(1, 0), far, Happened(3, 0)]
    found = settled(run(asked, records(history, range(0, 60, 1))))
    assert list(found.values()) == [("e000", "e001", "e003")]


def test_a_rule_that_feeds_a_correlation_is_quiet_unless_it_generates() -> None:
    quiet = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 3}})
    loud = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 3}, "generate": True})
    assert run(quiet, records([Happened(0, 0)], [])) == []
    assert [alert.rule.title for alert in run(loud, records([Happened(0, 0)], []))] == ["a"]


def test_the_lists_that_its_rules_read_are_part_of_a_correlation_s_proof() -> None:
    text = """
title: login
name: login
logsource: {category: application}
detection: {it: {user.name|expand: '%dbas%'}, condition: it}
---
title: inner
name: inner
correlation: {type: event_count, rules: [login], group-by: [host.id], timespan: 1m, condition: {gte: 1}}
---
title: outer
id: 2b8f4a52-7a1c-4c0e-9f3d-2d6c8e1f5a79
correlation: {type: event_count, rules: [inner], group-by: [host.id], timespan: 1m, condition: {gte: 1}}
"""
    ruleset = load([("t.yml", text)], {"dbas": ("ann",), "others": ("bob",)})
    assert not ruleset.errors
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    login = ruleset.rules[0].about
    match = Match(login.id, login.meaning, "e1", moment, moment, moment, {"host.id": "h", "user.name": "ann"})
    (alert,) = Correlator(ruleset, "test").feed(match)
    assert alert.rule.title == "outer"
    assert alert.proof.lists == {"dbas": ruleset.lists["dbas"]}


@pytest.mark.parametrize("restart_at", [None, 3])
def test_a_temporal_alert_carries_the_newest_event_of_each_of_its_rules(restart_at: int | None) -> None:
    asked = ruleset({"type": "temporal_ordered", "rules": ["a", "b"]})
    history = [Happened(0, 0, "a"), Happened(3, 4, "a"), Happened(4, 0, "a"), Happened(8, 0, "b"), Happened(9, 0, "c")]
    (fired, *_) = run(asked, records(history, []), restart_at=restart_at)
    assert [one["event.id"] for one in fired.beside] == ["e002", "e003"]
    assert [one["@timestamp"] for one in fired.beside] == [rfc3339(at(4)), rfc3339(at(8))]


def test_an_alert_of_one_rule_has_nothing_beside_it() -> None:
    asked = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}})
    assert [alert.beside for alert in run(asked, records([Happened(0, 0), Happened(1, 0)], []))] == [(), ()]
