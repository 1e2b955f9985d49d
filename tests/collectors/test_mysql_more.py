"""MySQL's audit records whose query was left out, Percona's of the same, and who is nobody's address."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Value

CTX = Context(received=datetime(2026, 11, 22, 12, tzinfo=UTC))
WHO = {
    "account": {"user": "root", "host": "10.0.0.9"},
    "login": {"user": "root", "os": "", "ip": "10.0.0.9", "proxy": ""},
}


def enterprise(**record: object) -> str:
    return json.dumps({"timestamp": "2026-11-22 11:00:00", "id": 1, "connection_id": 9, **WHO, **record})


@pytest.mark.parametrize(
    ("form", "text", "wanted"),
    [
        ("mysql-audit-json", enterprise(**{"class": "general"}, event="status", general_data={"command": "Query", "sql_command": "drop_table", "status": 0}),
         {"tocsin.db.kind": "ddl", "db.operation.name": "DROP TABLE", "user.name": "root", "source.ip": "10.0.0.9", "source.domain": None}),
        ("mysql-audit-json", enterprise(**{"class": "table_access"}, event="read", table_access_data={"db": "shop", "table": "t", "query": "", "sql_command": "select"}),
         {"tocsin.db.kind": "read", "db.namespace": "shop", "db.collection.name": "t"}),
        ("mysql-audit-json", enterprise(**{"class": "general"}, event="status", general_data={"query": "SELECT 1", "sql_command": "select", "status": 0}, query_statistics={"query_time": 0.5, "rows_sent": 3}),
         {"db.response.returned_rows": 3, "event.duration": 500_000_000}),
        ("auto", json.dumps({"audit_record": {"name": "Query", "record": "10_2026", "timestamp": "2026-11-22T11:00:00 UTC", "command_class": "drop_table", "connection_id": "12", "status": 0, "sqltext": "DROP TABLE t", "user": "root[root] @ web-1 []", "host": "web-1", "os_user": "", "ip": "10.0.0.9", "db": "shop"}}),
         {"user.name": "root", "source.ip": "10.0.0.9", "source.domain": "web-1", "db.namespace": "shop", "tocsin.db.kind": "ddl", "event.outcome": "success"}),
        ("auto", json.dumps({"audit_record": {"name": "Connect", "record": "9", "timestamp": "2026-11-22T11:00:00Z", "connection_id": "12", "status": 1045, "user": "eve", "host": "", "ip": "10.0.0.7", "db": ""}}),
         {"user.name": "eve", "source.ip": "10.0.0.7", "event.outcome": "failure", "tocsin.db.kind": "session"}),
        ("mysql-audit-xml", '<AUDIT_RECORD TIMESTAMP="2026-11-22T11:00:00 UTC" RECORD_ID="4" NAME="Quit" CONNECTION_ID="6" STATUS="0" USER="root" IP="10.0.0.9" COMMAND_CLASS="connect"/>',
         {"event.type": ["connection", "end"], "event.category": ["database", "network", "session"]}),
        ("mysql-error", "2026-11-22T11:00:00.1Z 0 [System] [MY-010931] [Server] /usr/sbin/mysqld: ready for connections. Version: '8.0.36'  socket: '/x'  port: 3306  MySQL Community Server - GPL.",
         {"event.action": "server-started"}),
    ],
)  # fmt: skip
def test_a_record_says_who_from_where_and_what(form: str, text: str, wanted: dict[str, Value]) -> None:
    found = understand(text, FORMATS[form], CTX).fields
    assert {name: found.get(name) for name in wanted} == wanted
