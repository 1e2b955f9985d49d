"""What PostgreSQL's log says beside statements, and prefixes with names that somebody chose."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Value

RECEIVED = datetime(2026, 11, 22, 12, tzinfo=UTC)
STAMP = "2026-11-22 11:00:00.000 UTC [7] "


def fields(text: str, prefix: str | None = None) -> dict[str, Value]:
    return FORMATS["postgresql"].parse(text, Context(received=RECEIVED, prefix=prefix)).fields


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ('FATAL:  no pg_hba.conf entry for replication connection from host "10.0.0.1", user "u", no encryption',
         {"user.name": "u", "source.ip": "10.0.0.1", "event.outcome": "failure", "event.action": "connection-refused"}),
        ('FATAL:  permission denied for database "d"', {"event.action": "connection-refused", "tocsin.db.object": "d", "tocsin.db.object_type": "database"}),
        ("ERROR:  must be owner of view v", {"event.action": "permission-denied", "tocsin.db.object": "v", "tocsin.db.object_type": "view"}),
        ("ERROR:  permission denied to create role", {"event.action": "permission-denied", "event.outcome": "failure"}),
        ('FATAL:  database "shop" does not exist', {"event.action": "connection-refused", "db.namespace": "shop"}),
        ("LOG:  replication connection authorized: user=repl application_name=walreceiver", {"user.name": "repl", "event.outcome": "success", "tocsin.db.kind": "session"}),
        ('LOG:  parameter "log_statement" changed to "none"', {"event.action": "parameter-changed", "postgresql.log.parameter": "log_statement", "postgresql.log.value": "none"}),
        ("LOG:  received fast shutdown request", {"event.action": "server-shutdown"}),
        ("LOG:  duration: 12.345 ms  plan:\n\tQuery Text: DELETE FROM t\n\t  WHERE 1=1;\n\tDelete on t  (cost=0.00..1.00 rows=0)",
         {"db.query.text": "DELETE FROM t\n  WHERE 1=1", "tocsin.db.kind": "write", "tocsin.db.unbounded": True, "event.duration": 12345000}),
        ("LOG:  duration: 2.5 ms  bind s1: DELETE FROM t", {"tocsin.db.kind": "other", "db.operation.name": "DELETE", "tocsin.db.unbounded": None}),
        ("LOG:  duration: 2.5 ms  execute s1: DELETE FROM t", {"tocsin.db.kind": "write", "tocsin.db.unbounded": True}),
    ],
)  # fmt: skip
def test_a_message_is_understood(message: str, wanted: dict[str, Value]) -> None:
    found = fields(STAMP + message)
    assert {name: found.get(name) for name in wanted} == wanted


PGBADGER = "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h "
LINE = "2026-11-22 11:00:00 UTC [7]: [1-1] user=ann,db=shop,app={},client=10.0.0.9 LOG:  statement: DROP TABLE x"


@pytest.mark.parametrize("prefix", [None, PGBADGER])
@pytest.mark.parametrize(
    "app", ["psql", "DBeaver 23.1 - SQLEditor <Script.sql>", "pgAdmin 4 - DB:shop", "PostgreSQL JDBC Driver", ""]
)
def test_an_applications_name_may_hold_blanks_where_the_prefix_goes_on_behind_it(app: str, prefix: str | None) -> None:
    found = fields(LINE.format(app), prefix)
    assert found.get("postgresql.log.application_name", "") == app
    assert (found["user.name"], found["db.namespace"], found["source.ip"]) == ("ann", "shop", "10.0.0.9")
    assert found["tocsin.db.kind"] == "ddl"


@pytest.mark.parametrize(
    "app",
    ["x,client=6.6.6.6 LOG:  statement: SELECT 1", "x,client=6.6.6.6 LOG: ", "x LOG:  y", ",client=6.6.6.6 ERROR:  "],
)
def test_an_applications_name_that_looks_like_the_end_of_the_prefix_hides_nothing_and_forges_no_address(
    app: str,
) -> None:
    found = fields(LINE.format(app), PGBADGER)
    assert found.get("source.ip") in (None, "10.0.0.9")
    assert (found["user.name"], found["db.namespace"], found["tocsin.db.kind"]) == ("ann", "shop", "ddl")


def test_a_statement_that_looks_like_the_end_of_the_prefix_hides_nothing() -> None:
    text = LINE.format("psql").replace("DROP", "/*,client=6.6.6.6 LOG:  statement: SELECT*/ DROP")
    found = fields(text, PGBADGER)
    assert found.get("source.ip") in (None, "10.0.0.9")
    assert (found["user.name"], found["tocsin.db.kind"], found["db.collection.name"]) == ("ann", "ddl", "x")


def test_a_statement_that_speaks_of_levels_is_a_statement() -> None:
    text = "SELECT * FROM log WHERE line LIKE '%ERROR: %' OR line LIKE 'LOG:  %'"
    found = fields(f"{STAMP}ann@shop LOG:  statement: {text}", "%m [%p] %q%u@%d ")
    assert (found["user.name"], found["db.query.text"]) == ("ann", text)


def test_eighteens_local_address_is_where_it_was_connected_to() -> None:
    found = fields("2026-11-22 11:00:00 UTC 10.0.0.5 ann LOG:  statement: SELECT 1", "%t %L %u ")
    assert (found["destination.ip"], found["user.name"]) == ("10.0.0.5", "ann")
    assert "destination.ip" not in fields("2026-11-22 11:00:00 UTC [local] ann LOG:  x", "%t %L %u ")
