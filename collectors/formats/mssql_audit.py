"""SQL Server Audit: a row of sys.fn_get_audit_file as JSON or CSV, or the `name:value` lines of Windows event 33205.

Actions by id as sys.dm_audit_actions lists them. Written from the documentation, not run here: unverified.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import number, source
from collectors.formats.json_text import object_of
from collectors.formats.mssql_audit_actions import ACTIONS, TYPES
from collectors.formats.mssql_errorlog import base
from collectors.formats.pgaudit import split
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_BATCHES: Final = ("BCM", "RCM", "BST", "RST")  # their object is the database that they ran in
_LOGINS: Final = ("LGIS", "LGIF", "LGO", "DBAS", "DBAF", "DBL")
_PAIR: Final = re.compile(r"([a-z][a-z_0-9]{2,40}):", re.ASCII)
_CLIENT: Final = re.compile(r"<address>([^<]*)</address>")
_PLAIN: Final = (
    "session_id",
    "class_type",
    "server_instance_name",
    "application_name",
    "session_server_principal_name",
    "database_name",
    "schema_name",
    "sequence_number",
    "audit_file_offset",
    "transaction_id",
)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one audit record. Raises ParseError if it has no action_id."""
    if _CSV_HEAD.match(text):
        return Parsed(None, {**base("mssql.audit"), "message": text})
    row = _row(text)
    if "action_id" not in row:
        raise ParseError("no record of SQL Server Audit: no action_id")
    return build(row, ctx)


def _row(text: str) -> dict[str, str]:
    if text.lstrip().startswith("{"):
        record = object_of(text)
        forwarded = _of_windows(record)
        if forwarded is not None:
            return forwarded
        return {
            name.lower(): str(value).strip()
            for name, value in record.items()
            if value is not None and not isinstance(value, dict | list)
        }
    return _of_csv(text) if _is_csv(text) else lines(text)


# The columns of sys.fn_get_audit_file in their order, as SELECT * exports them; later versions add some at the end.
_COLUMNS: Final = (
    *("event_time", "sequence_number", "action_id", "succeeded", "permission_bitmask", "is_column_permission"),
    *("session_id", "server_principal_id", "database_principal_id", "target_server_principal_id"),
    *("target_database_principal_id", "object_id", "class_type", "session_server_principal_name"),
    *("server_principal_name", "server_principal_sid", "database_principal_name", "target_server_principal_name"),
    *("target_server_principal_sid", "target_database_principal_name", "server_instance_name", "database_name"),
    *("schema_name", "object_name", "statement", "additional_information", "file_name", "audit_file_offset"),
    *("user_defined_event_id", "user_defined_information", "audit_schema_version", "sequence_group_id"),
    *("transaction_id", "client_ip", "application_name", "duration_milliseconds", "response_rows", "affected_rows"),
)
_CSV: Final = re.compile(
    r'\ufeff?"?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?"?,"?\d{1,10}"?,"?[A-Z0-9]{1,4} *"?,', re.ASCII
)
_CSV_HEAD: Final = re.compile(r'\ufeff?"?event_time"?,"?sequence_number"?,"?action_id"?,', re.ASCII | re.IGNORECASE)


def _is_csv(text: str) -> bool:
    return _CSV.match(text) is not None


def _of_csv(text: str) -> dict[str, str]:
    values = split(text.removeprefix("\ufeff").rstrip("\r"), len(_COLUMNS))
    found = dict(zip(_COLUMNS, (value.strip() for value in values), strict=False))
    return {name: value for name, value in found.items() if value not in ("", "NULL")}


def quoting(first: str) -> str | None:
    """Return the mark that holds a record of CSV together; the other forms have none."""
    return '"' if _is_csv(first) or _CSV_HEAD.match(first) else None


def _of_windows(record: dict[str, object]) -> dict[str, str] | None:
    """Read Windows event 33205 as Winlogbeat forwards it; None if the object is none."""
    winlog, event = record.get("winlog"), record.get("event")
    if not isinstance(winlog, dict):
        return None
    data = winlog.get("event_data")
    texts = [*(data.values() if isinstance(data, dict) else []), record.get("message")]
    row = lines(next((text for text in texts if isinstance(text, str) and "action_id:" in text), ""))
    code = winlog.get("event_id") or (event.get("code") if isinstance(event, dict) else None)
    row.setdefault("event_time", str(record.get("@timestamp", "")))
    return {**row, "": str(code)} if code else row


def lines(text: str) -> dict[str, str]:
    """Read `name:value` a line; the statement may have lines of its own, and so comes to the next known name."""
    row: dict[str, str] = {}
    name = ""
    for line in text.replace("\r\n", "\n").removeprefix("Audit event: ").split("\n"):
        found = _PAIR.match(line)
        if (
            found is not None
            and (found[1] in _NAMES)
            and (name != "statement" or found[1] == "additional_information")
            and found[1] not in row
        ):
            name = found[1]
            row[name] = line[found.end() :].strip()
        elif name:
            row[name] = f"{row[name]}\n{line}"
    return row


_NAMES: Final = frozenset(
    {
        "audit_schema_version",
        "event_time",
        "sequence_number",
        "action_id",
        "succeeded",
        "is_column_permission",
        "session_id",
        "server_principal_id",
        "database_principal_id",
        "target_server_principal_id",
        "target_database_principal_id",
        "object_id",
        "user_defined_event_id",
        "transaction_id",
        "class_type",
        "duration_milliseconds",
        "response_rows",
        "affected_rows",
        "client_ip",
        "permission_bitmask",
        "sequence_group_id",
        "session_server_principal_name",
        "server_principal_name",
        "server_principal_sid",
        "database_principal_name",
        "target_server_principal_name",
        "target_server_principal_sid",
        "target_database_principal_name",
        "server_instance_name",
        "database_name",
        "schema_name",
        "object_name",
        "statement",
        "additional_information",
        "user_defined_information",
        "application_name",
        "connection_id",
        "data_sensitivity_information",
        "host_name",
        "client_tls_version",
        "obo_middle_tier_app_id",
        "is_local_secondary_replica",
        "external_policy_permissions_checked",
    }
)


def build(row: dict[str, str], ctx: Context) -> Parsed:
    """Return the event of an audit record by its column names."""
    fields = base("mssql.audit")
    action = row["action_id"].strip()
    called, kind, category = ACTIONS.get(action, (action.lower(), "other", ""))
    fields["event.action"] = called
    fields["mssql.audit.action_id"] = action
    if row.get(""):
        fields["event.code"] = row[""]
    if category:
        fields["event.category"] = ["database", category]
    if "succeeded" in row:
        fields["event.outcome"] = "success" if row["succeeded"].lower() in ("true", "1") else "failure"
    _who(row, fields)
    statement = row.get("statement", "")
    fields["message"] = statement or called
    if action in _LOGINS:
        _reason(statement, fields)
    elif statement:
        describe(fields, statement, "mssql")
    fields.setdefault("db.operation.name", called.upper().replace("-", " "))
    if kind == "started":  # the completed one tells what came of it
        fields["event.outcome"], fields["tocsin.db.kind"] = "unknown", "other"
        fields.pop("tocsin.db.unbounded", None)
    elif kind != "other" or "tocsin.db.kind" not in fields:
        fields["tocsin.db.kind"] = kind
    if action not in _BATCHES:
        _object(row, fields)
    _measures(row, fields)
    stamp = row.get("event_time", "")
    found = when.iso(stamp, ctx)
    return Parsed(found[0] if found else None, fields)


def _reason(statement: str, fields: Fields) -> None:
    """Login failed for user 'x'. Reason: ... [CLIENT: ...]: a login's statement is a message, or its SET options."""
    _, marked, reason = statement.rpartition("'. Reason: ")
    if marked and statement.startswith("Login failed"):
        fields["event.reason"] = reason.partition(" [CLIENT: ")[0]


def _who(row: dict[str, str], fields: Fields) -> None:
    login = (
        row.get("session_server_principal_name")
        or row.get("server_principal_name")
        or row.get("database_principal_name", "")
    )
    domain, marked, name = login.rpartition("\\")
    if name:
        fields["user.name"] = name
    if marked:
        fields["user.domain"] = domain
    effective = row.get("server_principal_name", "")
    if effective and effective != login:
        fields["user.effective.name"] = effective.rpartition("\\")[2]
    target = row.get("target_server_principal_name") or row.get("target_database_principal_name")
    if target:
        fields["user.target.name"] = target
    client = row.get("client_ip") or next(iter(_CLIENT.findall(row.get("additional_information", "")[:65536])), "")
    if client.lower() not in ("", "local machine", "unknown"):
        source(fields, client)
    elif row.get("host_name"):
        source(fields, row["host_name"])


def _object(row: dict[str, str], fields: Fields) -> None:
    if row.get("database_name"):
        fields["db.namespace"] = row["database_name"]
    kind = TYPES.get(row.get("class_type", "").strip())
    name = row.get("object_name", "")
    if name:
        fields["tocsin.db.object"] = name
        if kind:
            fields["tocsin.db.object_type"] = kind
        if kind in ("table", "view"):
            fields["db.collection.name"] = f"{row['schema_name']}.{name}" if row.get("schema_name") else name
        if kind == "database":
            fields["db.namespace"] = name  # a restore runs in master: what matters is the database that it is done to


def _measures(row: dict[str, str], fields: Fields) -> None:
    if row.get("database_name"):
        fields.setdefault("db.namespace", row["database_name"])
    rows = row.get("affected_rows", "")
    if rows.isdecimal() and rows.isascii() and len(rows) < 19:
        fields["mssql.audit.affected_rows"] = int(rows)
    returned, milliseconds = row.get("response_rows", ""), row.get("duration_milliseconds", "")
    if returned not in ("", "0"):
        number(fields, "db.response.returned_rows", returned)
    if milliseconds.isdecimal() and milliseconds.isascii() and 0 < len(milliseconds) < 12:
        fields["event.duration"] = int(milliseconds) * 1_000_000
    for column in _PLAIN:
        if row.get(column):
            fields[f"mssql.audit.{column}"] = row[column]


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a record of `name:value` lines; a JSON row stands alone."""
    if quoting(first) is not None:
        return first.count('"') % 2 == 1 and not _is_csv(line)
    return not first.lstrip().startswith("{") and not line.startswith(("audit_schema_version:", "Audit event: ", "{"))


FORMAT = Format("mssql-audit", parse, continues, quoting=quoting)
