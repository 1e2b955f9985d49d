"""Cases beside a rule: a case that says nothing is a failure, and never a crash."""

from __future__ import annotations

import pytest

from rules.cases import run

RULE = """
title: T
id: 5b8c1f0e-7a42-4d6b-9c35-2e1d8f7a6b99
logsource: {category: application}
detection: {s: {a: b}, condition: s}
level: low
"""


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("x", "a valid dictionary"),
        ("{event: 5}", "event:"),
        ("{lists: 3, event: {a: b}}", "lists:"),
        ("{events: 3}", "events:"),
        ("{nme: x}", "nme:"),
        ("{event: {a: c}}", "a case: did not fire: a is 'b'; it is 'c'"),
        ("{event: {a: !!int x}}", "cannot be read: "),
    ],
)
def test_what_is_wrong_with_a_case_is_named(case: str, why: str) -> None:
    results = run([("t.yml", RULE)], [("t.cases.yml", f"fires: [{case}]\nquiet: [{{event: {{a: z}}}}]")])
    assert results.passed == 1
    assert len(results.failures) == 1
    assert results.failures[0].startswith("t.cases.yml:1: ")
    assert why in results.failures[0]


SEVERAL = """
title: T
name: t
logsource: {service: auth}
detection: {s: {a: b}, condition: s}
---
title: C
id: c
correlation: {type: event_count, rules: [t], timespan: 1m, condition: {gte: 2}}
"""


def said(cases: str, rule: str = RULE) -> list[str]:
    return run([("t.yml", rule)], [("t.cases.yml", cases)]).failures


def test_a_failure_names_the_line_of_its_case() -> None:
    cases = "fires:\n  - event: {a: b}\n  - name: other\n    event: {a: c}\nquiet:\n  - name: near\n    event: {a: b}\n"
    assert said(cases) == [
        "t.cases.yml:3: other: did not fire: a is 'b'; it is 'c'",
        "t.cases.yml:6: near: fired",
    ]


def test_what_is_no_file_of_cases_is_said_with_its_line() -> None:
    assert said("fires:\n\t- x\n")[0].startswith("t.cases.yml:2: not YAML: ")
    assert said("- x\n") == ["t.cases.yml:1: a file of cases must be a map of names to values"]
    assert said("fire: []\n") == ["t.cases.yml:1: 'fire' is not known; 'fires' was meant?"]
    assert said("") == ["t.cases.yml:1: no case under 'fires'", "t.cases.yml:1: no case under 'quiet'"]


def test_events_that_a_rule_does_not_see_count_for_no_correlation_of_it() -> None:
    auth, other = "{a: b, event.dataset: system.auth}", "{a: b, event.dataset: x}"
    assert (
        said(f"rule: c\nfires: [{{events: [{auth}, {auth}]}}]\nquiet: [{{events: [{other}, {auth}]}}]\n", SEVERAL) == []
    )
    (failed,) = said(f"rule: t\nfires: [{{event: {other}}}]\nquiet: [{{event: {{a: c}}}}]\n", SEVERAL)
    assert failed == "t.cases.yml:2: a case: did not fire: the rule does not see the event: logsource service auth"
