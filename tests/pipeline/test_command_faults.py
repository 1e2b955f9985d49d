"""What a person can mend is told in a line that names it: no command ends in a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipeline.cli import cli
from pipeline.commands.options import program
from pipeline.commands.run import _next


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def config(folder: Path, more: str = "") -> str:
    path = folder / "tocsin.yml"
    path.write_text(f"state: {folder / 'state'}\nsources: [{{kind: host_metrics}}]\n{more}")
    return str(path)


@pytest.fixture
def barred(tmp_path: Path) -> str:
    """Return a config whose stream and index cannot be opened, by root either: files stand where folders would."""
    (tmp_path / "state").mkdir()
    for name in ("stream", "index"):
        (tmp_path / "state" / name).touch()
    return config(tmp_path)


@pytest.mark.parametrize(
    "command",
    [("search", "root"), ("status",), ("check",), ("incidents", "list"), ("silence", "list"), ("route", "test", "a=b")],
    ids=" ".join,
)
def test_a_state_that_cannot_be_opened_is_told_with_its_place(barred: str, command: tuple[str, ...]) -> None:
    done = asked(*command, "-c", barred)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert "File exists" in done.output
    assert str(Path(barred).parent / "state") in done.output


def test_a_role_whose_lock_cannot_be_written_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "state" / "collect.lock").mkdir(parents=True)
    done = asked("collect", "-c", config(tmp_path))
    assert done.exit_code == 1
    assert "Is a directory; name another under `state:`" in done.output


def test_a_secret_that_cannot_be_read_is_told_before_anything_starts(tmp_path: Path) -> None:
    slack = "receivers: [{name: a, channels: [{kind: slack, token_file: /no/such, channel: c}]}]"
    done = asked("run", "-c", config(tmp_path, slack))
    assert done.exit_code == 1
    assert done.output == "/no/such:1: this secret cannot be read: No such file or directory\n"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("since", ["nonsense", "-3d", "2026-13-45", "99999999999d", "9999999d"])
def test_a_time_that_is_none_is_misuse(tmp_path: Path, since: str) -> None:
    done = asked("search", "root", "--since", since, "-c", config(tmp_path))
    assert done.exit_code == 2
    assert f"{since!r} is neither a time" in done.output


def test_what_to_type_next_works_from_here_and_over_the_same_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/tocsin", "run"])
    monkeypatch.setenv("PATH", "")
    first = click.unstyle(_next(Path("my config.yml"))[0])
    assert first.startswith("  .venv/bin/tocsin search -c 'my config.yml' 'event.outcome:failure' --since 1h    ")


def test_a_program_that_the_shell_finds_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "tocsin"
    own.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(own)])
    assert program() == "tocsin"


RULE = "title: T\nid: 11111111-1111-4111-8111-111111111111\nlogsource: {product: linux}\nlevel: high\n"
ROOT_RULE = RULE + "detection: {sel: {user.name: root}, condition: sel}\n"
CASES = "fires: [{event: {user.name: root}}]\nquiet: [{event: {user.name: ada}}]\n"


def test_the_cases_beside_a_rule_are_run_when_only_the_rule_is_named(tmp_path: Path) -> None:
    (tmp_path / "root.yml").write_text(ROOT_RULE)
    (tmp_path / "root.cases.yml").write_text(CASES.replace("ada", "root"))
    done = asked("rules", "test", str(tmp_path / "root.yml"))
    assert done.exit_code == 1
    assert "1 of 2 cases passed, 1 rules" in done.output


def test_a_broken_rule_does_not_pass_its_test_for_want_of_cases(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text(RULE)
    (tmp_path / "binary.yml").write_bytes(b"\xff")
    done = asked("rules", "test", str(tmp_path))
    assert done.exit_code == 1
    assert done.output.count("binary.yml:1: cannot be read") == 1
    assert "broken.yml:1: a rule needs 'detection'" in done.output


def test_a_silence_longer_than_a_century_is_misuse(tmp_path: Path) -> None:
    done = asked("silence", "add", "a=b", "--for", "9999999d", "--reason", "swap", "-c", config(tmp_path))
    assert done.exit_code == 2
    assert "longer than a century" in done.output


def test_a_demo_without_rules_is_misuse(tmp_path: Path) -> None:
    done = asked("demo", "--fast", "--rules", "/no/such", "--state", str(tmp_path / "demo"))
    assert done.exit_code == 2
    assert "/no/such:1: cannot be read: No such file or directory" in done.output


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('host: {id: "web 1/collect"}', "tocsin.yml:3: host.id: 'web 1/collect' is no id"),
        ("index: {keep: {auth: 0d}}", "tocsin.yml:3: index.keep.auth: keeps nothing"),
        ("chain: {anchor_file: /nowhere/anchors}", "chain.anchor_file: /nowhere is no folder"),
        ("chain: {enrolled: /nowhere/escrow}", "chain.enrolled: /nowhere/escrow is no folder"),
        (
            "console: {slack_signing_secret_file: /nowhere}",
            "console.slack_signing_secret_file: /nowhere cannot be read",
        ),
    ],
)
def test_what_would_fail_later_is_told_by_check(tmp_path: Path, more: str, told: str) -> None:
    done = asked("check", "--offline", "-c", config(tmp_path, more))
    assert done.exit_code == 1
    assert told in done.output
