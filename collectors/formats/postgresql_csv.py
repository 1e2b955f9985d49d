"""PostgreSQL's csvlog: the columns of runtime-config-logging (CSV-format), 23 to 26 of them by version."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError
from collectors.formats.pgaudit import split
from collectors.formats.postgresql_json import build

# The columns by jsonlog's keys. 13 added backend_type, 14 leader_pid and query_id.
_COLUMNS: Final = (
    "timestamp", "user", "dbname", "pid", "connection", "session_id", "line_num", "ps", "session_start", "vxid", "txid",
    "error_severity", "state_code", "message", "detail", "hint", "internal_query", "internal_position", "context",
    "statement", "cursor_position", "func_name", "application_name", "backend_type", "leader_pid", "query_id",
)  # fmt: skip
_LEAST: Final = 14
_START: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Za-z0-9+:-]{1,8},", re.ASCII)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one csvlog record, its line breaks in it. Raises ParseError if it is none."""
    if _START.match(text) is None:
        raise ParseError("no csvlog of PostgreSQL: it does not begin with a time and a comma")
    values = split(text, len(_COLUMNS))
    if len(values) < _LEAST:
        raise ParseError(f"no csvlog of PostgreSQL: {len(values)} columns")
    record: dict[str, str | int | float] = {
        name: value for name, value in zip(_COLUMNS, values, strict=False) if value != ""
    }
    connection = str(record.pop("connection", ""))
    host, _, port = connection.rpartition(":") if connection != "[local]" else (connection, "", "")
    if connection:
        record |= {"remote_host": host or connection, "remote_port": port if host else ""}
    if "error_severity" not in record:
        raise ParseError("no csvlog of PostgreSQL: no severity")
    return build(record, ctx)


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a value that the first line opened and did not close."""
    return first.count('"') % 2 == 1 and _START.match(line) is None


FORMAT = Format("postgresql-csv", parse, continues, quote='"')
