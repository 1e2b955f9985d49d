"""`tocsin search`: what a person and what a program gets, and that log text cannot play tricks on either."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from pipeline.commands.search import moment_of, search
from pipeline.indexes import Document
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.search.show import comma_separated, escaped, table
from rules.event import Event, Value, rfc3339

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
Asked = Callable[..., Result]


def event(number: int, **fields: Value) -> Event:
    named = {name.replace("_", "."): value for name, value in fields.items()}
    time = NOON + timedelta(seconds=number)
    return Event(f"{number:032x}", time, {"@timestamp": rfc3339(time), "event.id": f"{number:032x}", **named})


@pytest.fixture
def ask(tmp_path: Path) -> Asked:
    """Return what runs the command over an index with three logins."""
    config = tmp_path / "tocsin.yml"
    config.write_text(f"state: {tmp_path}\n", "utf-8")
    index = SqliteIndex(tmp_path / "index")
    events = [
        event(1, user_name="root", event_action="ssh_login", event_outcome="success", source_ip="10.0.0.7"),
        event(2, user_name="ada", event_action="ssh_login", event_outcome="failure", message="=1+1"),
        event(3, user_name="root", event_action="ssh_login", event_outcome="failure"),
    ]
    index.put([Document(one.id, "auth", one.time, msgspec.json.encode(one.fields)) for one in events])
    index.close()
    return lambda *arguments: CliRunner().invoke(search, [*arguments, "-c", str(config)])


def test_in_a_pipe_hits_are_nested_ecs_a_line_each_newest_first(ask: Asked) -> None:
    found = [json.loads(line) for line in ask("user.name:root").stdout.splitlines()]
    assert [hit["event"]["outcome"] for hit in found] == ["failure", "success"]
    assert found[1]["source"] == {"ip": "10.0.0.7"}
    assert found[1]["@timestamp"] == "2026-11-22T12:00:01.000000Z"


def test_the_query_may_come_as_several_words(ask: Asked) -> None:
    assert len(ask("user.name:root", "AND", "event.outcome:success").stdout.splitlines()) == 1


def test_since_is_included_and_until_is_not(ask: Asked) -> None:
    answer = ask("--since", "2026-11-22T12:00:02Z", "--until", "2026-11-22T12:00:03Z", "--format", "ndjson")
    assert [json.loads(line)["user"]["name"] for line in answer.stdout.splitlines()] == ["ada"]


def test_a_limit_is_said_when_it_cut(ask: Asked) -> None:
    answer = ask("--limit", "2")
    assert len(answer.stdout.splitlines()) == 2
    assert "only the newest 2" in answer.stderr
    assert answer.exit_code == 0


def test_nothing_found_is_no_error(ask: Asked) -> None:
    answer = ask("user.name:nobody")
    assert (answer.exit_code, answer.stdout) == (0, "")


def test_a_query_that_cannot_be_read_is_misuse_and_points_at_the_place(ask: Asked) -> None:
    answer = ask("user.name:(root")
    assert answer.exit_code == 2
    assert "column 11" in answer.stderr
    assert answer.stderr.splitlines()[-1] == "  " + " " * 10 + "^"


def test_a_time_that_is_none_is_misuse(ask: Asked) -> None:
    answer = ask("--since", "yesterday")
    assert answer.exit_code == 2
    assert "--since" in answer.stderr


def test_csv_has_a_header_and_starts_no_formula(ask: Asked) -> None:
    rows = list(csv.DictReader(ask("--format", "csv").stdout.splitlines()))
    assert [row["user.name"] for row in rows] == ["root", "ada", "root"]
    assert rows[1]["message"] == "'=1+1"


def test_a_table_has_who_where_and_what(ask: Asked) -> None:
    head, *rows = ask("--format", "table").stdout.splitlines()
    assert head.split() == ["time", "host", "user", "source", "what", "happened"]
    assert rows[2].split() == ["2026-11-22", "12:00:01.000", "root", "10.0.0.7", "ssh_login", "success"]


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\n", "\x9b", "\u202e", "\u2028", "\x00", "\u200b", "\U000e0001"])
def test_no_value_reaches_a_terminal_with_what_moves_or_hides_text(hostile: str) -> None:
    shown = "".join(table([event(1, user_name=f"a{hostile}b", message=f"{hostile}x")], 200))
    assert hostile not in shown
    assert "\\u" in shown.replace("\\U", "\\u")


def test_letters_of_any_script_are_shown_as_they_are() -> None:
    assert escaped("Grüße, 東京, \U0001f514") == "Grüße, 東京, \U0001f514"


def test_a_line_of_the_table_is_no_wider_than_the_terminal() -> None:
    lines = list(table([event(1, message="x" * 500, user_name="y" * 500)], 80))
    assert max(map(len, lines)) <= 80


def test_csv_keeps_a_line_break_within_its_cell() -> None:
    lines = "\n".join(comma_separated([event(1, message='a\n"b"')]))
    assert next(iter(csv.DictReader(lines.splitlines(keepends=True))))["message"] == 'a\n"b"'


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22T10:00", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z"),
        ("7d", "2026-11-15T12:00:00Z"),
        ("1h30m", "2026-11-22T10:30:00Z"),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(text: str, moment: str) -> None:
    assert moment_of(text, NOON, "--since") == datetime.fromisoformat(moment)
