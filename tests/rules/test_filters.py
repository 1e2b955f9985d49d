"""Sigma's filters: which rules they are AND-ed to, and which they leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from rules.evaluate import compiled
from rules.ruleset import load

RULES = """
title: proc
id: 6f3e2987-db24-4c78-a860-b4f4095a7095
name: proc
logsource: {product: linux, category: process_creation}
detection: {s: {e: x}, condition: s}
---
title: auth
name: auth
logsource: {product: linux, service: auth}
detection: {s: {e: x}, condition: s}
---
title: win
name: win
logsource: {product: windows, category: process_creation}
detection: {s: {e: x}, condition: s}
"""


def holding(filters: str, event: dict[str, Any], lists: dict[str, list[str]] | None = None) -> set[str]:
    ruleset = load([("filters.yml", filters), ("rules.yml", RULES)], lists or {})
    assert not ruleset.errors, ruleset.errors
    return {rule.about.title for rule in ruleset.rules if compiled(rule.predicate)(event)}


def a_filter(rules: str, logsource: str = "", condition: str = "not adm", title: str = "f") -> str:
    said = f"logsource: {logsource}\n" if logsource else ""
    return f"title: {title}\n{said}filter:\n  rules: {rules}\n  adm: {{u|startswith: adm_}}\n  condition: {condition}\n"


ADM, OTHER = {"e": "x", "u": "adm_ann"}, {"e": "x", "u": "bob"}
ALL = {"proc", "auth", "win"}


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (a_filter("any"), set()),
        (a_filter("[]"), set()),
        (a_filter("any", "{product: linux}"), {"win"}),
        (a_filter("any", "{category: process_creation}"), {"auth"}),
        (a_filter("any", "{product: linux, category: process_creation}"), {"auth", "win"}),
        (a_filter("any", "{product: linux, category: process_creation, service: x}"), ALL),
        (a_filter("proc"), {"auth", "win"}),
        (a_filter("[6f3e2987-db24-4c78-a860-b4f4095a7095, win]"), {"auth"}),
        (a_filter("[proc, win]", "{product: linux}"), {"auth", "win"}),  # the log source must cover the rule's
        (a_filter("any", condition="adm"), ALL),  # it is AND-ed as it is written
        (f"{a_filter('proc')}---\n{a_filter('auth', title='g')}", {"win"}),
    ],
)
def test_a_filter_leaves_out_what_it_names_and_covers(filters: str, left: set[str]) -> None:
    assert holding(filters, ADM) == left
    assert holding(filters, OTHER) == (set() if "condition: adm" in filters else ALL)


def test_two_filters_of_one_rule_must_both_hold() -> None:
    both = f"{a_filter('proc')}---\ntitle: g\nfilter: {{rules: proc, h: {{host: h1}}, condition: h}}\n"
    assert "proc" in holding(both, OTHER | {"host": "h1"})
    assert "proc" not in holding(both, OTHER)
    assert "proc" not in holding(both, ADM | {"host": "h1"})


def test_a_filter_whose_list_is_missing_leaves_out_nothing_and_says_so() -> None:
    text = "title: f\nfilter: {rules: any, s: {u|expand: '%admins%'}, condition: not s}\n"
    assert holding(text, ADM) == ALL
    assert holding(text, ADM, {"admins": ["adm_*"]}) == set()
    (said,) = load([("f.yml", text)], {}).faults
    assert str(said) == "f.yml:1: warning: inactive: there is no list admins"


def test_a_filter_changes_what_a_rule_means_and_the_meaning_of_what_refers_to_it() -> None:
    counting = "title: c\nid: c\ncorrelation: {type: event_count, rules: [proc], timespan: 1m, condition: {gte: 2}}\n"
    plain = load([("c.yml", counting), ("r.yml", RULES)], {})
    narrowed = load([("c.yml", counting), ("f.yml", a_filter("proc")), ("r.yml", RULES)], {})
    changed = {one.about.title for one, other in zip(plain.rules, narrowed.rules, strict=True) if one != other}
    assert changed == {"proc"}
    assert plain.correlations[0].about.meaning != narrowed.correlations[0].about.meaning
