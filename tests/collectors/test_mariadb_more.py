"""server_audit beside its usual lines: by syslog, from Aurora, with how the connection was made."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Value

CTX = Context(received=datetime(2026, 11, 22, 12, tzinfo=UTC))
DROPPED = {
    "host.hostname": "db1",
    "user.name": "root",
    "source.ip": "10.0.0.9",
    "db.namespace": "shop",
    "tocsin.db.kind": "ddl",
    "db.collection.name": "t",
}
CONNECTED = {"user.name": "root", "source.ip": "10.0.0.9", "db.namespace": "shop", "event.outcome": "success"}


@pytest.mark.parametrize(
    ("form", "text", "wanted"),
    [
        ("syslog", "Nov 22 11:00:00 db1 mysql-server_auditing:  db1,root,10.0.0.9,8,5,QUERY,shop,'drop table t',0", DROPPED),
        ("syslog", "Nov 22 11:00:00 db1 mysql-server_auditing: shop-1 db1,root,10.0.0.9,8,5,QUERY,shop,'drop table t',0", DROPPED),
        ("syslog", "Nov 22 11:00:00 db1 mysql-server_auditing: 20261122 11:00:00,db1,root,10.0.0.9,8,5,QUERY,shop,'drop table t',0", DROPPED),
        ("syslog", "Nov 22 11:00:00 db1 mysql-server_auditing: db1 root,10.0.0.9,8,0,CONNECT,shop,,0", CONNECTED),
        ("auto", "1795345200123456,db1,root,10.0.0.9,12,34,QUERY,shop,'drop table t',0", DROPPED),
        ("mariadb-audit", "20261122 11:00:00,db1,root,10.0.0.9,8,5,QUERY,shop,'drop table t',0,TLSv1.3", DROPPED),
        ("mariadb-audit", "20261122 11:00:00,db1,root,10.0.0.9,8,0,CONNECT,shop,,0,TCP/IP", CONNECTED),
        ("mariadb-audit", "20261122 11:00:00,db1,root,10.0.0.9,8,0,PROXY_CONNECT,shop,`ann`@`%`,0", {**CONNECTED, "user.target.name": "ann"}),
        ("mariadb-audit", "20261122 11:00:00,db1,root,10.0.0.9,8,9,RENAME,shop,t|shop.u,", {"tocsin.db.object": "t", "mariadb.audit.new_name": "shop.u"}),
        ("mariadb-audit", "20261122 11:00:00,db1,x,h,8,0,CONNECT,mysql,,0,10.0.0.9,9,0,FAILED_CONNECT,,,1045",
         {"user.name": "x,h,8,0,CONNECT,mysql,,0", "source.ip": "10.0.0.9", "event.outcome": "failure"}),
    ],
)  # fmt: skip
def test_a_line_says_who_from_where_and_what(form: str, text: str, wanted: dict[str, Value]) -> None:
    found = understand(text, FORMATS[form], CTX).fields
    assert {name: found.get(name) for name in wanted} == wanted


def test_auroras_time_is_microseconds() -> None:
    parsed = understand(
        "1795345200123456,db1,root,10.0.0.9,12,34,QUERY,shop,'select 1',0", FORMATS["mariadb-audit"], CTX
    )
    assert parsed.time is not None
    assert abs((parsed.time - datetime(2026, 11, 22, 11, 0, 0, 123456, tzinfo=UTC)).total_seconds()) < 0.001
