"""Matches that come out of order cost about what they cost in order, and fire as soon."""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import process_time
from typing import Any

import pytest

from rules.correlator import Correlator
from rules.match import Marker, Match, Record
from tests.rules.test_correlations import KINDS, START, at, ruleset

MANY = 6_000


def matches(times: Sequence[float], arrived: Sequence[float], rules: Sequence[str]) -> list[Match]:
    return [
        Match(rule, "", f"e{n:05}", at(time), at(came), at(time), {"g": "g", "v": n % 1000, "host.id": "h"})
        for n, (time, came, rule) in enumerate(zip(times, arrived, rules, strict=True))
    ]


def fed(asked: dict[str, Any], found: Sequence[Match]) -> tuple[float, set[str]]:
    """Return the seconds that feeding and settling took, and the settled alerts' digests."""
    correlator = Correlator(ruleset({"timespan": "60s", **asked}), "test")
    records: list[Record] = []
    for n, one in enumerate(found):
        records += [one, *([Marker(0, one.appended)] if n % 100 == 0 else [])]
    last = (found[-1].appended - START).total_seconds()
    records += [Marker(0, at(last + second)) for second in range(1, 1500, 3)]
    began = process_time()
    alerts = [a for one in records for a in correlator.feed(one, one.up_to if isinstance(one, Marker) else None)]
    return process_time() - began, {one.proof.digest for one in alerts if one.step == "settled"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_shuffled_minute_in_one_group_costs_a_few_times_one_in_order(kind: str) -> None:
    """Stepping through all of them for each would cost a thousand times as much."""
    chance = random.Random(5)
    rules = ("a", "b", "c") if kind.startswith("temporal") else ("a", "b")
    condition: dict[str, Any] = {"gte": 3} | ({"field": "v"} if kind.startswith("value") else {})
    asked = {"type": kind, "rules": list(rules), "condition": condition}
    times = sorted(chance.random() * 60 for _ in range(MANY))
    named = [chance.choice(rules) for _ in range(MANY)]
    found = matches(times, [60.0] * MANY, named)
    in_order, settled = fed(asked, found)
    shuffled, again = fed(asked, chance.sample(found, MANY))
    assert again == settled
    assert len(settled) == 1
    assert shuffled < 10 * in_order + 1


@pytest.mark.parametrize(
    ("asked", "late"),
    [
        ({"type": "temporal", "rules": ["a", "b"]}, False),
        ({"type": "event_count", "rules": ["a"], "condition": {"gte": 1_000_000}}, False),
        ({"type": "event_count", "rules": ["a"], "condition": {"gte": 3}}, True),
    ],
    ids=["a rule that never comes", "a number that is never reached", "after it was settled"],
)
def test_nor_does_it_where_nothing_fires_or_all_come_late(asked: dict[str, Any], *, late: bool) -> None:
    chance = random.Random(6)
    times = sorted(chance.random() * 60 for _ in range(MANY))
    arrived = [n * 60 / MANY for n in range(MANY)]
    in_order, _ = fed(asked, matches(times, arrived, ["a"] * MANY))
    chance.shuffle(times)
    if late:
        times, arrived = [1.0, *times], [1.0, *(200 + one for one in arrived)]
    shuffled, _ = fed(asked, matches(times, arrived, ["a"] * len(times)))
    assert shuffled < 10 * in_order + 2


def test_what_a_match_out_of_order_makes_true_fires_with_the_next_marker() -> None:
    """The window of 200 is stepped through again no more often than each second; nobody's clock has to move for it."""
    asked = ruleset({"type": "temporal", "rules": ["a", "b"], "timespan": "60s"})
    correlator = Correlator(asked, "test")
    for one in matches([n / 10 for n in range(200, 0, -1)], [20.0] * 200, ["a"] * 200):
        assert correlator.feed(one) == []
    (late,) = matches([5.05], [20.5], ["b"])
    late = Match("b", "", "late", late.time, late.appended, late.received, late.fields)
    assert correlator.feed(late) == []
    assert correlator.feed(Marker(0, at(20.6))) == []
    (fired,) = correlator.feed(Marker(1, at(21)))
    assert (fired.step, fired.fields) == ("fired", late.fields)
