"""The slow query log of MySQL, MariaDB and Percona: lines that begin with `#`, then the statement.

# Time: 2024-01-02T03:04:05.678901Z
# User@Host: root[root] @ localhost [127.0.0.1]  Id:     8
# Query_time: 2.000  Lock_time: 0.000 Rows_sent: 1  Rows_examined: 0
use shop;
SET timestamp=1704164645;
SELECT SLEEP(2);
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, mysql_general, when
from collectors.formats.address import source
from collectors.formats.sql import describe
from rules.event import Value

Fields = dict[str, Value]
_PEER: Final = re.compile(r" *(\S*) *\[([^\]\s]*)\](?: +Id: +(\d{1,20}))?", re.ASCII)
_TIME: Final = re.compile(r"# Time: (?:(\d{6}) +(\d{1,2}):(\d\d):(\d\d)|(\S+))", re.ASCII)
_PAIR: Final = re.compile(r"([A-Za-z_]{1,40}): +(\S+)", re.ASCII)
_SET_TIME: Final = re.compile(r"SET timestamp=(\d{1,12})(?:\.(\d{1,6}))?;", re.ASCII)
_USE: Final = re.compile(r"use ([^;]+);", re.ASCII | re.IGNORECASE)
_NUMBERS: Final = {
    "Rows_sent": "db.response.returned_rows",
    "Rows_examined": "mysql.slowlog.rows_examined",
    "Rows_affected": "mysql.slowlog.rows_affected",
    "Bytes_sent": "mysql.slowlog.bytes_sent",
    "Thread_id": "mysql.thread_id",
    "Last_errno": "mysql.slowlog.last_errno",
}


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one statement with the lines before it. Raises ParseError if there are none."""
    fields: Fields = {
        "event.kind": "event",
        "event.module": "mysql",
        "event.dataset": "mysql.slowlog",
        "event.category": ["database"],
        "event.type": ["info"],
        "event.action": "slow-query",
        "event.outcome": "success",
        "db.system.name": "mysql",
        "message": text,
    }
    if mysql_general.HEADER.match(text):
        return mysql_general.parse(text, ctx)
    if not text.startswith(("# ", "SET timestamp=")):
        raise ParseError("no entry of a slow query log: no line with #")
    lines = text.split("\n")
    time: datetime | None = None
    at = 0
    while at < len(lines) and lines[at].startswith("#"):
        time = _header(lines[at], fields, ctx) or time
        at += 1
    return Parsed(*_statement(lines[at:], time, fields))


def _header(line: str, fields: Fields, ctx: Context) -> datetime | None:
    if line.startswith("# User@Host: "):
        _user(line[13:], fields)
        return None
    time = _TIME.match(line)
    if time is not None:
        return _time(time, ctx)
    for name, value in _PAIR.findall(line[2:4096]):
        _pair(name, value, fields)
    return None


def _user(text: str, fields: Fields) -> None:
    """root[root] @ localhost [127.0.0.1]  Id: 8: the name is the attacker's, and so ends at the last bracket."""
    names, marked, rest = text.rpartition("] @ ")
    peer = _PEER.match(rest)
    if not marked or peer is None:
        return
    fields["user.name"] = names.partition("[")[0] or names.partition("[")[2]
    host, address, thread = peer.groups()
    source(fields, address or host)
    if address and host:
        fields["source.domain"] = host
    if thread:
        fields["mysql.thread_id"] = int(thread) if len(thread) < 19 else thread


def _time(found: re.Match[str], ctx: Context) -> datetime | None:
    if found[1]:
        day = found[1]
        parts = (2000 + int(day[:2]), int(day[2:4]), int(day[4:]), int(found[2]), int(found[3]), int(found[4]))
        return when.local(parts, 0, ctx)
    stamp = when.iso(found[5], ctx)
    return stamp[0] if stamp else None


def _pair(name: str, value: str, fields: Fields) -> None:
    if name == "Query_time" and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
        fields["event.duration"] = int(float(value) * 1_000_000_000)
    elif name == "Schema" and value != "Last_errno:":
        fields["db.namespace"] = value
    elif name in _NUMBERS and value.isdecimal() and value.isascii() and len(value) < 19:
        fields[_NUMBERS[name]] = int(value)


def _statement(lines: list[str], time: datetime | None, fields: Fields) -> tuple[datetime | None, Fields]:
    """Take `use db;` and `SET timestamp=n;` off the statement: they are the server's own."""
    at = 0
    for line in lines[:2]:
        use, stamp = _USE.fullmatch(line.strip()), _SET_TIME.match(line)
        if use is not None and at == 0 and len(lines) > 1:
            fields["db.namespace"] = use[1].strip("` ")
        elif stamp is not None:
            time = time or when.epoch(int(stamp[1]))
        else:
            break
        at += 1
    query = "\n".join(lines[at:]).strip()
    if query:
        describe(fields, query.removesuffix(";"), "mysql")
    return time, fields


def continues(first: str, line: str) -> bool:
    """Say whether `line` is of the same entry: an entry begins with # Time, or with # User@Host where that lacks."""
    if line.startswith("# Time: ") or mysql_general.HEADER.match(line):
        return False
    return not (line.startswith("# User@Host: ") and not first.startswith(_LEAD))


_LEAD: Final = "# Time: "  # older servers write it once a second, whatever number of entries follows
FORMAT = Format("mysql-slow", parse, continues, leads=_LEAD)
