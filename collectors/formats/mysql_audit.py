"""MySQL Enterprise Audit, whichever file format: a record's names -> fields (MySQL manual, Audit Log File Formats).

Written from the documentation, not run here: unverified.
"""

from __future__ import annotations

from typing import Final

from collectors.formats.address import ip, source
from collectors.formats.sql import classify, describe
from rules.event import Value

Fields = dict[str, Value]
_ACCOUNTS: Final = ("user", "role", "grant", "revoke", "set_password", "alter_instance")
_EVENTS: Final = {
    "connect": ("session", "start"),
    "disconnect": ("session", "end"),
    "quit": ("session", "end"),
    "change_user": ("session", "change"),
}


_TABLE: Final = {"read": "read", "insert": "write", "update": "write", "delete": "write"}


def build(record: dict[str, str]) -> Fields:
    """Return the fields of a record. Names: class, event, user, priv_user, os_user, host, ip, status, db, table, query,
    sql_command, command, connection_id, id, proxy."""
    class_, event = record.get("class", ""), record.get("event", "")
    fields: Fields = {
        "event.kind": "event",
        "event.module": "mysql",
        "event.dataset": "mysql.audit",
        "event.category": ["database"],
        "event.type": ["info"],
        "event.action": f"mysql-{event}".replace("_", "-"),
        "db.system.name": "mysql",
        "mysql.audit.class": class_,
        "mysql.audit.event": event,
        "message": record.get("query") or f"{class_} {event}".strip(),
    }
    for name, field in (
        ("connection_id", "mysql.thread_id"),
        ("id", "mysql.audit.id"),
        ("os_user", "mysql.audit.os_user"),
        ("priv_user", "mysql.audit.priv_user"),
        ("proxy", "mysql.audit.proxy"),
        ("command", "mysql.audit.command"),
        ("sql_command", "mysql.audit.sql_command"),
    ):
        if record.get(name):
            fields[field] = record[name]
    if record.get("user"):
        fields["user.name"] = record["user"]
    _peer(record, fields)
    status = record.get("status", "")
    if status.lstrip("-").isdecimal() and len(status) < 12:
        fields["event.outcome"] = "success" if int(status) == 0 else "failure"
        if int(status):
            fields["event.code"] = status
    _what(class_, event, record, fields)
    return fields


def _peer(record: dict[str, str], fields: Fields) -> None:
    if record.get("ip"):
        source(fields, record["ip"])
    if record.get("host"):
        if "source.ip" in fields:
            if ip(record["host"]) is None:
                fields["source.domain"] = record["host"]
        else:
            source(fields, record["host"])


def _what(class_: str, event: str, record: dict[str, str], fields: Fields) -> None:
    if record.get("db"):
        fields["db.namespace"] = record["db"]
    if record.get("query"):
        describe(fields, record["query"], "mysql")
    if record.get("table"):
        fields["db.collection.name"] = fields["tocsin.db.object"] = record["table"]
        fields["tocsin.db.object_type"] = "table"
    command = record.get("sql_command", "")
    if command and "db.operation.name" not in fields:
        fields["db.operation.name"] = command.upper().replace("_", " ")
    if "tocsin.db.kind" not in fields and class_ in ("general", "table_access"):
        # The query may be left out of the log; its class then says as much: drop_table, insert_select.
        found = classify(command.replace("_", " "), "mysql") if command else None
        known = _TABLE.get(event) or (found.kind if found is not None and found.kind != "other" else None)
        if known is not None:
            fields["tocsin.db.kind"] = known
    if class_ == "connection" or event in _EVENTS:
        kind = _EVENTS.get(event, ("session", "info"))
        fields["event.category"] = [
            "database",
            "network",
            "session",
            *(["authentication"] if event not in ("disconnect", "quit") else []),
        ]
        fields["event.type"] = ["connection", kind[1]]
        fields["tocsin.db.kind"] = "session"
    elif any(word in command for word in _ACCOUNTS):
        fields["event.category"] = ["database", "iam"]
    elif class_ == "audit" or event in ("startup", "shutdown", "audit", "noaudit"):
        fields["event.category"] = ["database", "configuration"]
        fields["event.type"] = ["change"]


def class_of(name: str) -> str:
    """Return the class of an event that XML names and JSON has a field for."""
    if name in ("Connect", "Quit", "Change user"):
        return "connection"
    if name in ("Audit", "NoAudit"):
        return "audit"
    return "table_access" if name.startswith("Table") else "general"
