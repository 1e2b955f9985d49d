"""What a message of PostgreSQL means, whichever log it came in: statements, connections, refusals, pgaudit."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import ParseError, pgaudit
from collectors.formats.address import source
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_STATEMENT: Final = re.compile(
    r"(?:duration: (\d{1,15}(?:\.\d{1,6})?) ms)?(?:  )?(?:(statement|parse|bind|execute|execute fetch from)"
    r"(?: ([^:\n]{1,64}))?: )?",
    re.ASCII,
)
_CONNECTION: Final = re.compile(
    r"(?:^| )(user|database|host|port|application_name|identity|method)=(\"(?:[^\"]|\"\")*\"|\S*)"
)
_ERRORS: Final = frozenset({"ERROR", "FATAL", "PANIC"})
_PARTS: Final = frozenset({"DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "BACKTRACE"})
_REFUSED: Final = re.compile(
    r"(?:(?P<method>[\w ]{1,32}) authentication failed for user \"(?P<user>.*)\"(?: \(.*\))?$"
    r"|role \"(?P<role>.*)\" (?:does not exist|is not permitted to log in)$"
    r"|password authentication failed$)",
    re.DOTALL,
)
_HBA: Final = re.compile(
    r"(?:no pg_hba\.conf entry|pg_hba\.conf rejects (?:replication )?connection) for (?:replication connection from )?"
    r"host \"([^\"]*)\", user \"(.*?)\"(?:, database \"(.*?)\")?"
    r"(?:, (?:SSL on|SSL off|no encryption|SSL encryption|GSS encryption))?$",
    re.DOTALL,
)
_DENIED: Final = re.compile(
    r"(?:permission denied for|must be (?:able to SET ROLE \"[^\"]*\" and )?owner of) ([a-z ]{1,40}?) (\"?)([^\n]*)\2$"
)
_FORBIDDEN: Final = (
    "permission denied",
    "must be owner of ",
    "must be superuser",
    "only superuser",
    "only roles with ",
)
_NO_DATABASE: Final = re.compile(
    r"database \"(.*)\" (?:does not exist|is not currently accepting connections)$", re.DOTALL
)
_PARAMETER: Final = re.compile(
    r"parameter \"([^\"]{1,128})\" (?:changed to \"(.*)\"|removed from configuration file, .*)$", re.DOTALL
)
_PLAN: Final = re.compile(
    r"plan:\s*Query Text: (.*?)(?=\n(?:Query Parameters: |[^\n]*\((?:cost|actual)[ =])|\Z)", re.DOTALL
)
_AUTHENTICATION_STATES: Final = frozenset({"28000", "28P01"})


def base() -> Fields:
    """Return the fields that every PostgreSQL event has."""
    return {
        "event.kind": "event",
        "event.module": "postgresql",
        "event.dataset": "postgresql.log",
        "event.category": ["database"],
        "event.type": ["info"],
        "db.system.name": "postgresql",
    }


def understand(level: str, message: str, fields: Fields) -> None:
    """Add what a message means: its level, its statement or its connection, its outcome."""
    fields["log.level"] = level
    fields["message"] = message
    if level in _ERRORS:
        fields["event.type"] = ["error"]
        fields["event.outcome"] = "failure"
        _refusal(message, fields)
    elif level == "STATEMENT":
        fields["event.outcome"] = "failure"
        describe(fields, message, "postgresql")
    elif message.startswith(pgaudit.START):
        _audit(message, fields)
    elif message.startswith("received replication command: "):
        _replication(message, fields)
    elif message.startswith(("connection ", "disconnection: ", "replication connection authorized: ")):
        _connection(message, fields)
    elif level not in _PARTS and not _server(message, fields):
        _statement(message, fields)
    if "postgresql.log.application_name" in fields and "tocsin.db.kind" in fields:
        _tool(fields)


def _tool(fields: Fields) -> None:
    """Call what pg_restore writes a restore, and what pg_dump copies out a backup.

    The name is the client's own word; it only ever makes a statement graver than it is by itself.
    """
    tool, kind = fields["postgresql.log.application_name"], fields["tocsin.db.kind"]
    if tool == "pg_restore" and kind in ("write", "ddl", "privilege"):
        fields["tocsin.db.kind"] = "restore"
    elif tool in ("pg_dump", "pg_dumpall") and kind == "read" and fields.get("db.operation.name") == "COPY":
        fields["tocsin.db.kind"] = "backup"


def _audit(message: str, fields: Fields) -> None:
    fields["event.outcome"] = "success"
    try:
        pgaudit.understand(message, fields)
    except ParseError as error:
        fields["tocsin.parse_error"] = str(error)


def _replication(message: str, fields: Fields) -> None:
    """received replication command: BASE_BACKUP (...) (log_replication_commands): a copy of the whole server."""
    command = message[30:]
    word = command.partition(" ")[0].rstrip(";")
    fields["db.query.text"] = command
    fields["db.operation.name"] = word
    fields["event.action"] = word.lower()
    fields["tocsin.db.kind"] = "backup" if word == "BASE_BACKUP" else "other"


def _statement(message: str, fields: Fields) -> None:
    """[duration: N ms  ][statement|parse|bind|execute NAME: SQL]."""
    if not message.startswith(("duration: ", "statement: ", "parse ", "bind ", "execute ")):
        return
    found = _STATEMENT.match(message)
    if found is None:  # pragma: no cover  every part of it is optional
        return
    duration, step, name = found.groups()
    if duration is not None:
        fields["event.duration"] = int(float(duration) * 1_000_000)
    if step is None:
        _planned(message, fields)
        return
    query = message[found.end() :]
    fields["postgresql.log.query_step"] = step
    if name:
        fields["postgresql.log.query_name"] = name
    fields["message"] = query
    fields["event.action"] = "statement"
    fields["event.outcome"] = "success" if duration is not None else "unknown"
    describe(fields, query, "postgresql")
    if step in ("parse", "bind"):  # it is not run yet: that the next step tells
        fields["event.outcome"], fields["tocsin.db.kind"] = "unknown", "other"
        fields.pop("tocsin.db.unbounded", None)


def _planned(message: str, fields: Fields) -> None:
    """auto_explain: duration: N ms  plan: and the text of the query above it."""
    plan = _PLAN.search(message, 0, 1 << 20) if "plan:" in message[:64] else None
    if plan is not None:
        fields["event.action"] = "plan"
        fields["event.outcome"] = "success"
        describe(fields, plan[1].rstrip(";"), "postgresql")


_LIFE: Final = {
    "database system is ready to accept": ("server-started", "start"),
    "database system is shut down": ("server-stopped", "end"),
    "received fast shutdown request": ("server-shutdown", "end"),
    "received smart shutdown request": ("server-shutdown", "end"),
    "received immediate shutdown request": ("server-shutdown", "end"),
}


def _server(message: str, fields: Fields) -> bool:
    """Say what became of the server and its configuration, if the message is about that."""
    if message.startswith('parameter "'):
        found = _PARAMETER.match(message)
        if found is not None:
            fields["event.category"] = ["database", "configuration"]
            fields["event.type"] = ["change"]
            fields["event.action"] = "parameter-changed"
            fields["postgresql.log.parameter"] = found[1]
            fields["postgresql.log.value"] = found[2] or ""
            return True
    elif message.startswith(("database system is ", "received ")):
        life = next((life for words, life in _LIFE.items() if message.startswith(words)), None)
        if life is not None:
            fields["event.category"] = ["database", "process"]
            fields["event.action"], fields["event.type"] = life[0], [life[1]]
            return True
    return False


def _connection(message: str, fields: Fields) -> None:
    """connection received|authenticated|authorized: and disconnection:, with name=value pairs."""
    word, _, pairs = message.partition(": ")
    fields["event.action"] = word.replace(" ", "-")
    authorized = word in ("connection authorized", "replication connection authorized")
    if word == "connection authenticated":
        fields["event.category"] = ["database", "authentication"]
        fields["event.outcome"] = "success"
    elif authorized:
        fields["event.category"] = ["database", "authentication", "session"]
        fields["event.type"] = ["info", "start"]
        fields["event.outcome"] = "success"
        fields["tocsin.db.kind"] = "session"
    elif word == "disconnection":
        fields["event.category"] = ["database", "session"]
        fields["event.type"] = ["info", "end"]
        fields["tocsin.db.kind"] = "session"
    found = {name: value.strip('"') for name, value in reversed(_CONNECTION.findall(pairs))}
    if found.get("user"):
        fields.setdefault("user.name", found["user"])
    if found.get("database"):
        fields.setdefault("db.namespace", found["database"])
    if found.get("application_name"):
        fields.setdefault("postgresql.log.application_name", found["application_name"])
    if "identity" in found:
        fields.setdefault("user.name", found["identity"])
        fields["postgresql.log.authentication_method"] = found.get("method", "")
    if found.get("host", "[local]") != "[local]" and "source.ip" not in fields:
        source(fields, found["host"], found.get("port"))


def _refusal(message: str, fields: Fields) -> None:
    """Refused logins: category authentication, with who and from where as far as the message says."""
    refused = _REFUSED.match(message)
    hba = _HBA.match(message) if refused is None else None
    if refused is None and hba is None and fields.get("postgresql.log.sql_state_code") not in _AUTHENTICATION_STATES:
        _forbidden(message, fields)
        return
    fields["event.category"] = ["database", "authentication"]
    fields["event.action"] = "connection-refused"
    fields["tocsin.db.kind"] = "session"
    if refused is not None and (refused["user"] or refused["role"]):
        fields.setdefault("user.name", refused["user"] or refused["role"])
        if refused["method"]:
            fields["postgresql.log.authentication_method"] = refused["method"]
    if hba is not None:
        fields.setdefault("user.name", hba[2])
        fields.setdefault("db.namespace", hba[3])
        if hba[1] != "[local]" and "source.ip" not in fields:
            source(fields, hba[1])


def _forbidden(message: str, fields: Fields) -> None:
    """Tell what somebody had no right to, and a database that is not there; a FATAL one ends the login."""
    missing = _NO_DATABASE.match(message) if fields["log.level"] == "FATAL" else None
    if missing is not None:
        fields["event.action"] = "connection-refused"
        fields.setdefault("db.namespace", missing[1])
    if not message.startswith(_FORBIDDEN):
        return
    fields["event.action"] = "permission-denied"
    denied = _DENIED.match(message)
    if denied is not None:
        fields["tocsin.db.object_type"], fields["tocsin.db.object"] = denied[1], denied[3]
    if fields["log.level"] == "FATAL":
        fields["event.category"] = ["database", "authentication"]
        fields["event.action"] = "connection-refused"
        fields["tocsin.db.kind"] = "session"
