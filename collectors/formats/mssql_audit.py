"""SQL Server Audit: a row of sys.fn_get_audit_file as JSON, or the `name:value` lines of Windows event 33205.

Actions by id as sys.dm_audit_actions lists them. Written from the documentation, not run here: unverified.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from collectors.formats.json_text import object_of
from collectors.formats.mssql_errorlog import base
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
# action_id -> (what it is called, kind, further categories)
_ACTIONS: Final = {
    "LGIS": ("login-succeeded", "session", "authentication"),
    "LGIF": ("login-failed", "session", "authentication"),
    "LGO": ("logout", "session", "session"),
    "DBAS": ("database-login-succeeded", "session", "authentication"),
    "DBAF": ("database-login-failed", "session", "authentication"),
    "LGDA": ("login-disabled", "privilege", "iam"),
    "LGEA": ("login-enabled", "privilege", "iam"),
    "PWC": ("password-changed", "privilege", "iam"),
    "PWR": ("password-reset", "privilege", "iam"),
    "PWRS": ("password-reset", "privilege", "iam"),
    "PWCS": ("password-changed", "privilege", "iam"),
    "APRL": ("add-role-member", "privilege", "iam"),
    "DPRL": ("drop-role-member", "privilege", "iam"),
    "CCLG": ("change-login-credential", "privilege", "iam"),
    "NMLG": ("no-credential-map", "privilege", "iam"),
    "USAF": ("user-changed", "privilege", "iam"),
    "G": ("grant", "privilege", "iam"),
    "GWG": ("grant-with-grant", "privilege", "iam"),
    "R": ("revoke", "privilege", "iam"),
    "RWC": ("revoke-cascade", "privilege", "iam"),
    "RWG": ("revoke-with-grant", "privilege", "iam"),
    "D": ("deny", "privilege", "iam"),
    "DWC": ("deny-cascade", "privilege", "iam"),
    "TO": ("take-ownership", "privilege", "iam"),
    "IMP": ("impersonate", "privilege", "session"),
    "SL": ("select", "read", ""),
    "IN": ("insert", "write", ""),
    "UP": ("update", "write", ""),
    "DL": ("delete", "write", ""),
    "EX": ("execute", "other", ""),
    "RF": ("references", "read", ""),
    "VW": ("view", "read", ""),
    "RC": ("receive", "read", ""),
    "CR": ("create", "ddl", ""),
    "AL": ("alter", "ddl", ""),
    "DR": ("drop", "ddl", ""),
    "BA": ("backup", "backup", ""),
    "BAL": ("backup-log", "backup", ""),
    "RS": ("restore", "restore", ""),
    "RSL": ("restore-log", "restore", ""),
    "DBCC": ("dbcc", "other", ""),
    "OP": ("open", "session", ""),
    "AUSC": ("audit-session-changed", "ddl", "configuration"),
    "AUSF": ("audit-shutdown-on-failure", "other", "configuration"),
    "SVCN": ("server-continued", "other", ""),
    "SVPD": ("server-paused", "other", ""),
    "SVSD": ("server-shutdown", "other", "host"),
    "SVSR": ("server-started", "other", "host"),
    "CNAU": ("audit-change", "ddl", "configuration"),
    "ACDO": ("change-own", "ddl", ""),
    "LGSD": ("audit-dropped", "ddl", "configuration"),
}
_TYPES: Final = {
    "U": "table",
    "V": "view",
    "P": "procedure",
    "DB": "database",
    "FN": "function",
    "SX": "schema",
    "LX": "login",
    "US": "user",
    "RL": "role",
    "SR": "server",
    "SG": "role",
    "S": "table",
    "WL": "login",
    "SL": "login",
    "A": "audit",
    "SA": "audit",
    "DA": "audit",
}
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
    return lines(text)


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
    called, kind, category = _ACTIONS.get(action, (action.lower(), "other", ""))
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
    if statement:
        describe(fields, statement, "mssql")
    fields.setdefault("db.operation.name", called.upper().replace("-", " "))
    if kind != "other" or "tocsin.db.kind" not in fields:
        fields["tocsin.db.kind"] = kind
    _object(row, fields)
    stamp = row.get("event_time", "")
    found = when.iso(stamp, ctx)
    return Parsed(found[0] if found else None, fields)


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
    if client and client not in ("local machine", "Unknown"):
        source(fields, client)


def _object(row: dict[str, str], fields: Fields) -> None:
    if row.get("database_name"):
        fields["db.namespace"] = row["database_name"]
    kind = _TYPES.get(row.get("class_type", "").strip())
    name = row.get("object_name", "")
    if name:
        fields["tocsin.db.object"] = name
        if kind:
            fields["tocsin.db.object_type"] = kind
        if kind in ("table", "view"):
            fields["db.collection.name"] = f"{row['schema_name']}.{name}" if row.get("schema_name") else name
        if kind == "database":
            fields["db.namespace"] = name  # a restore runs in master: what matters is the database that it is done to
    rows = row.get("affected_rows", "")
    if rows.isdecimal() and rows.isascii() and len(rows) < 19:
        fields["mssql.audit.affected_rows"] = int(rows)
    for column in _PLAIN:
        if row.get(column):
            fields[f"mssql.audit.{column}"] = row[column]


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a record of `name:value` lines; a JSON row stands alone."""
    return not first.lstrip().startswith("{") and not line.startswith(("audit_schema_version:", "Audit event: ", "{"))


FORMAT = Format("mssql-audit", parse, continues)
