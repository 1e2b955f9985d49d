"""MySQL's and MariaDB's general query log: each command, by connection.

2024-01-02T03:04:05.678901Z\t    8 Query\tSELECT 1          MySQL 5.7 and newer
240102  3:04:05\t    8 Query\tSELECT 1                      MariaDB; the time is left out where it has not changed
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_COMMANDS: Final = (
    "Sleep|Quit|Init DB|Query|Field List|Create DB|Drop DB|Refresh|Shutdown|Statistics|Processlist|Connect|Kill|Debug|"
    "Ping|"
    "Time|"
    "Delayed insert|Change user|Binlog Dump(?: GTID)?|Table Dump|Connect Out|Register Slave|"
    "Register Replica|Prepare|Execute|Long Data|"
    "Close stmt|Reset stmt|Set option|Fetch|Daemon|Error|Reset Connection|Clone"
)
_LINE: Final = re.compile(
    rf"(?P<time>\d{{4}}-\d\d-\d\dT\S{{8,24}}|\d{{6}} [ \d]\d:\d\d:\d\d)?[\t ]+"
    rf"(?P<id>\d{{1,20}}) (?P<command>{_COMMANDS})(?:\t(?P<argument>.*))?$",
    re.ASCII | re.DOTALL,
)
_CONNECT: Final = re.compile(
    r"(?P<user>.*)@(?P<host>\S*?)(?: as (?P<as>.*?))??(?: (?:on (?P<db>.*?))?(?: using (?P<how>[\w/ ]+))?)?$", re.DOTALL
)
_LONGEST: Final = 1024  # of a Connect: names have 32, 255, 32 and 64 characters at most
_DENIED: Final = re.compile(r"Access denied for user '(.*)'@'([^'@]*)'", re.DOTALL)
_NOT_THERE: Final = re.compile(r"Access denied for user '[^']*'@'[^']*' to database '(.*)'$", re.DOTALL)
# What the server writes above the first entry after each start, into the slow log too.
HEADER: Final = re.compile(r"\S+, Version: .*started with:", re.ASCII)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one command, the lines of its statement in it. Raises ParseError if it is none."""
    fields: Fields = {
        "event.kind": "event",
        "event.module": "mysql",
        "event.dataset": "mysql.general",
        "event.category": ["database"],
        "event.type": ["info"],
        "db.system.name": "mysql",
        "message": text,
    }
    found = _LINE.match(text)
    if found is None:
        if HEADER.match(text):
            return Parsed(None, fields)
        raise ParseError("no line of MySQL's general log: no connection and command")
    fields["mysql.thread_id"] = int(found["id"]) if len(found["id"]) < 19 else found["id"]
    command, argument = found["command"], found["argument"] or ""
    fields["event.action"] = command.lower().replace(" ", "-")
    fields["message"] = argument
    _understand(command, argument, fields)
    return Parsed(_time(found["time"], ctx), fields)


def _time(text: str | None, ctx: Context) -> datetime | None:
    if not text:
        return None
    if "T" in text:
        found = when.iso(text, ctx)
        return found[0] if found else None
    clock = text[7:].strip().split(":")
    parts = (2000 + int(text[:2]), int(text[2:4]), int(text[4:6]), int(clock[0]), int(clock[1]), int(clock[2]))
    return when.local(parts, 0, ctx)


def _understand(command: str, argument: str, fields: Fields) -> None:
    if command in ("Query", "Prepare", "Execute"):
        describe(fields, argument, "mysql")
        fields["event.outcome"] = "unknown"
    elif command == "Init DB":
        fields |= {"tocsin.db.kind": "session", "db.operation.name": "USE", **_init(argument)}
    elif command in ("Create DB", "Drop DB"):
        fields |= {
            "db.namespace": argument,
            "tocsin.db.kind": "ddl",
            "db.operation.name": command.upper().replace("DB", "DATABASE"),
        }
    elif command in ("Connect", "Change user"):
        _connect(argument, fields)
    elif command == "Quit":
        fields |= {"event.category": ["database", "session"], "event.type": ["end"], "tocsin.db.kind": "session"}


def _init(argument: str) -> Fields:
    """The database that a connection is in now; or that it may not go there, in the language that it chose.

    Who was refused is not read from there: what stands behind it is the client's word.
    """
    if "'@'" not in argument:
        return {"db.namespace": argument}
    named = _NOT_THERE.match(argument)
    return {"event.outcome": "failure", **({"tocsin.db.target": named[1]} if named else {})}


def _connect(argument: str, fields: Fields) -> None:
    """user@host on database using TCP/IP; or the refusal that followed."""
    fields |= {
        "event.category": ["database", "authentication", "session"],
        "event.type": ["start"],
        "tocsin.db.kind": "session",
    }
    denied = _DENIED.search(argument) if argument.startswith("Access denied") else None
    if denied is not None:
        fields |= {"event.category": ["database", "authentication"], "event.outcome": "failure", "user.name": denied[1]}
        source(fields, denied[2])
        return
    found = _CONNECT.match(argument) if len(argument) <= _LONGEST else None
    if found is None:
        return
    fields["event.outcome"] = "unknown"
    if found["user"]:  # an anonymous account has none
        fields["user.name"] = found["user"]
    source(fields, found["host"])
    if found["db"]:
        fields["db.namespace"] = found["db"].strip()


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a statement: it begins no command of its own."""
    return _LINE.match(line) is None and HEADER.match(line) is None


FORMAT = Format("mysql-general", parse, continues)
