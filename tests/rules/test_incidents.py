"""What rules that share an incident are held to: one key, events only, and a value for each of its fields."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rules.alert import Alert
from rules.correlator import Correlator
from rules.event import Value
from rules.match import Match
from rules.ruleset import load

MOMENT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def rule(number: int, alert: str) -> str:
    return f"""\
title: rule {number}
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a0{number}
logsource: {{category: application}}
detection: {{it: {{a: {number}}}, condition: it}}
alert:
    {alert}
"""


def alerts(text: str, *events: dict[str, Value]) -> list[Alert]:
    found = load([("r.yml", text)], {})
    assert not found.errors
    about, correlator = found.rules[0].about, Correlator(found, "test")
    seen = (Match(about.id, about.meaning, f"e{n}", MOMENT, MOMENT, MOMENT, one) for n, one in enumerate(events))
    return [alert for match in seen for alert in correlator.feed(match)]


def test_a_condition_that_shares_an_incident_is_refused_where_it_says_so() -> None:
    text = rule(1, "kind: condition\n    key: [host.id, disk]\n    incident: {name: storage, key: [host.id]}")
    (fault,) = load([("r.yml", text)], {}).errors
    told = "r.yml:8: alert: a condition's incident ends with it, so it shares none; leave 'incident' or"
    assert str(fault).startswith(told)


def test_two_rules_of_one_incident_with_other_keys_are_both_named() -> None:
    files = [
        ("a.yml", rule(1, "incident: {name: x, key: [host.id, base]}")),
        ("b.yml", rule(2, "incident: {name: x, key: [base, host.id]}")),  # their order means nothing
        ("c.yml", rule(3, "incident: {name: x, key: [host.id]}")),
    ]
    found = load(files, {})
    assert [str(fault) for fault in found.errors] == [
        "c.yml:6: alert.incident: the key of 'x' is [host.id], in 'rule 1' (a.yml:6) it is [host.id, base]; "
        "write one in both"
    ]
    assert [one.about.title for one in found.rules] == ["rule 1", "rule 2"]


def test_moving_a_rule_within_its_file_does_not_change_what_it_means() -> None:
    text = rule(1, "incident: {name: x, key: [host.id]}")
    meanings = {load([("r.yml", lines + text)], {}).rules[0].about.meaning for lines in ("", "# why\n\n")}
    assert len(meanings) == 1


@pytest.mark.parametrize("absent", [{}, {"base": None}, {"base": ""}, {"base": []}])
def test_an_alert_without_a_value_of_the_incidents_key_shares_none(absent: dict[str, Value]) -> None:
    text = rule(1, "key: [user]\n    incident: {name: x, key: [host.id, base]}")
    one, two = alerts(text, {"host.id": "h", "user": "v1", **absent}, {"host.id": "h", "user": "v2", "base": "acme"})
    assert one.incident == {}
    assert two.incident == {"name": "x", "host.id": "h", "base": "acme"}
