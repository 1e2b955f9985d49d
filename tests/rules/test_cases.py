"""Cases beside a rule: a case that says nothing is a failure, and never a crash."""

from __future__ import annotations

import pytest

from rules.cases import run

RULE = """
title: T
id: 5b8c1f0e-7a42-4d6b-9c35-2e1d8f7a6b99
logsource: {category: test}
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
        ("{event: {a: c}}", "did not fire"),
    ],
)
def test_what_is_wrong_with_a_case_is_named(case: str, why: str) -> None:
    results = run([("t.yml", RULE)], [("t.cases.yml", f"fires: [{case}]\nquiet: [{{event: {{a: z}}}}]")])
    assert results.passed == 1
    assert len(results.failures) == 1
    assert results.failures[0].startswith("t.cases.yml:1: ")
    assert why in results.failures[0]
