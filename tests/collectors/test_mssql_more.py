"""SQL Server: audit rows as CSV, actions that were a code alone, and who the ERRORLOG does name."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from collectors.decode import Joiner, decode, understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.framing import Lines
from rules.event import Fields, Value

CTX = Context(received=datetime(2026, 11, 22, 12, tzinfo=UTC))
STAMP = "2026-11-22 11:00:00.67 "
CSV = """event_time,sequence_number,action_id,succeeded,permission_bitmask
2026-11-22 11:00:00.1234567,1,RS  ,1,0x00,0,52,1,1,0,0,5,DB,CORP\\mallory,CORP\\mallory,0x01,dbo,NULL,NULL,NULL,SQL1,master,,Shop_Production,"RESTORE DATABASE [Shop_Production]
FROM DISK = N'D:\\x, ""y"".bak'",,x.sqlaudit,1024,0,,1,0x1,0,10.0.0.9,SSMS,5,0,0
"2026-11-22T11:00:06","1","SL  ","True","0x00","False","52","1","1","0","0","5","U ","sa","sa","0x01","dbo","","","","SQL1","Shop","dbo","orders","SELECT * FROM orders","<action_info><address>10.0.0.7</address></action_info>","x","2048","0","","1","0x1","0","","SSMS","7","12","0"
"""


@pytest.mark.parametrize("form", ["mssql-audit", "auto"])
def test_rows_of_csv_say_who_did_what_though_a_statement_has_lines_quotes_and_commas(form: str) -> None:
    joiner = Joiner(FORMATS[form])
    frames = joiner.feed(Lines().feed(CSV.encode())) + joiner.flush()
    told: list[Fields] = [understand(decode(frame.raw), FORMATS[form], CTX).fields for frame in frames]
    assert len(told) == 3
    head, restored, read = told
    assert "tocsin.parse_error" not in head
    assert restored["db.query.text"] == "RESTORE DATABASE [Shop_Production]\nFROM DISK = N'D:\\x, \"y\".bak'"
    names = (
        "user.name",
        "user.domain",
        "source.ip",
        "db.namespace",
        "tocsin.db.kind",
        "event.outcome",
        "event.duration",
    )
    assert [restored[name] for name in names] == [
        "mallory",
        "CORP",
        "10.0.0.9",
        "Shop_Production",
        "restore",
        "success",
        5_000_000,
    ]
    assert (read["db.collection.name"], read["db.response.returned_rows"], read["source.ip"]) == (
        "dbo.orders",
        12,
        "10.0.0.7",
    )


def audit(**row: object) -> Fields:
    text = json.dumps({"event_time": "2026-11-22 11:00:00", "succeeded": True, "server_principal_name": "ann", **row})
    return understand(text, FORMATS["mssql-audit"], CTX).fields


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"action_id": "LGIF", "succeeded": False, "statement": "Login failed for user 'sa'. Reason: Password did not match. [CLIENT: 10.0.0.9]"},
         {"event.reason": "Password did not match.", "tocsin.db.kind": "session", "db.query.text": None, "event.outcome": "failure"}),
        ({"action_id": "BCM ", "class_type": "DB", "database_name": "Shop", "object_name": "Shop", "statement": "DELETE FROM x"},
         {"event.action": "batch-completed", "tocsin.db.kind": "write", "tocsin.db.object": "x", "db.namespace": "Shop", "tocsin.db.unbounded": True}),
        ({"action_id": "BST ", "class_type": "DB", "database_name": "Shop", "object_name": "Shop", "statement": "DELETE FROM x"},
         {"event.outcome": "unknown", "tocsin.db.kind": "other", "tocsin.db.unbounded": None}),
        ({"action_id": "APRL", "class_type": "RL", "object_name": "db_owner", "target_database_principal_name": "eve", "statement": "ALTER ROLE db_owner ADD MEMBER eve"},
         {"tocsin.db.kind": "privilege", "user.target.name": "eve", "tocsin.db.object": "db_owner"}),
        ({"action_id": "IMP ", "class_type": "LX", "object_name": "sa", "statement": "EXECUTE AS LOGIN = 'sa'"},
         {"tocsin.db.kind": "privilege", "user.target.name": "sa", "user.name": "ann"}),
        ({"action_id": "SL  ", "class_type": "U", "host_name": "WEB-1", "statement": "SELECT 1"}, {"source.domain": "WEB-1"}),
    ],
)  # fmt: skip
def test_an_audit_row_says_what_its_action_was(row: dict[str, object], wanted: dict[str, Value]) -> None:
    found = audit(**row)
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("Backup      RESTORE failed to complete the command RESTORE DATABASE [Shop Prod]. Check the backup application log",
         {"tocsin.db.kind": "restore", "event.outcome": "failure", "db.namespace": "Shop Prod"}),
        ("spid52      DBCC CHECKDB (Shop) executed by CORP\\ann found 0 errors and repaired 0 errors.",
         {"user.name": "ann", "db.namespace": "Shop", "db.operation.name": "DBCC CHECKDB"}),
        ("spid52      Process ID 55 was killed by hostname WEB-1, host process ID 1234.", {"event.action": "session-killed", "source.domain": "WEB-1"}),
        ("spid5s      Audit: Server Audit: 65536, State changed from: STARTED to: STOPPED", {"event.action": "audit-stopped"}),
        ("spid52      Setting database option SINGLE_USER to ON for database 'Shop'.", {"mssql.log.option": "SINGLE_USER to ON", "db.namespace": "Shop"}),
        ("Server      SQL Server is terminating because of a system shutdown.", {"event.action": "server-shutdown"}),
        ("Logon       Login failed for user ''. Reason: x [CLIENT: 10.0.0.9]", {"user.name": None, "event.outcome": "failure"}),
    ],
)  # fmt: skip
def test_an_errorlog_entry_is_understood(message: str, wanted: dict[str, Value]) -> None:
    found = understand(STAMP + message, FORMATS["mssql-errorlog"], CTX).fields
    assert {name: found.get(name) for name in wanted} == wanted
