"""The error log of MySQL 5.0 to 9 and of MariaDB: startup, warnings, refused logins.

2019-03-24T13:44:25.484123Z 0 [System] [MY-013169] [Server] text        MySQL 8
2016-12-09T12:08:33.335060Z 0 [Warning] text                            MySQL 5.7
2015-10-07  8:25:38 139845235329792 [Warning] text                      MariaDB
161209 14:18:50 [Warning] text                                          MySQL 5.5
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_OLD: Final = re.compile(r"(\d\d)(\d\d)(\d\d) {1,2}(\d\d?):(\d\d):(\d\d) ", re.ASCII)
_THREAD: Final = re.compile(r" +(?:(0x[0-9a-fA-F]{1,16}|\d{1,20}) +(?=\[|[A-Z]))?", re.ASCII)
_LEVEL: Final = re.compile(r"\[(\w{1,16})\] ?", re.ASCII)
_CODE: Final = re.compile(r"\[(MY-\d{6})\] \[(\w{1,32})\] ?", re.ASCII)
_CARRIED: Final = re.compile(
    r"(?:[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) (\S+) (?:mysqld|mariadbd)"
    r"(?:\[(\d{1,10})\])?: (?=\d)",
    re.ASCII,
)
_DENIED: Final = re.compile(
    r"Access denied for user '(.*)'@'([^'@]*)'(?: to database '(.*?)')?(?: \(using password: (YES|NO)\))?$", re.DOTALL
)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one line; a line without a time goes on with what was said before it."""
    fields: Fields = {
        "event.kind": "event",
        "event.module": "mysql",
        "event.dataset": "mysql.error",
        "event.category": ["database"],
        "event.type": ["info"],
        "db.system.name": "mysql",
    }
    carried = _CARRIED.match(text)
    at = carried.end() if carried else 0
    time, at = _time(text, at, ctx)
    if time is None:
        if not text.strip():
            raise ParseError("no line of MySQL's error log: it is empty")
        fields["message"] = text
        return Parsed(None, fields)
    if carried is not None:
        fields["host.hostname"] = carried[1]
    thread = _THREAD.match(text, at) if text[at : at + 1] == " " else None
    if thread is not None:
        at = thread.end()
        if thread[1]:
            fields["mysql.thread_id"] = thread[1]
    return Parsed(time, _said(text, at, fields))


def _time(text: str, at: int, ctx: Context) -> tuple[datetime | None, int]:
    if text[at + 4 : at + 5] == "-":
        found = when.iso(text, ctx, at)
        return found if found is not None else (None, at)
    old = _OLD.match(text, at)
    if old is None:
        return None, at
    year, month, day, hour, minute, second = (int(part) for part in old.groups())
    return when.local((2000 + year, month, day, hour, minute, second), 0, ctx), old.end() - 1


def _said(text: str, at: int, fields: Fields) -> Fields:
    level = _LEVEL.match(text, at)
    if level is not None:
        at = level.end()
        fields["log.level"] = level[1]
        if level[1].upper() == "ERROR":
            fields["event.type"] = ["error"]
    code = _CODE.match(text, at)
    fields["message"] = text[at:]
    if code is not None:
        fields["event.code"] = code[1]
        fields["mysql.error.subsystem"] = code[2]
        at = code.end()
    _access(text[at:], fields)
    return fields


def _access(said: str, fields: Fields) -> None:
    """A refused login: the user's name may hold quotes and an @, the host may not, so it is read from the right."""
    denied = _DENIED.match(said)
    if denied is None:
        _aborted(said, fields)
        return
    fields["event.category"] = ["database", "authentication"]
    fields["event.action"] = "connection-refused"
    fields["event.outcome"] = "failure"
    fields["user.name"] = denied[1]
    source(fields, denied[2])
    if denied[3]:
        fields["db.namespace"] = denied[3]


def _aborted(said: str, fields: Fields) -> None:
    """Aborted connection N to db: 'DB' user: 'USER' host: 'HOST' (WHY)."""
    rest, marked, host = said.rpartition("' host: '")
    head, named, user = rest.partition("' user: '")
    if not (marked and named and said.startswith("Aborted connection ")):
        _server(said, fields)
        return
    database = head.partition("db: '")[2]
    fields["event.category"] = ["database", "session"]
    fields["event.action"] = "connection-aborted"
    if user != "unauthenticated":  # the server's own word for nobody
        fields["user.name"] = user
    source(fields, host.partition("'")[0])
    if database not in ("", "unconnected"):
        fields["db.namespace"] = database


_SHUTDOWN: Final = re.compile(r"Received SHUTDOWN from user (.*)\. Shutting down \S+ \(Version: ", re.DOTALL)
_READY: Final = re.compile(r"\S{1,255}: ready for connections\.")
_BLOCKED: Final = re.compile(r"Host '([^']*)' is blocked because of many connection errors")


def _server(said: str, fields: Fields) -> None:
    """The server started, or somebody shut it down, or it lets a host in no more."""
    down, blocked = _SHUTDOWN.match(said), _BLOCKED.match(said)
    if down is not None or said.endswith("): Normal shutdown"):
        fields |= {"event.category": ["database", "process"], "event.type": ["end"], "event.action": "server-shutdown"}
        who = down[1] if down is not None else said.partition("(initiated by: ")[2].partition("[")[0]
        if who:
            fields["user.name"] = who
    elif _READY.match(said) is not None or " starting as process " in said[:256]:
        fields |= {"event.category": ["database", "process"], "event.type": ["start"], "event.action": "server-started"}
    elif blocked is not None:
        fields |= {
            "event.category": ["database", "network"],
            "event.action": "host-blocked",
            "event.outcome": "failure",
        }
        source(fields, blocked[1])


FORMAT = Format("mysql-error", parse)
