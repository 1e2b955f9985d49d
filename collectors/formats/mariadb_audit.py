"""MariaDB's and Percona's server_audit: one line an action, values apart by commas.

    TIMESTAMP,SERVERHOST,USERNAME,HOST,CONNECTIONID,QUERYID,OPERATION,DATABASE,OBJECT,RETCODE   (file_path output)

The object is quoted for QUERY, its quotes, backslashes and line breaks escaped; before it stand no quotes. By syslog
the same comes as `SERVERHOST USERNAME,HOST,...` after the header.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_START: Final = re.compile(r"(\d{4})(\d\d)(\d\d) (\d\d):(\d\d):(\d\d),([^,]*),", re.ASCII)
# The user's name may hold commas, and so may say what looks like the rest of a line. What follows the operation has
# a strict form, which such a name cannot also give to what the server writes behind it.
_MIDDLE: Final = re.compile(r",([^,]*),(\d{1,20}),(\d{1,20}),([A-Z_]{1,32}),", re.ASCII)
_QUERY: Final = re.compile(r"([^,]*),'((?:[^'\\]|\\.)*)',(\d*)\s*$", re.DOTALL | re.ASCII)
_OTHER: Final = re.compile(r"([^,]*),([^,]*),(\d*)\s*$", re.ASCII)
_TRIES: Final = 16
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "Z": "\x1a"}
_KINDS: Final = {"READ": "read", "WRITE": "write", "CREATE": "ddl", "ALTER": "ddl", "RENAME": "ddl", "DROP": "ddl"}
_SESSIONS: Final = {"CONNECT": "start", "DISCONNECT": "end", "FAILED_CONNECT": "start", "CHANGEUSER": "change"}


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one line. Raises ParseError if it is none of server_audit's."""
    head = _START.match(text)
    if head is None:
        raise ParseError("no server_audit line: it does not begin with a time and a host")
    year, month, day, hour, minute, second, host = head.groups()
    time = when.local((int(year), int(month), int(day), int(hour), int(minute), int(second)), 0, ctx)
    return Parsed(time, understand(text[head.end() :], host))


def read(message: str) -> Fields | None:
    """Return the fields of one line that came by syslog: `SERVERHOST,USERNAME,...` or with a blank."""
    host, _, rest = message.partition(" ") if " " in message.partition(",")[0] else message.partition(",")
    try:
        return understand(rest, host)
    except ParseError:
        return None


def understand(body: str, host: str) -> Fields:
    """Return what follows the server's name, as fields. Raises ParseError."""
    user, middle, rest = _parts(body)
    peer, connection, query, operation = middle.groups()
    fields: Fields = {
        "event.kind": "event",
        "event.module": "mariadb",
        "event.dataset": "mariadb.audit",
        "event.category": ["database"],
        "event.type": ["info"],
        "event.action": operation.lower(),
        "db.system.name": "mariadb",
        "message": body,
    }
    if host:
        fields["host.hostname"] = host
    if user:
        fields["user.name"] = user.partition("[")[0] if user.endswith("]") else user
    if peer:
        source(fields, peer)
    fields["mariadb.audit.connection_id"] = _small(connection)
    fields["mariadb.audit.query_id"] = _small(query)
    _object(operation, rest, fields)
    return fields


def _parts(body: str) -> tuple[str, re.Match[str], re.Match[str]]:
    """Part user, middle and what follows the operation, at the first place where all is of the server's form."""
    at = 0
    for _ in range(_TRIES):
        middle = _MIDDLE.search(body, at)
        if middle is None:
            break
        rest = (_QUERY if middle[4].startswith("QUERY") else _OTHER).match(body, middle.end())
        if rest is not None:
            return body[: middle.start()], middle, rest
        at = middle.start() + 1
    raise ParseError("no server_audit line: no connection, query, operation and object")


def _small(digits: str) -> int | str:
    return int(digits) if len(digits) < 19 else digits


def _object(operation: str, rest: re.Match[str], fields: Fields) -> None:
    """Read `DATABASE,OBJECT,RETCODE`."""
    database, what, code = rest.groups()
    if database:
        fields["db.namespace"] = database
    if code.isdecimal() and len(code) < 10:
        fields["event.outcome"] = "success" if int(code) == 0 else "failure"
        if int(code):
            fields["event.code"] = code
    if operation in _SESSIONS:
        fields["event.category"] = (
            ["database", "session"] if operation == "DISCONNECT" else ["database", "authentication", "session"]
        )
        fields["event.type"] = [_SESSIONS[operation]]
        fields["tocsin.db.kind"] = "session"
        if operation == "FAILED_CONNECT":
            fields["event.category"] = ["database", "authentication"]
            fields["event.outcome"] = "failure"
        if what.startswith("'"):
            fields["user.target.name"] = what.strip("'")
    elif operation in _KINDS:
        fields["db.operation.name"] = operation
        fields["db.collection.name"] = fields["tocsin.db.object"] = what
        fields["tocsin.db.kind"] = _KINDS[operation]
        fields.setdefault("event.outcome", "success")
    elif operation.startswith("QUERY"):
        describe(fields, _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[1]), what), "mysql")


FORMAT = Format("mariadb-audit", parse)
