"""Events from an attacker: bounded time, and about twice the time for twice the size."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml

from rules.compile import Index
from rules.evaluate import compiled
from rules.matcher import Matcher
from rules.ruleset import load
from rules.values import flatten

RULES = [
    {"s": {"a|contains": ["aaab", "-", "a"]}, "condition": "s"},
    {"s": {"a": "a*a*a*a*b"}, "condition": "s"},
    {"s": {"a": "*a?a?a?b"}, "condition": "s"},
    {"s": {"a|re": "(a+)+$x"}, "condition": "s"},
    {"s": {"a|re": "(a|aa)*b"}, "condition": "s"},
    {"s": ["needle", "nee?le*x"], "condition": "s"},
    {"s": {"a|cidr": "10.0.0.0/8"}, "condition": "s"},
    {"s": {"a|gt": 5}, "condition": "s"},
    {"s": {"a|hour": 5}, "condition": "s"},
    {"s": {"a|fieldref|contains": "b"}, "condition": "s"},
]
DOCUMENTS = [{"title": f"r{n}", "logsource": {"product": "x"}, "detection": d} for n, d in enumerate(RULES)]


def cost(event: dict[str, Any]) -> float:
    ruleset = load([("r.yml", yaml.safe_dump_all(DOCUMENTS))], {})
    assert not ruleset.errors
    index = Index([(rule.predicate, compiled(rule.predicate)) for rule in ruleset.rules])
    best = 1e9
    for _ in range(3):
        before = time.process_time()
        for decide in index.candidates(event):
            decide(event)
        best = min(best, time.process_time() - before)
    return best


SHAPES = {
    "one long text": lambda size: {"a": "a" * size, "b": "ab"},
    "a long text with a twin": lambda size: {"a": "a" * size, "b": "a" * (size // 2) + "b"},
    "digits": lambda size: {"a": "9" * size},
    "many fields": lambda size: {f"f{n}": "-a" * 50 for n in range(size // 100)},
    "a long list": lambda size: {"a": ["aab"] * (size // 3)},
    "letters beyond ASCII": lambda size: {"a": "\u00e9" * size},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_twice_the_event_takes_about_twice_the_time(shape: Any) -> None:
    small, large = cost(shape(250_000)), cost(shape(500_000))
    assert large < 2
    assert large < 4 * small + 0.02


def test_deep_nesting_and_odd_names_are_flattened_in_bounded_time() -> None:
    deep: dict[str, Any] = {"end": 1}
    for _ in range(500):
        deep = {"a": deep}
    assert flatten(deep) == {".".join(["a"] * 500 + ["end"]): 1}
    assert flatten({"a": [{"b": 1}, {"b": [2, 3]}], "a.b": 4, "*": "?"}) == {"a.b": [1, 2, 3, 4], "*": "?"}


def test_values_of_an_unexpected_kind_are_judged_and_not_stumbled_over() -> None:
    text = "title: t\nlogsource: {category: application}\ndetection: {s: {a|contains: x}, condition: s}"
    matcher = Matcher(load([("r.yml", text)], {}))
    values: list[Any] = [{"b": "x"}, [["x"]], [None, {}], 1e300, True, "x\x00\x02\x03"]
    for value in values:
        assert matcher.match_json(json.dumps({"a": value}).encode())[0] is not None
