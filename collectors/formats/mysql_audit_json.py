"""MySQL Enterprise Audit in JSON: an array whose elements stand a line each, or over several lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.json_text import flat, object_of
from collectors.formats.mysql_audit import build

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
_ATTRIBUTES: Final = ("program_name", "_client_name", "_client_version", "_os", "_pid", "_platform")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one record; the array's brackets and commas about it are no part of it."""
    body = text.strip().removeprefix("[").removesuffix("]").strip().strip(",").strip()
    if not body:
        raise ParseError("no record of MySQL's audit log: nothing in the brackets")
    record = object_of(body)
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
    found = when.iso(str(record["timestamp"]), ctx)
    return Parsed(found[0] if found else None, fields)


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
