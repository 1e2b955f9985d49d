"""Memory is bounded: what there is no room for is judged by what is known of it, let go, and counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rules import conditions, correlation, groups
from rules.alert import Alert
from rules.correlator import Correlator
from rules.match import Marker, Match, Record, Verdict
from rules.ruleset import RuleSet, load
from tests.rules.test_correlations import at, ruleset

ABSENT = """
title: Silent
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a77
logsource: {product: linux}
detection: {it: {event.action: backup}, condition: it}
alert: {kind: condition, key: [host.name], absent: 1h}
"""


def match(second: float, group: str, number: int, rule: str = "a") -> Match:
    moment = at(second)
    return Match(rule, "", f"e{number:05}", moment, moment, moment, {"g": group, "v": number, "host.id": "h"})


def fed(correlator: Correlator, found: Sequence[Record]) -> list[Alert]:
    return [alert for one in found for alert in correlator.feed(one, one.up_to if isinstance(one, Marker) else None)]


def counting(limit: int) -> Correlator:
    asked = {"type": "event_count", "rules": ["a"], "condition": {"gte": limit}, "timespan": "1h"}
    return Correlator(ruleset(asked), "test")


def test_of_too_many_groups_the_one_goes_that_nothing_was_fed_to_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUPS_LIMIT", 100)
    correlator = counting(3)
    found = [match(0, "active", 0)]
    found += [match(second, f"g{second}", second) for second in range(1, 90)]
    found += [match(95, "active", 1_000)]
    found += [match(100 + second, f"g{100 + second}", 2_000 + second) for second in range(80)]
    assert fed(correlator, found) == []
    assert correlator.let_go() == {"corr": 70}
    assert correlator.let_go() == {}
    (fired,) = fed(correlator, [match(190, "active", 3_000)])
    assert (fired.step, fired.key) == ("fired", {"g": "active"})


def test_what_was_told_of_goes_last_and_is_settled_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUPS_LIMIT", 150)
    correlator = counting(2)
    told = fed(correlator, [match(second, f"t{second % 10}", second) for second in range(20)])
    assert [one.step for one in told] == ["fired"] * 10
    assert fed(correlator, [match(100 + n, f"g{n}", 100 + n) for n in range(160)]) == []
    assert len(correlator._places()) == 150
    ended = fed(correlator, [match(300 + n // 2, f"n{n // 2}", 300 + n) for n in range(400)])
    assert {one.id for one in ended if one.step == "settled"} >= {one.id for one in told}


def test_a_group_of_too_many_matches_settles_the_oldest_before_their_time_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(correlation, "RECENT_LIMIT", 500)
    correlator = counting(10)
    found: list[Record] = []
    for second in range(40):
        found += [*(match(second, "g", 100 * second + n) for n in range(100)), Marker(0, at(second))]
    (fired,) = fed(correlator, found)
    assert len(correlator._groups._groups["corr"][next(iter(correlator._places()))].group.recent) <= 500
    (settled,) = fed(correlator, [Marker(0, at(1e5))])
    assert (settled.id, settled.proof.count) == (fired.id, 4_000)
    assert settled.proof.values["tocsin.evicted"] == 3_500


def absent() -> RuleSet:
    found = load([("a.yml", ABSENT)], {})
    assert not found.errors
    return found


def test_of_too_many_keys_of_conditions_the_one_goes_that_was_heard_of_longest_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conditions, "HELD_LIMIT", 50)
    rules = absent()
    (rule,) = rules.rules
    correlator = Correlator(rules, "test")
    for n in range(80):
        name = f"h{n}" if n % 4 else "often"
        fields = {"host.name": name, "host.id": name}
        moment = at(n)
        fed(correlator, [
            Verdict(rule.about.id, "", "there", {"host.name": name}, f"e{n}", moment, moment, moment, {**fields})
        ])  # fmt: skip
    held = {next(iter(one.first.key.values())) for one in correlator._conditions.held.values()}
    assert len(held) == 50
    assert "often" in held
    assert correlator.let_go() == {"Silent": 11}


@pytest.mark.parametrize(("limit", "warns"), [(50_000, False), (60_000, True)])
def test_a_count_that_no_window_can_hold_is_a_lint(*, limit: int, warns: bool) -> None:
    found = ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": limit}})
    assert ("a window holds 50000 matches, so never 60000" in " ".join(map(str, found.faults))) is warns
