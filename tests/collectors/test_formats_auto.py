"""`auto` reads a record as the format that is named would, on every open case."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS

SUITES = Path(__file__).resolve().parents[3] / "shared" / "suites"
CTX = Context(received=datetime(2026, 11, 22, 2, 14, tzinfo=UTC), year=2025)
NAMES = (
    ("syslog", "syslog"), ("postgresql stderr", "postgresql"), ("postgresql csvlog", "postgresql-csv"), ("mysql", "mysql-error"),
    ("mongodb <= 4.2 text", "mongodb-text"), ("auditd", "auditd"),
)  # fmt: skip
# A record of which nothing says what it is: a continuation of MySQL's error log that stands alone.
UNKNOWABLE = ("Version: '",)


def rows(name: str) -> Iterator[dict[str, object]]:
    path = SUITES / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the suites are not beside the project")
    yield from (json.loads(line) for line in path.open(encoding="utf-8"))


def cases() -> Iterator[tuple[str, str]]:
    for row in rows("ecs/elastic_fixtures"):
        words = str(row["format"]).lower()
        name = next(
            (named for key, named in NAMES if key in words and "journald" not in words and "pre-parsed" not in words),
            None,
        )
        events = row["events"]
        assert isinstance(events, list)
        yield from ((name, event["raw"]) for event in events if name is not None)
    for file, name, key in (
        ("extra/auditd_records", "auditd", "raw"), ("extra/pgaudit", "pgaudit", "message"), ("extra/mariadb_server_audit", "mariadb-audit", "raw"),
        ("extra/postgresql_jsonlog", "postgresql-json", "raw"), ("extra/mongodb_audit", "mongodb-audit", "raw"), ("loghub/lines", "syslog", "raw"),
        ("ecs/go_libaudit_coalesce", "auditd", "raw"),
    ):  # fmt: skip
        yield from ((name, str(row[key])) for row in rows(file))


def test_auto_agrees_with_the_named_format_on_every_open_case() -> None:
    wrong = []
    for name, raw in cases():
        text = raw.strip("\n")
        if text.startswith(UNKNOWABLE):
            continue
        named, auto = understand(text, FORMATS[name], CTX), understand(text, FORMATS["auto"], CTX)
        unknown = "tocsin.parse_error" in named.fields and "tocsin.parse_error" in auto.fields
        if named != auto and not unknown:
            wrong.append((name, text[:120], auto.fields.get("event.module"), auto.fields.get("tocsin.parse_error")))
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "module"),
    [
        ("nothing that anyone knows", None),
        ("Accepted publickey for root from 192.0.2.1 port 22 ssh2", "sshd"),
        ("<13>1 2026-11-22T02:00:00Z h app - - - hello", "syslog"),
        ('{"log":"hello\\n","stream":"stdout","time":"2026-11-22T02:00:00Z"}', "container"),
        ("2026-11-22T02:00:00.000000000Z stdout F hello", "container"),
        ('{"a":1}', "json"),
        ("2026-11-22 02:00:00.00 spid5s      Starting up database 'master'.", "mssql"),
        ("2026-11-22 02:00:00.00 Server      Microsoft SQL Server 2022", "mssql"),
        ("261122  2:00:00 [Note] Plugin 'FEDERATED' is disabled.", "mysql"),
        ("2026-11-22T02:00:00.000000Z\t    8 Query\tSELECT 1", "mysql"),
        ("# Time: 2026-11-22T02:00:00Z", "mysql"),
        ("2026-11-22 02:00:00.000 UTC [1] LOG:  started", "postgresql"),
        ('{"t":{"$date":"2026-11-22T02:00:00.000+00:00"},"s":"I","c":"NETWORK","id":1,"ctx":"a","msg":"b"}', "mongodb"),
        ('{"MESSAGE":"hello","__REALTIME_TIMESTAMP":"1700000000000000","SYSLOG_IDENTIFIER":"x"}', "journald"),
        ("<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>4624</EventID></System></Event>", "windows"),
    ],
)  # fmt: skip
def test_auto_tells_formats_by_how_a_line_begins(line: str, module: str | None) -> None:
    assert understand(line, FORMATS["auto"], CTX).fields.get("event.module") == module
