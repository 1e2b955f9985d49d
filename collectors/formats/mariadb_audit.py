"""MariaDB's and Percona's server_audit: one line an action, values apart by commas.

    TIMESTAMP,SERVERHOST,USERNAME,HOST,CONNECTIONID,QUERYID,OPERATION,DATABASE,OBJECT,RETCODE   (file_path output)

The object is quoted for QUERY, its quotes, backslashes and line breaks escaped; before it stand no quotes. By syslog
the same comes as `[INFO] SERVERHOST,USERNAME,HOST,...` after the header (INFO is server_audit_syslog_info). Aurora
writes the time as microseconds since 1970; some servers add how the connection was made behind RETCODE.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_START: Final = re.compile(r"(?:(\d{4})(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)|(\d{16})),([^,]*),", re.ASCII)
# The user's name may hold commas, and so may say what looks like the rest of a line. What follows the operation has
# a strict form, which such a name cannot also give to what the server writes behind it.
_MIDDLE: Final = re.compile(r",([^,]*),(\d{1,20}),(\d{1,20}),([A-Z_]{1,32}),", re.ASCII)
# How the connection was made: a number, a word, a version of TLS.
_MADE: Final = r"(?:,[\w/. ]{0,32}){0,2}\s*$"
_QUERY: Final = re.compile(rf"([^,]*),'((?:[^'\\]|\\.)*)',(\d*){_MADE}", re.DOTALL | re.ASCII)
_QUERY_BARE: Final = re.compile(rf"([^,]*),'(.*)',(\d*){_MADE}", re.DOTALL | re.ASCII)  # some forwarders unescape
_OTHER: Final = re.compile(rf"([^,]*),([^,]*),(\d*){_MADE}", re.ASCII)
_TRIES: Final = 16
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_UNESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "Z": "\x1a"}
_KINDS: Final = {"READ": "read", "WRITE": "write", "CREATE": "ddl", "ALTER": "ddl", "RENAME": "ddl", "DROP": "ddl"}
_SESSIONS: Final = {
    "CONNECT": "start", "DISCONNECT": "end", "FAILED_CONNECT": "start", "PROXY_CONNECT": "start",
    "CHANGEUSER": "change",
}  # fmt: skip


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one line. Raises ParseError if it is none of server_audit's."""
    head = _START.match(text)
    if head is None:
        raise ParseError("no server_audit line: it does not begin with a time and a host")
    *clock, micros, host = head.groups()
    if micros is not None:
        time = when.epoch(int(micros) / 1_000_000)
    else:
        year, month, day, hour, minute, second = map(int, clock)
        time = when.local((year, month, day, hour, minute, second), 0, ctx)
    return Parsed(time, understand(text[head.end() :], host))


_BEFORE: Final = re.compile(r"(?:[^,]* )?([^, ]*),(?=[^,]*,[^,]*,\d{1,20},\d{1,20},[A-Z_]{1,32},)", re.ASCII)


def read(message: str) -> Fields | None:
    """Return the fields of one line that came by syslog: as the plugin writes it there, or as into a file."""
    head = _START.match(message)
    if head is None:
        head = _BEFORE.match(message)
    if head is not None:
        host, rest = head[head.lastindex or 1], message[head.end() :]
    else:  # a name with a comma, or the `SERVERHOST USERNAME,HOST,...` of older ones
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
    middle = _MIDDLE.search(body)
    rest = _QUERY_BARE.match(body, middle.end()) if middle is not None and middle[4].startswith("QUERY") else None
    if middle is not None and rest is not None:
        return body[: middle.start()], middle, rest
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
        if what[:1] in ("'", "`"):
            fields["user.target.name"] = what.partition("@")[0].strip("'`")
    elif operation in _KINDS:
        fields["db.operation.name"] = operation
        what, _, new = what.partition("|")  # RENAME: t|shop.u
        if new:
            fields["mariadb.audit.new_name"] = new
        fields["db.collection.name"] = fields["tocsin.db.object"] = what
        fields["tocsin.db.kind"] = _KINDS[operation]
        fields.setdefault("event.outcome", "success")
    elif operation.startswith("QUERY"):
        describe(fields, _ESCAPE.sub(lambda m: _UNESCAPED.get(m[1], m[1]), what), "mysql")


FORMAT = Format("mariadb-audit", parse)
