"""`tocsin parse`: raw log in, one nested object a record out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.commands.parse import parse

LOGIN = "Nov 22 02:00:00 db-7 sshd[7]: Accepted password for root from 192.0.2.7 port 50022 ssh2\n"


def run(*args: str, data: bytes = b"") -> list[dict[str, object]]:
    done = CliRunner().invoke(parse, list(args), input=data, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_record_becomes_one_nested_object() -> None:
    (event,) = run("--year", "2026", data=LOGIN.encode())
    assert event["@timestamp"] == "2026-11-22T02:00:00.000000Z"
    assert event["user"] == {"name": "root"}
    assert event["source"] == {"ip": "192.0.2.7", "port": 50022}


def test_a_file_is_read_as_well_as_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_text(LOGIN)
    assert [event["user"] for event in run(str(path))] == [{"name": "root"}]


def test_host_names_the_collecting_host_beside_the_name_in_the_line() -> None:
    (event,) = run("--host", "collector-1", data=LOGIN.encode())
    assert event["host"] == {"hostname": "db-7", "name": "collector-1"}


def test_an_unknown_line_comes_out_with_its_raw_text_and_in_its_place() -> None:
    events = run(data=b"rubbish \xff\x00\n" + LOGIN.encode() + b"half a line")
    originals = [event["event"] for event in events]
    assert [original["original"] for original in originals if isinstance(original, dict)] == [
        "rubbish \\xff\x00",
        LOGIN.rstrip("\n"),
        "half a line",
    ]


@pytest.mark.parametrize(
    ("zone", "expected"), [("Europe/Zurich", "01"), ("+0530", "20"), ("+05:30", "20"), ("UTC", "02")]
)
def test_a_zone_is_for_times_that_state_none(zone: str, expected: str) -> None:
    (event,) = run("--timezone", zone, "--year", "2026", data=LOGIN.encode())
    assert str(event["@timestamp"])[11:13] == expected


def test_a_prefix_is_postgresqls() -> None:
    line = b"bob|shop|2026-11-22 02:00:00.000 UTC|LOG:  statement: DROP TABLE t\n"
    (event,) = run("--format", "postgresql", "--prefix", "%u|%d|%m|", data=line)
    database = event["db"]
    assert isinstance(database, dict)
    assert (event["user"], database["namespace"]) == ({"name": "bob"}, "shop")


def test_continuation_lines_are_one_record() -> None:
    events = run("--format", "syslog", data=LOGIN.encode() + b"Nov 22 02:00:01 h app: one\n  two\n")
    assert [event["message"] for event in events][1:] == ["one\n  two"]


def test_utf_16_that_says_so_is_read() -> None:
    log = "2026-11-22 02:00:00.12 Logon       Login failed for user 'sa'. Reason: No. [CLIENT: 192.0.2.8]\r\n"
    (event,) = run("--format", "mssql-errorlog", data=log.encode("utf-16"))
    assert event["source"] == {"ip": "192.0.2.8"}


def test_an_empty_input_gives_nothing() -> None:
    assert run() == []


@pytest.mark.parametrize(
    "args", [["--format", "nonsense"], ["--timezone", "Mars/Olympus"], ["--year", "0"], ["/no/such/file"]]
)
def test_misuse_is_exit_2_and_says_what_was_meant(args: list[str]) -> None:
    done = CliRunner().invoke(parse, args)
    assert done.exit_code == 2
    assert args[-1].strip("-") in done.output
