"""`tocsin rules check | list | test | match`: what they print, where, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import cli

GOOD = """
title: Root
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a01
name: root
logsource: {service: auth}
detection: {s: {user.name: root}, condition: s}
level: high
"""
COUNT = """---
title: Twice
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a02
correlation: {type: event_count, rules: [root], group-by: [host], timespan: 1m, condition: {gte: 2}}
"""
INACTIVE = """---
title: Listed
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a03
logsource: {product: linux}
detection: {s: {user.name|expand: '%gone%'}, condition: s}
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "root.yml").write_text(GOOD + COUNT + INACTIVE, "utf-8")
    return tmp_path


def run(*arguments: str | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["rules", *map(str, arguments)], input=given, catch_exceptions=False)


def test_lints_alone_end_well_and_a_fault_does_not(rules: Path) -> None:
    found = run("check", rules)
    assert (found.exit_code, found.stdout) == (0, f"{rules}/root.yml:13: warning: inactive: there is no list gone\n")
    (rules / "bad.yml").write_text(GOOD.replace("user.name:", "user.name|is:").replace("9a01", "9a04"), "utf-8")
    found = run("check", rules)
    assert found.exit_code == 1
    assert found.stdout.startswith(f"{rules}/bad.yml:6: user.name|is: unknown modifier 'is'")


def test_each_rule_is_listed_as_json_with_why_it_is_inactive(rules: Path) -> None:
    found = run("list", rules)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.exit_code == 0
    assert [(row["title"], row["kind"], row["logsource"], row["level"], row["active"]) for row in rows] == [
        ("Root", "rule", {"service": "auth"}, "high", True),
        ("Listed", "rule", {"product": "linux"}, "medium", False),
        ("Twice", "correlation", None, "medium", True),
    ]
    assert rows[1]["because"] == "no list gone"


def test_what_matches_comes_in_line_order_and_what_is_no_event_is_told_apart(rules: Path) -> None:
    lines = [
        {"user": {"name": "root"}, "host": "a", "@timestamp": 100},
        {"user.name": "ROOT", "host": "a", "@timestamp": "1970-01-01T00:01:50Z"},
        {"user.name": "root", "host": "a", "@timestamp": "soon"},
    ]
    given = "\n".join([json.dumps(lines[0]), "{not json", json.dumps(lines[1]), "", json.dumps(lines[2])])
    found = run("match", "--rules", rules, given=given)
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(row["title"], row["events"], row.get("group"), row["time"][17:19]) for row in rows] == [
        ("Root", [1], None, "40"),
        ("Root", [3], None, "50"),
        ("Twice", [1, 3], {"host": "a"}, "50"),
        ("Root", [5], None, "50"),
    ]
    assert found.exit_code == 1
    assert "line 2: " in found.stderr
    assert "line 5: @timestamp 'soon' is no time" in found.stderr
    every = run("match", "--rules", rules, "--every", given=given)
    assert [json.loads(line)["events"] for line in every.stdout.splitlines() if "group" in line] == [[1, 3], [1, 3, 5]]


def test_lists_come_from_a_context(rules: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.write_text("gone: [ann]\n", "utf-8")
    found = run("match", "--rules", rules, "--context", context, given='{"user.name": "ann"}\n')
    assert [json.loads(line)["title"] for line in found.stdout.splitlines()] == ["Listed"]


def test_cases_are_run_and_counted(rules: Path) -> None:
    beside = rules / "root.cases.yml"
    event = "{user.name: root, event.dataset: system.auth}"
    beside.write_text(
        f"rule: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a01\nfires: [{{event: {event}}}]\nquiet: [{{event: {{}}}}]\n"
    )
    found = run("test", rules / "root.yml")
    assert (found.exit_code, found.stderr) == (0, "2 of 2 cases passed, 2 rules\n")
    beside.write_text(beside.read_text().replace("root,", "ann,"))
    found = run("test", rules / "root.yml")
    assert found.exit_code == 1
    assert found.stdout == f"{beside}:2: a case: did not fire: user.name is 'root'; it is 'ann'\n"
