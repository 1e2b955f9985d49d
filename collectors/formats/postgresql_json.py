"""PostgreSQL's jsonlog (15 and newer): one object a record, its keys as runtime-config-logging lists them."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, postgresql_message
from collectors.formats.address import number, source
from collectors.formats.json_text import object_of
from collectors.formats.postgresql import stamped
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_PLAIN: Final = {
    "application_name": "postgresql.log.application_name",
    "session_id": "postgresql.log.session_id",
    "ps": "postgresql.log.command_tag",
    "vxid": "postgresql.log.virtual_transaction_id",
    "txid": "postgresql.log.transaction_id",
    "detail": "postgresql.log.detail",
    "hint": "postgresql.log.hint",
    "context": "postgresql.log.context",
    "internal_query": "postgresql.log.internal_query",
    "func_name": "postgresql.log.location",
    "backend_type": "postgresql.log.backend_type",
    "query_id": "postgresql.log.query_id",
    "line_num": "postgresql.log.session_line_number",
    "session_start": "postgresql.log.session_start_time",
    "leader_pid": "postgresql.log.leader_pid",
}


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one jsonlog object. Raises ParseError if it is none of PostgreSQL's."""
    record = object_of(text)
    if "error_severity" not in record or "timestamp" not in record:
        raise ParseError("no jsonlog of PostgreSQL: no error_severity, or no timestamp")
    return build({name: value for name, value in record.items() if isinstance(value, str | int | float)}, ctx)


def build(record: dict[str, str | int | float], ctx: Context) -> Parsed:
    """Return the event of a record by jsonlog's keys; csvlog comes here too."""
    fields = postgresql_message.base()
    time = stamped(str(record["timestamp"]), ctx, fields)
    for name, field in (("user", "user.name"), ("dbname", "db.namespace")):
        value = str(record.get(name, ""))
        if value not in ("", "[unknown]"):
            fields[field] = value
    number(fields, "process.pid", str(record.get("pid", "")))
    for name, field in _PLAIN.items():
        if record.get(name, "") != "":
            fields[field] = record[name]
    _peer(record, fields)
    state = str(record.get("state_code", ""))
    if state:
        fields["postgresql.log.sql_state_code"] = state
        if state != "00000":
            fields["event.code"] = state
    postgresql_message.understand(str(record["error_severity"]), str(record.get("message", "")), fields)
    statement = str(record.get("statement", ""))
    if statement and "db.query.text" not in fields:
        describe(fields, statement, "postgresql")
    return Parsed(time, fields)


def _peer(record: dict[str, str | int | float], fields: Fields) -> None:
    host = str(record.get("remote_host", ""))
    if host == "[local]":
        fields["postgresql.log.client_addr"] = "local"
    elif host:
        source(fields, host, str(record.get("remote_port", "")))


def moment(record: dict[str, str], ctx: Context) -> datetime:
    """Return the record's time."""
    return stamped(record["timestamp"], ctx)


FORMAT = Format("postgresql-json", parse)
