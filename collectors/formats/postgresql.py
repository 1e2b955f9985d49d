"""PostgreSQL's stderr log: `log_line_prefix`, then `LEVEL:  message`.

The prefix is the administrator's (runtime-config-logging, log_line_prefix). Without it the usual ones are tried in
turn. A name in the prefix that holds a blank is an attacker's or a rare one: it is then not taken from the prefix,
since what follows it cannot be told from the message.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, postgresql_message, when
from collectors.formats.address import number, source
from rules.event import Value

Fields = dict[str, Value]
_TIME: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? (?:[A-Za-z]{1,6}|[+-]\d\d(?::?\d\d)?)"
_ESCAPES: Final = {
    "a": r"(?P<app>[^\s,]*)",
    "u": r"(?P<user>[^\s,]*?)",
    "d": r"(?P<db>[^\s,:]*?)",
    "r": r"(?P<peer>\[local\]|[^\s,()]*(?:\(\d{1,5}\))?)",
    "h": r"(?P<host>\[local\]|[^\s,()]*)",
    "b": r"(?P<backend>[A-Za-z_][\w ]*)",
    "p": r"(?P<pid>\d{1,10})",
    "P": r"(?P<leader>\d{0,10})",
    "t": rf"(?P<time>{_TIME})",
    "m": rf"(?P<time_ms>{_TIME})",
    "n": r"(?P<epoch>\d{1,12}\.\d{1,6})",
    "i": r"(?P<tag>[A-Z][A-Z ]*|[a-z][a-z ]*|)",
    "e": r"(?P<state>[0-9A-Z]{5})",
    "c": r"(?P<session>[0-9a-f]{1,16}\.[0-9a-f]{1,8})",
    "l": r"(?P<line>\d{1,10})",
    "s": rf"(?P<started>{_TIME})",
    "v": r"(?P<vxid>\d*/?\d*)",
    "x": r"(?P<xid>\d{1,20})",
    "Q": r"(?P<query>-?\d{1,20})",
    "L": r"(?P<local>\[\w+\]|[0-9A-Fa-f.:]*)",  # PostgreSQL 18
}
_LEVELS: Final = (
    "DEBUG[1-5]?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|STATEMENT|LOCATION|BACKTRACE"
)
_LEVEL: Final = re.compile(
    rf"({_LEVELS}): {{1,2}}"
    r"(?:(?=[A-Z]{0,4}\d)([0-9A-Z]{5}): )?",
    re.ASCII,
)
# The usual prefixes, the more telling first: packages', pgBadger's, Amazon's, older defaults, none.
PREFIXES: Final = (
    "%m [%p] %q%u@%d ",
    "%t [%p-%l] %q%u@%d ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] ",
    "%t:%r:%u@%d:[%p]:",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%m [%p]: [%l-1] db=%d,user=%u,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] %u@%d %r ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] %r %u@%d ",
    "%m [%p] %u@%d/%a ",
    "%m [%p] [%u@%d] ",
    "%m-%c-%l-%e-%p-%u@%d-%h ",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t [%p]: ",
    "%t [%p] ",
    "< %m > ",
    "< %t > ",
    "%m [%p-%l] ",
    "%m ",
    "%t ",
    "%m:",
    "",
)


@lru_cache(maxsize=128)
def compiled(prefix: str) -> re.Pattern[str]:
    """Return the pattern of a log_line_prefix, up to where the level begins. Raises ParseError for a bad escape."""
    out, at, groups, optional = ["\\s*" if not prefix else ""], 0, set[str](), 0
    while at < len(prefix):
        found = re.compile(r"%(-?\d{0,3})(.)|([^%]+)", re.DOTALL).match(prefix, at)
        if found is None:
            raise ParseError(f"log_line_prefix {prefix!r} ends with %")
        at = found.end()
        width, escape, literal = found.groups()
        if literal is not None:
            out.append(re.escape(literal))
        elif escape == "%":
            out.append("%")
        elif escape == "q":
            out.append("(?:")
            optional += 1
        elif escape in _ESCAPES:
            pattern = _ESCAPES[escape]
            if escape == "a" and prefix[at : at + 1].strip(" %"):  # what follows it ends it, so it may hold blanks
                pattern = rf"(?P<app>[^\n{re.escape(prefix[at])}]{{0,128}})"
            if escape in groups:
                pattern = re.sub(r"\?P<\w+>", "?:", pattern)
            groups.add(escape)
            out.append(
                f" {{0,{width.lstrip('-')}}}{pattern} {{0,{width.lstrip('-')}}}" if width.strip("-") else pattern
            )
        else:
            raise ParseError(f"log_line_prefix {prefix!r} has no meaning for %{escape}")
    body = "".join(out) + ")?" * optional
    return re.compile(
        body + rf"(?=(?:{_LEVELS}): )",
        re.ASCII,
    )


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one record, its continuation lines in it. Raises ParseError where no prefix fits."""
    found, prefix = _prefix(text, ctx)
    level = _LEVEL.match(text, found.end()) if found is not None else None
    if found is None or level is None:
        return _without_names(text, ctx)
    fields = postgresql_message.base()
    groups = found.groupdict()
    time = _header(groups, fields, ctx)
    state = level[2] or groups.get("state")
    if state:
        fields["postgresql.log.sql_state_code"] = state
        if state != "00000":
            fields["event.code"] = state
    message = text[level.end() :]
    if "\n\t" in message:  # the server writes a tab after each line break (elog.c, append_with_tabs): it is not said
        message = message.replace("\n\t", "\n")
    postgresql_message.understand(level[1], message, fields)
    if groups.get("app") is not None and (other := _second_end(text, prefix, found)) is not None:
        _doubted(text, other, fields)
    return Parsed(time, fields)


def _prefix(text: str, ctx: Context) -> tuple[re.Match[str], str] | tuple[None, str]:
    for prefix in PREFIXES if ctx.prefix is None else (ctx.prefix,):
        found = compiled(prefix).match(text)
        if found is not None:
            return found, prefix
    return None, ""


@lru_cache(maxsize=128)
def _after_name(prefix: str) -> re.Pattern[str] | None:
    """Return what the server writes behind the application's name, up to where the level begins."""
    named = re.search(r"%-?\d{0,3}a", prefix)
    return compiled(prefix[named.end() :]) if named is not None else None


def _second_end(text: str, prefix: str, found: re.Match[str]) -> int | None:
    """Return where the prefix may end too: its client chose the application's name, of 63 bytes, and what looks like
    the end of the prefix within so many is either that or a statement's."""
    if _MARK.search(text, found.end() + 1, found.end() + 512) is None:
        return None
    tail = _after_name(prefix)
    other = tail.search(text, found.end("app") + 1, found.end() + 512) if tail is not None else None
    return other.end() if other is not None and other.start() <= found.start("app") + _NAME else None


def _doubted(text: str, at: int, fields: Fields) -> None:
    """Believe neither end of a prefix: no application, no address, and of two statements the graver."""
    for name in ("postgresql.log.application_name", "source.ip", "source.port", "source.address", "source.domain"):
        fields.pop(name, None)
    level = _LEVEL.match(text, at)
    other: Fields = postgresql_message.base()
    if level is not None:
        postgresql_message.understand(level[1], text[level.end() :].replace("\n\t", "\n"), other)
    if fields.get("tocsin.db.kind") not in _GRAVE and other.get("tocsin.db.kind") in _GRAVE:
        fields.update((name, value) for name, value in other.items() if name.startswith(("db.", "tocsin.db.")))


_GRAVE: Final = ("write", "ddl", "privilege", "restore", "backup")
_NAME: Final = 64
_MARK: Final = re.compile(rf"(?:{_LEVELS}): ", re.ASCII)


def _header(groups: dict[str, str | None], fields: Fields, ctx: Context) -> datetime | None:
    """Add what the prefix says of the session, and return its time."""
    for name, value in groups.items():
        if not value:
            continue
        if name in _FIELDS:
            if value not in ("[unknown]", "[local]"):
                fields[_FIELDS[name]] = value
        elif name in _NUMBERS:
            number(fields, _NUMBERS[name], value)
    peer = groups.get("peer") or groups.get("host")
    if peer and peer not in ("[local]", "[unknown]"):
        host, _, port = peer.partition("(")
        source(fields, host, port.rstrip(")"))
    elif peer == "[local]":
        fields["postgresql.log.client_addr"] = "local"
    local = groups.get("local") or "["
    if local[0] != "[":
        fields["destination.ip"] = local
    if groups.get("epoch"):
        return when.epoch(float(groups["epoch"] or 0))
    stamp = groups.get("time_ms") or groups.get("time")
    return stamped(stamp, ctx, fields) if stamp else None


_FIELDS: Final = {
    "user": "user.name",
    "db": "db.namespace",
    "app": "postgresql.log.application_name",
    "tag": "postgresql.log.command_tag",
    "session": "postgresql.log.session_id",
    "backend": "postgresql.log.backend_type",
    "vxid": "postgresql.log.virtual_transaction_id",
    "query": "postgresql.log.query_id",
    "started": "postgresql.log.session_start_time",
}
_NUMBERS: Final = {
    "pid": "process.pid",
    "line": "postgresql.log.session_line_number",
    "xid": "postgresql.log.transaction_id",
}
_STAMP: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\S+)", re.ASCII)


def stamped(text: str, ctx: Context, fields: Fields | None = None) -> datetime:
    """Return the moment of PostgreSQL's `2024-01-02 03:04:05.678 CET`; its zone is a short name or an offset."""
    if text.endswith(" UTC") and text[:1] in ("1", "2"):  # most servers' zone, in the fewest steps
        try:
            moment = datetime.fromisoformat(f"{text[:-4]}+00:00")
        except ValueError:
            pass  # a leap second, or none at all: said below
        else:
            if fields is not None:
                fields["event.timezone"] = "UTC"
            return moment
    found = _STAMP.match(text)
    if found is None:
        raise ParseError(f"no time of PostgreSQL's: {text[:64]!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    parts = (int(year), int(month), int(day), int(hour), int(minute), int(second))
    micro = int((fraction + "00000")[:6]) if fraction else 0
    if fields is not None:
        fields["event.timezone"] = zone
    return when.abbreviated(parts, micro, zone, ctx)


_LENIENT: Final = re.compile(rf"<? ?(?P<time>{_TIME})(?: \[(?P<pid>\d{{1,10}})(?:-\d+)?\])?", re.ASCII)


def _without_names(text: str, ctx: Context) -> Parsed:
    """Keep time and process of a record whose prefix holds what we cannot part from its message; claim no more."""
    found = _LENIENT.match(text)
    if found is None or not _ANY_LEVEL.search(text, found.end(), found.end() + 8192):
        raise ParseError("no PostgreSQL log line: no log_line_prefix that we know fits it")
    fields = postgresql_message.base()
    time = stamped(found["time"], ctx, fields)
    if found["pid"]:
        number(fields, "process.pid", found["pid"])
    fields["message"] = text[found.end() :].lstrip(" ")
    fields["tocsin.parse_error"] = "the prefix cannot be told from the message"
    return Parsed(time, fields)


_ANY_LEVEL: Final = re.compile(r"[ :](?:LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|STATEMENT|DETAIL|HINT|CONTEXT): ")


def continues(first: str, line: str) -> bool:
    """Say whether `line` belongs to the record before: PostgreSQL begins such a line with a tab."""
    return line[:1] == "\t"


FORMAT = Format("postgresql", parse, continues)
