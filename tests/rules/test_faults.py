"""Every fault at once, each with its line and what was meant."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline import rulesets
from rules.ruleset import load

GOOD = "title: t\nid: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a01\nlogsource: {product: x}\n"


def faults(text: str) -> list[str]:
    return [str(fault) for fault in load([("r.yml", text)], {}).faults]


def test_all_faults_of_a_file_are_told_with_their_lines() -> None:
    text = """\
title: t
logsource: {product: x}
detection:
    one:
        a|contians: x
        b|gt: '5'
        c|cidr: 10.0.0.1/8
    two:
        d|re: '(?<=a)b'
    condition: one and three
---
title: u
correlation:
    type: event_counts
    rules: [t]
    timespan: 1.5h
    condition: {gte: many}
"""
    assert faults(text) == [
        "r.yml:5: a|contians: unknown modifier 'contians'; 'contains' was meant?",
        "r.yml:6: b: gt needs a number (unquoted), not '5'",
        "r.yml:7: c: cidr: 10.0.0.1/8 has host bits set",
        "r.yml:9: d: regular expression '(?<=a)b': invalid perl operator: (?<= (RE2's syntax, no look-around)",
        "r.yml:10: condition: no selection is named 'three'; there is one, two",
        "r.yml:14: correlation.type 'event_counts' is not one of event_count, value_count, temporal, temporal_ordered,"
        " value_sum, value_avg, value_percentile, value_median; 'event_count' was meant?",
        "r.yml:15: correlation refers to 't', which is faulty",
        "r.yml:16: correlation.timespan '1.5h' is no span such as 30s, 5m, 2h, 1d",
        "r.yml:17: correlation.condition.gte: 'many' is no number",
    ]


@pytest.mark.parametrize(
    ("detection", "fault"),
    [
        ("{s: {}, condition: s}", "an empty selection matches nothing; name a field"),
        ("{s: {a: {b: c}}, condition: s}", "a: a value or a list of values is meant, not a map"),
        (
            "{s: {a|contains|re: x}, condition: s}",
            "a|contains|re: 're' reads the value as it is written and must come first",
        ),
        ("{s: {a|i|re: x}, condition: s}", "a|i|re: 'i' is a flag of 're' and must come after it"),
        ("{s: {a|re|cased: x}, condition: s}", "a|re|cased: 'cased' cannot go with 're'"),
        (
            "{s: {a|gte|hour: 3}, condition: s}",
            "a|gte|hour: 'hour' reads the value as it is written and must come first",
        ),
        ("{s: {a|exists: 'yes please'}, condition: s}", "a: exists takes true or false"),
        ("{s: {a|contains: 5}, condition: s}", "a: 'contains' needs text, not 5 (a number or boolean: quote it)"),
        ("{s: {a|base64: 'x*'}, condition: s}", "a: base64: no wildcards allowed in the value"),
        ("{s: {a|windash: '-a -b -c -d -e'}, condition: s}", "a: windash: more than 4 dashes in one value"),
        (
            "{s: {a: x}, condition: s AND s}",
            "condition: expected 'and' or 'or' before 'AND'; keywords are lower case: 'and'",
        ),
        ("{s: {a: x}, condition: s and not 1 of z*}", "condition: '1 of z*' names no selection; there is s"),
        ("{s: {a: x}, condition: 2 of s*}", "condition: '1 of', 'any of' or 'all of' is meant, not '2 of'"),
        (
            "{s: {a: x}, condition: s | count() > 5}",
            "condition: aggregation by '|' is no longer Sigma; write a correlation",
        ),
        ("{s: {a: x}, condition: (s}", "condition: a ')' is missing"),
        ("{s: {a: x}, condition: s and}", "condition: ends where a selection's name is expected"),
        ("{s: {a: x}}", "detection has no condition"),
        ("{s: {a: x}, condition: []}", "the condition is empty; name a selection"),
        ("{s: {a: x}, condition: }", "the condition is empty; name a selection"),
        ("{s: {a|re: null}, condition: s}", "a: re needs text"),
        ("{s: {a|cased: 5}, condition: s}", "a: 'cased' needs text, not 5 (a number or boolean: quote it)"),
        ("{s: {a|fieldref: 'b*'}, condition: s}", "a: fieldref: 'b*' is no field's name: it takes no wildcards"),
        ("{s: {a|hour|lt|gt: 5}, condition: s}", "a: hour takes one of lt, lte, gt, gte"),
        ("{s: {a|utf16|wide|base64: x}, condition: s}", "a: wide: the value is encoded already"),
        ("{s: {a: x}, s: {a: y}, condition: s}", "detection: duplicate key 's'; the first stands on line 4"),
        ("hello", "detection must be a map of names to values"),
    ],
)  # fmt: skip
def test_a_fault_in_a_detection(detection: str, fault: str) -> None:
    (said,) = [one for one in faults(f"{GOOD}detection: {detection}\n") if "warning" not in one]
    assert said.startswith(f"r.yml:4: {fault}")


@pytest.mark.parametrize(
    ("text", "lint"),
    [
        ("{s: {a: x}, t: {a: y}, condition: s}", "selection 't' is used by no condition"),
        ("{s: {a|all: x}, condition: s}", "a|all: 'all' says nothing of a single value"),
        ("{s: {a: [x, null]}, condition: s}", "a: null within a list; write a selection of its own"),
        ("{s: {a: x}, condition: s}\nalert: {colour: red}", "alert: 'colour' is not known"),
        ("{s: {a: x}, condition: s}\nlevel: terrible", "level 'terrible' is not one of"),
    ],
)
def test_a_lint_leaves_the_rule_at_work(text: str, lint: str) -> None:
    ruleset = load([("r.yml", f"{GOOD}detection: {text}\n")], {})
    assert len(ruleset.rules) == 1
    (said,) = ruleset.faults
    assert said.warning
    assert said.what.startswith(lint)


def test_a_shared_incident_has_a_name_and_a_key() -> None:
    text = f"{GOOD}detection: {{s: {{a: x}}, condition: s}}\nalert:\n  incident: {{name: n}}\n"
    wanted = "expected {name: ..., key: [field, ...]}, the same in each rule of it"
    assert faults(text) == [f"r.yml:6: alert.incident: {wanted}"]


def test_an_alert_block_is_held_to_its_words() -> None:
    text = f"{GOOD}detection: {{s: {{a: x}}, condition: s}}\nalert:\n  kind: condition\n  for: soon\n  urgency: now\n"
    assert faults(text) == [
        "r.yml:6: alert: a condition needs a key, fields that tell one such thing from others",
        "r.yml:7: alert.for: 'soon' is no duration such as 30s, 5m, 2h, 1d",
        "r.yml:8: alert.urgency: 'now' is not one of page, notify, record",
    ]


def test_correlations_that_refer_in_a_ring_or_to_nothing_are_refused() -> None:
    def correlation(name: str, rule: str) -> str:
        return (
            f"title: {name}\nname: {name}\ncorrelation: "
            f"{{type: event_count, rules: [{rule}], timespan: 1m, condition: {{gte: 1}}}}\n---\n"
        )

    text = correlation("a", "b") + correlation("b", "a") + correlation("c", "nobody")
    assert faults(text) == [
        "r.yml:1: correlation refers to itself through 'b'",
        "r.yml:5: correlation refers to itself through 'a'",
        "r.yml:11: correlation refers to 'nobody', which is not loaded",
    ]


def test_a_second_rule_of_an_id_is_refused_and_the_first_stays() -> None:
    rule = f"{GOOD}detection: {{s: {{a: x}}, condition: s}}\n"
    ruleset = load([("a.yml", rule), ("b.yml", rule)], {})
    assert [one.about.file for one in ruleset.rules] == ["a.yml"]
    assert "is that of another rule, at a.yml:1" in str(ruleset.faults[0])


HOSTILE = {
    "a file of 10 MB": "title: t\n" + "a" * 10_000_000,
    "deep nesting": "[" * 5_000,
    "aliases that multiply": "a: &a [x,x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(50)),
    "a long regular expression": f"{GOOD}detection: {{s: {{a|re: '{'(a*)*' * 3000}'}}, condition: s}}",
    "deep parentheses": f"{GOOD}detection: {{s: {{a: x}}, condition: '{'(' * 5000}s'}}",
    "many nots": f"{GOOD}detection: {{s: {{a: x}}, condition: '{'not ' * 4000}s'}}",
    "not text": "\x00\x01",
    "an alias of itself": "a: &a [*a]",
    "a selection within itself": f"{GOOD}detection: {{s: &s [*s], condition: s}}",
    "selections that multiply": f"{GOOD}detection:\n  a0: &a0 [x]\n"
    + "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    + "  condition: a9\n",
    "a pattern with many stars": f"{GOOD}detection: {{{'a' * 900}: {{a: x}}, condition: 1 of {'*a' * 40}b}}",
    "patterns of many selections": f"{GOOD}detection:\n"
    + "".join(f"  s{n}: {{a: b{n}}}\n" for n in range(2_000))
    + f"  condition: {' or '.join(['1 of s*'] * 1_500)}\n",
    "dashes that multiply": f"{GOOD}detection:\n  s: {{a|windash: [{', '.join(['-a -b -c -d'] * 2_000)}]}}\n"
    "  condition: s\n",
    "many broken documents": "---\n[\n" * 100_000,
    "a chain of correlations": f"{GOOD}name: n0\ndetection: {{s: {{a: x}}, condition: s}}\n"
    + "".join(
        f"---\ntitle: n{n}\nname: n{n}\ncorrelation: {{type: event_count, rules: [n{n - 1}], timespan: 1m,"
        " condition: {gte: 1}}\n"
        for n in range(1, 2_000)
    ),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_costs_a_message_and_little_time(text: str) -> None:
    before = time.process_time()
    load([("r.yml", text)], {})
    assert time.process_time() - before < 2


def test_the_shipped_rules_have_no_fault_and_their_cases_pass() -> None:
    from rules import cases

    root = Path(__file__).parents[2] / "rules" / "library"
    sources = [(str(path), path.read_text()) for path in root.rglob("*.yml") if ".cases." not in path.name]
    beside = [(str(path), path.read_text()) for path in root.rglob("*.cases.yml")]
    assert load(sources, rulesets.lists({}, [])).faults == ()
    assert {name.replace(".yml", ".cases.yml") for name, _ in sources} == {name for name, _ in beside}
    found = cases.run(sources, beside)
    assert found.failures == []
    assert found.total == found.passed > 30
