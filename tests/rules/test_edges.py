"""Edges of Sigma's meaning that a reader of the specification stumbles over, each as an event and an answer."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.evaluate import compiled
from rules.replay import Replay
from rules.ruleset import load
from rules.values import flatten
from tests.rules.test_faults import faults

LISTS = {"dbas": ["ann", "svc_*"], "sites": ["10.1", "10.2"], "none": []}


def holds(detection: str, event: dict[str, Any]) -> bool:
    text = f"title: t\nlogsource: {{product: test}}\ndetection:\n  s: {detection}\n  condition: s\n"
    ruleset = load([("t.yml", text)], LISTS)
    assert not ruleset.errors, ruleset.errors
    return compiled(ruleset.rules[0].predicate)(flatten(event))


def wide(text: str, encoding: str) -> str:
    return base64.b64encode(text.encode(encoding)).decode()


@pytest.mark.parametrize(
    ("detection", "event", "matches"),
    [
        # Nested objects, dotted names, arrays of objects.
        ("{a.b: x}", {"a": {"b": "x"}}, True),
        ("{a.b: x}", {"a.b": "x"}, True),
        ("{a.b: x}", {"a": [{"b": "y"}, {"b": "x"}]}, True),
        ("{a.b|contains|all: [x, y]}", {"a": [{"b": "y"}, {"b": "x"}]}, True),
        ("{a.b: x}", {"a": {"b": ["y", ["x"]]}}, True),
        ("{a.b.c: 1}", {"a": {"b.c": 1}}, True),
        ("{a|exists: true}", {"a": {"b": 1}}, True),
        ("{a|exists: true}", {"a": {}}, True),
        ("{a|exists: false}", {"ab": {"b": 1}}, True),
        ("{a|exists: true}", {"a": []}, True),
        ("{a|exists: true}", {"a": ""}, True),
        ("{a: null}", {"a": []}, True),
        ("{a: ''}", {"a": []}, False),
        ("{a|neq: x}", {"a": []}, True),
        # Modifiers: order, and what is negated.
        ("{a|contains|cased: 'X'}", {"a": "axb"}, False),
        ("{a|neq|contains: [x, y]}", {"a": "axb"}, False),
        ("{a|neq|contains|all: [x, y]}", {"a": "axb"}, True),
        ("{a|all|contains: [x, y]}", {"a": "axyb"}, True),
        ("{a|contains: '*x*'}", {"a": "axb"}, True),
        ("{a|startswith: 'a?c'}", {"a": "abcd"}, True),
        (r"{a|endswith: '\*'}", {"a": "ab"}, False),
        ("{a|re|neq: '^x'}", {"a": "xa"}, False),
        ("{a|re|neq: '^x'}", {}, True),
        ("{a|re|i|m: '^b$'}", {"a": "a\nB"}, True),
        ("{a|re|ignorecase|dotall: 'A.B'}", {"a": "a\nb"}, True),
        ("{a|re: '(?i)ABC'}", {"a": "abc"}, True),
        (r"{a|re: '\d{2}\.exe$'}", {"a": "x12.exe"}, True),
        ("{a|re: ['^x', '^y']}", {"a": "yes"}, True),
        ("{a|re|contains: 'b'}", {"a": "abc"}, True),
        ("{a|exists|neq: true}", {}, True),
        ("{a|gt|neq: 5}", {"a": "x"}, True),
        ("{a|gte: 5, a|lt: 7}", {"a": 6}, True),
        ("{a|gte: 5, a|lt: 7}", {"a": [4, 8]}, True),  # any element, for each item
        ("{a|gt: -1.5}", {"a": "-1"}, True),
        ("{a|gt: 5}", {"a": "0x10"}, False),
        ("{a|gt: 5}", {"a": "٦"}, False),
        ("{a|lt: 5}", {"a": None}, False),
        # Addresses.
        ("{a|cidr: '2001:db8::/32'}", {"a": "2001:DB8::1"}, True),
        ("{a|cidr: '2001:db8::/32'}", {"a": "10.0.0.1"}, False),
        ("{a|cidr: '::/0'}", {"a": "10.0.0.1"}, False),
        ("{a|cidr: '0.0.0.0/0'}", {"a": "::1"}, False),
        ("{a|cidr: ['10.0.0.0/8', 'fe80::/10']}", {"a": ["x", "fe80::1"]}, True),
        ("{a|cidr|neq: 10.0.0.0/8}", {"a": "11.0.0.1"}, True),
        ("{a|cidr: 10.0.0.5}", {"a": "10.0.0.5"}, True),
        ("{a|cidr: 10.0.0.0/8}", {"a": "10.0.0.1:80"}, False),
        ("{a|cidr: 10.0.0.0/8}", {"a": "::ffff:10.0.0.1"}, True),  # as a socket for both families writes it
        ("{a|cidr: '::ffff:0:0/96'}", {"a": "::ffff:10.0.0.1"}, True),
        ("{a|cidr: 10.0.0.0/8}", {"a": "::10.0.0.1"}, False),
        ("{a|cidr: 'fe80::/10'}", {"a": "fe80::1%eth0"}, True),
        ("{a|cidr: 10.0.0.5/32}", {"a": ["10.0.0.4", "10.0.0.6"]}, False),
        ("{a|cidr: 10.0.0.0/8}", {"a": 167772161}, False),
        # Dashes and encodings.
        ("{a|windash|contains: '-x'}", {"a": "a–x"}, True),
        ("{a|windash|contains: ' -x'}", {"a": "a –x"}, True),
        ("{a|windash|contains|all: [' -x', ' -y']}", {"a": "a /x ―y"}, True),
        ("{a|windash|contains: 'a-b'}", {"a": "a/b"}, False),
        ("{a|utf16be|base64: ping}", {"a": wide("ping", "utf-16-be")}, True),
        ("{a|utf16|base64: ping}", {"a": wide("ping", "utf-16")}, True),
        ("{a|wide|base64offset|contains: ping}", {"a": wide("xyzping", "utf-16-le")}, True),
        ("{a|base64offset|contains: [foobar, barfoo]}", {"a": base64.b64encode(b"xxbarfooyy").decode()}, True),
        ("{a|base64|contains: ä}", {"a": base64.b64encode("ä".encode()).decode()}, True),
        # References.
        ("{a|fieldref|contains: b}", {"a": "the same", "b": "SAME"}, True),
        ("{a|fieldref|neq: b}", {"a": "x"}, True),
        ("{a|fieldref|neq|contains: b}", {"a": "axb", "b": "x"}, False),
        ("{a|fieldref: b}", {"a": 5, "b": "5"}, True),
        ("{a|fieldref: b}", {}, False),
        ("{a|fieldref: b}", {"a": ["x", "y"], "b": ["y", "z"]}, True),
        ("{a|fieldref: b.c}", {"a": "x", "b": {"c": "x"}}, True),
        # Lists.
        ("{a|expand: '%dbas%'}", {"a": "svc_backup"}, True),
        ("{a|expand|neq: '%dbas%'}", {"a": "svc_backup"}, False),
        ("{a|expand: '%none%'}", {"a": ""}, False),
        ("{a|expand|neq: '%none%'}", {"a": "x"}, True),
        ("{a|expand|startswith: '%sites%.'}", {"a": "10.2.3.4"}, True),
        (r"{a|expand: '100\%'}", {"a": "100%"}, True),
        ("{a|expand: ['%dbas%', root]}", {"a": "root"}, True),
        ("{a|re|expand: '^%sites%[.]'}", {"a": "10.2.3.4"}, True),
        ("{a|re|expand: '^%sites%$'}", {"a": "10.2.3.4"}, False),
        ("{a|re: '%sites%'}", {"a": "10.1"}, False),
        # Numbers, texts and truth.
        ("{a: 1}", {"a": "1.0"}, True),
        ("{a: '1'}", {"a": 1}, True),
        ("{a: '1*'}", {"a": 15}, True),
        ("{a: '1'}", {"a": True}, False),
        ("{a: 'TRUE'}", {"a": True}, True),
        ("{a: true}", {"a": "True"}, True),
        ("{a: [1, two]}", {"a": "TWO"}, True),
        ("{a: null}", {"a": "null"}, False),
        # Keywords: any value, at any depth, never a name.
        ("[needle]", {"a": {"b": ["x", {"c": "a NEEDLE here"}]}}, True),
        ("[needle]", {"needle": "x"}, False),
        ("[4625]", {"a": 4625}, True),
        ("['needle', {a: x}]", {"a": "X"}, True),
        ("{'|all': [one, two]}", {"a": "one", "b": {"c": "two"}}, True),
        ("{'|re': 'n.edle$'}", {"a": ["needle"]}, True),
        ("['a*c']", {"x": "..abbc.."}, True),
    ],
)  # fmt: skip
def test_an_edge(detection: str, event: dict[str, Any], matches: bool) -> None:
    assert holds(detection, event) is matches


@pytest.mark.parametrize(
    ("condition", "selections", "matches"),
    [
        ("a or b and c", {"a": True, "b": True, "c": False}, True),
        ("(a or b) and c", {"a": True, "b": True, "c": False}, False),
        ("not a and b", {"a": False, "b": True}, True),
        ("not (a and b)", {"a": True, "b": False}, True),
        ("1 of sel_*", {"sel_a": False, "sel_b": True}, True),
        ("all of sel_* and not 1 of filter*", {"sel_a": True, "sel_b": True, "filter_x": False}, True),
        ("1 of them", {"_x": True, "a": False}, False),
        ("1 of _*", {"_x": True, "a": False}, True),
        ("all of *_end", {"a_end": True, "b_end": False}, False),
        ("not 1 of them", {"a": False, "b": False}, True),
        ("[a, b]", {"a": False, "b": True}, True),
    ],
)
def test_a_condition_binds_as_the_specification_says(
    condition: str, selections: dict[str, bool], matches: bool
) -> None:
    lines = "".join(f"  {name}: {{f: {'x' if held else 'y'}}}\n" for name, held in selections.items())
    text = f"title: t\nlogsource: {{product: test}}\ndetection:\n{lines}  condition: {condition}\n"
    ruleset = load([("t.yml", text)], {})
    assert not ruleset.errors, ruleset.errors
    assert compiled(ruleset.rules[0].predicate)({"f": "x"}) is matches


BASE = """
title: base
name: base
logsource: {product: test}
detection: {s: {e: x}, condition: s}
---
title: other
name: other
logsource: {product: test}
detection: {s: {e: y}, condition: s}
---
title: c
"""


def fired(correlation: str, *events: tuple[float, dict[str, Any]]) -> list[int]:
    """Return the events (from 1) at which the correlation begins to hold."""
    ruleset = load([("t.yml", f"{BASE}correlation: {correlation}\n")], {})
    assert not ruleset.errors, ruleset.errors
    replay, began = Replay(ruleset, every=False), datetime(2026, 11, 22, tzinfo=UTC)
    out = []
    for line, (second, event) in enumerate(events, 1):
        shown = replay.feed(line, began + timedelta(seconds=second), flatten(event))
        out += [line for one in shown if one.title == "c"]
    return out


X, Y = {"e": "x"}, {"e": "y"}


@pytest.mark.parametrize(
    ("correlation", "events", "expected"),
    [
        ("{type: event_count, rules: [base], timespan: 10s, condition: {gte: 2}}", [(0, X), (10, X)], []),
        ("{type: event_count, rules: [base], timespan: 10s, condition: {gte: 2}}", [(0, X), (9.9, X)], [2]),
        ("{type: event_count, rules: [base], timespan: 1m, condition: {gt: 1, lt: 3}}", [(0, X), (1, X), (2, X)], [2]),
        ("{type: event_count, rules: [base], timespan: 1h, condition: {eq: 2}}", [(0, X), (1, X), (2, X)], [2]),
        ("{type: event_count, rules: [base], timespan: 1h, condition: {neq: 1}}", [(0, X), (1, X)], [2]),
        (
            "{type: event_count, rules: [base], group-by: [u.n], timespan: 1d, condition: {gte: 2}}",
            [(0, X | {"u": {"n": "a"}}), (1, X), (2, X), (3, X | {"u.n": "a"})],
            [4],
        ),
        (
            "{type: value_count, rules: [base], timespan: 1m, condition: {field: [a, b], gte: 2}}",
            [(0, X | {"a": 1, "b": 2}), (1, X | {"a": 1}), (2, X | {"a": 1, "b": 2}), (3, X | {"a": 2, "b": 1})],
            [4],
        ),
        (
            "{type: value_count, rules: [base], timespan: 1m, condition: {field: a, gte: 2}}",
            [(0, X | {"a": 1}), (1, X | {"a": "1"}), (2, X | {"a": "one"})],
            [3],
        ),
        ("{type: temporal, rules: [base, other], timespan: 1m}", [(0, Y), (1, X)], [2]),
        ("{type: temporal_ordered, rules: [base, other], timespan: 1m}", [(0, Y), (1, X)], []),
        ("{type: temporal_ordered, rules: [base, other], timespan: 1m}", [(0, X), (0, Y)], [2]),
        ("{type: temporal_ordered, rules: [base, other], timespan: 1m}", [(0, Y), (0, X), (0, Y)], [3]),
        ("{type: temporal, rules: [base, other], timespan: 1m, condition: base and not other}", [(0, X), (1, Y)], [1]),
        ("{type: temporal, timespan: 1m, condition: base and other}", [(0, X), (1, Y)], [2]),
        (
            "{type: temporal_ordered, rules: null, timespan: 1m, condition: base and other}",
            [(0, Y), (1, X), (2, Y)], [3]),
        (
            "{type: event_count, rules: [base], timespan: 1m, condition: {gte: 2e0}, generate: null, aliases: null}",
            [(0, X), (1, X)],
            [2],
        ),
        (
            "{type: temporal, rules: [base, other], group-by: [who], timespan: 1m,"
            " aliases: {who: {base: a, other: b}}}",
            [(0, X | {"a": "ann"}), (1, Y | {"a": "ann"}), (2, Y | {"b": "ann"})],
            [3],
        ),
        (
            "{type: value_sum, rules: [base], timespan: 1m, condition: {field: n, gt: 10}}",
            [(0, X | {"n": "6"}), (1, X | {"n": "six"}), (2, X | {"n": 4.5})],
            [3],
        ),
        (
            "{type: value_avg, rules: [base], timespan: 1m, condition: {field: n, lt: 2}}",
            [(0, X), (1, X | {"n": 3}), (2, X | {"n": 0})],
            [3],
        ),
        (
            "{type: value_percentile, rules: [base], timespan: 1m, condition: {field: n, percentile: 90, gte: 9.1}}",
            [(n, X | {"n": n}) for n in range(1, 11)],
            [10],
        ),
        (
            "{type: value_median, rules: [base], timespan: 1m, condition: {field: n, gte: 2.5}}",
            [(n, X | {"n": n}) for n in range(1, 5)],
            [4],
        ),
    ],
)  # fmt: skip
def test_a_correlation_begins_to_hold(
    correlation: str, events: list[tuple[float, dict[str, Any]]], expected: list[int]
) -> None:
    assert fired(correlation, *events) == expected


@pytest.mark.parametrize("span", ["1w", "2M", "1y", "30s", "15m", "3h", "7d"])
def test_every_unit_of_a_timespan_is_read(span: str) -> None:
    assert fired(f"{{type: event_count, rules: [base], timespan: {span}, condition: {{gte: 2}}}}", (0, X), (29, X)) == [
        2
    ]


@pytest.mark.parametrize("span", ["", "5", "m5", "1.5h", "-1m", "0s", "5 m", "1h30m", "٣m"])
def test_what_is_no_timespan_is_refused(span: str) -> None:
    text = f"{BASE}correlation: {{type: event_count, rules: [base], timespan: '{span}', condition: {{gte: 2}}}}\n"
    assert any("timespan" in one for one in faults(text))


THREE = "{type: event_count, rules: [base], timespan: 60s, condition: {gte: 3}}"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([100, 105, 95], [3]),  # a late line completes the window of a later one
        ([105, 100, 95], [3]),
        ([100, 105, 110, 95], [3]),  # what was told of is not told again
        ([100, 105, 40, 39], []),  # each window of (t - span, t] is short of one
        ([0, 1, 2, 200, 201, 199], [3, 6]),
        ([200, 201, 202, 0, 1, 2], [3, 6]),
        ([0, 1, 70, 71, 2], [5]),
    ],
)
def test_lines_out_of_order_fire_what_they_complete(seconds: list[float], expected: list[int]) -> None:
    assert fired(THREE, *((second, X) for second in seconds)) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=12), st.randoms(use_true_random=False))
def test_in_any_order_lines_fire_if_they_do_in_order(seconds: list[int], chance: random.Random) -> None:
    shuffled = chance.sample(seconds, len(seconds))
    in_order = fired(THREE, *((second, X) for second in sorted(seconds)))
    out_of_order = fired(THREE, *((second, X) for second in shuffled))
    assert bool(out_of_order) is bool(in_order)
