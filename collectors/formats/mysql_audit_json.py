"""MySQL Enterprise Audit in JSON: an array whose elements stand a line each, or over several lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.json_text import flat, object_of
from collectors.formats.mysql_audit import build, class_of
from rules.event import Value

_WHERE: Final = (
    "general_data",
    "connection_data",
    "table_access_data",
    "startup_data",
    "shutdown_data",
    "message_data",
    "query_data",
    "command_data",
)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one record; the array's brackets and commas about it are no part of it."""
    body = text.strip().removeprefix("[").removesuffix("]").strip().strip(",").strip()
    if not body:
        raise ParseError("no record of MySQL's audit log: nothing in the brackets")
    record = object_of(body)
    percona = record.get("audit_record")
    if isinstance(percona, dict):
        return _of_percona(percona, ctx)
    if not isinstance(record.get("event"), str) or "timestamp" not in record:
        raise ParseError("no record of MySQL's audit log: no timestamp and event")
    names: dict[str, str] = {
        name: str(record[name]) for name in ("class", "event", "connection_id", "id") if name in record
    }
    names |= _of(record, "account", {"user": "user", "host": "host"})
    names |= _of(record, "login", {"user": "priv_user", "os": "os_user", "ip": "ip", "proxy": "proxy"})
    for where in _WHERE:
        names |= _of(
            record, where, {name: name for name in ("command", "sql_command", "query", "status", "db", "table")}
        )
    fields = build(names)
    for where in _WHERE:
        data = record.get(where)
        if isinstance(data, dict):
            fields.update(flat({k: v for k, v in data.items() if k not in ("query",)}, f"mysql.audit.{where}."))
    _measures(record.get("query_statistics"), fields)
    found = when.iso(str(record["timestamp"]), ctx)
    return Parsed(found[0] if found else None, fields)


def _measures(statistics: object, fields: dict[str, Value]) -> None:
    """Take the rows that were returned, and how long it took in seconds, where the server was told to log them."""
    if not isinstance(statistics, dict):
        return
    rows, seconds = statistics.get("rows_sent"), statistics.get("query_time")
    if isinstance(rows, int) and 0 <= rows < 1 << 60:
        fields["db.response.returned_rows"] = rows
    if isinstance(seconds, int | float) and 0 <= seconds < 1e9:
        fields["event.duration"] = int(seconds * 1_000_000_000)


def _of_percona(record: Mapping[str, object], ctx: Context) -> Parsed:
    """Percona's audit_log plugin: {"audit_record": {"name": "Query", "user": "root[root] @ localhost []", ...}}."""
    names = {
        ours: str(record[name])
        for name, ours in _PERCONA.items()
        if isinstance(record.get(name), str | int) and record[name] != ""
    }
    names["class"] = class_of(names.get("event", ""))
    names["user"] = names.get("user", "").partition("[")[0]
    names["event"] = names.get("event", "").lower().replace(" ", "_")
    found = when.iso(str(record.get("timestamp", "")).removesuffix(" UTC"), ctx)
    return Parsed(found[0] if found else None, build(names))


_PERCONA: Final = {
    "name": "event", "connection_id": "connection_id", "record": "id", "status": "status", "user": "user",
    "host": "host", "os_user": "os_user", "os_login": "os_user", "ip": "ip", "priv_user": "priv_user",
    "proxy_user": "proxy", "db": "db", "command_class": "sql_command", "sqltext": "query",
}  # fmt: skip


def _of(record: Mapping[str, object], where: str, names: Mapping[str, str]) -> dict[str, str]:
    """Take some names of an inner object, under ours."""
    inner = record.get(where)
    if not isinstance(inner, dict):
        return {}
    return {
        ours: str(inner[name])
        for name, ours in names.items()
        if isinstance(inner.get(name), str | int) and inner[name] != ""
    }


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a record that is written over several lines: one begins with a brace of its own."""
    start = first.lstrip("[ \t,")
    return start[:1] in ("", "{") and not start.rstrip(" ,]").endswith("}") and line.lstrip()[:1] not in ("{", "[")


FORMAT = Format("mysql-audit-json", parse, continues)
