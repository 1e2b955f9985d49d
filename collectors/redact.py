"""Redact: what a statement holds of data and secrets is taken out before anything is kept. Pure.

`passwords` masks what a statement gives as a password, wherever the event has it. `literals` leaves no data at all of
what a database logged: statements keep their shape, other texts lose what is quoted and every number, and the raw
text is replaced by what is left, since a record's own quoting has no end of forms. An event's id stays that of the
record as it was read (law 1): a keyed hash, which tells nothing to who has not the host's key.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

from collectors.conceal import KEPT, conceal
from collectors.formats import Parsed
from collectors.formats.sql_lexer import Dialect, redacted
from rules.event import Value

Redaction: TypeAlias = Literal["none", "passwords", "literals"]
REDACTIONS: Final[tuple[Redaction, ...]] = get_args(Redaction)
Fields = dict[str, Value]
MASK: Final = "?"
_DIALECTS: Final[dict[Value, Dialect]] = {
    "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql", "microsoft.sql_server": "mssql",
}  # fmt: skip


def redact(how: Redaction, text: str, parsed: Parsed) -> tuple[str, Parsed]:
    """Return a record's text and what was understood of it without what is not to be kept."""
    if how == "none":
        return text, parsed
    fields = parsed.fields
    database = "db.system.name" in fields or "db.query.text" in fields
    if not database and "tocsin.parse_error" in fields:
        return _unknown(how, text, fields)
    server = database or _is_servers(fields)
    if how == "passwords":
        dialect = _DIALECTS.get(fields.get("db.system.name"), "ansi")
        return conceal(text, parsed, dialect) if server else (text, parsed)
    if not server and fields.get("event.dataset") != "json.log":  # whose message may be anything
        return text, parsed
    kept = _without_literals(fields)
    if not database:
        kept["message"] = _LEFT_OUT.format(len(text))
    return str(kept.get("message", "")), Parsed(parsed.time, {**kept, "tocsin.redacted": "literals"})


def _is_servers(fields: Fields) -> bool:
    """Say whether a line that no database's format read may still be a database's: the middle of a statement, say."""
    if fields.get("event.dataset") == "container.log":
        return True
    if any(_is_server(str(fields[name])) for name in _SENDERS if name in fields):
        return True
    if "event.category" in fields:
        return False
    said = str(fields.get("message", ""))
    return (":  " in said or "AUDIT: " in said or said.count(",") > 5) and _SAID.search(said) is not None


@lru_cache(maxsize=256)
def _is_server(name: str) -> bool:
    return _SERVER.search(name) is not None


def _unknown(how: Redaction, text: str, fields: Fields) -> tuple[str, Parsed]:
    """Keep of a text that no format understood what may be kept: with `literals` nothing, as it may be the middle of
    a statement, in which no quote says what is data."""
    if how == "passwords":
        return conceal(text, Parsed(None, {**fields, "message": text}), "ansi")
    text = _LEFT_OUT.format(len(text))
    return text, Parsed(None, {"message": text, "tocsin.parse_error": "no format understands it"})


_LEFT_OUT: Final = "[{} characters left out: redact: literals]"
# Who sends a database's lines: by its program, its unit, its source on Windows, or a container's engine for it.
_SENDERS: Final = ("process.name", "journald.process.name", "systemd.unit", "winlog.provider_name")
_SERVER: Final = re.compile(
    r"(?:\A|[^a-z])(?:postgres|pg[^a-z]|pg\Z|pgaudit|pgbouncer|mysql|mariadb|mongo|mssql|sqlservr|sqlserver|sql server"
    r"|percona|docker|containerd|podman|conmon|cri-?o\b|kubelet|k3s)",
    re.IGNORECASE,
)
# A database's line under whatever name: PostgreSQL's level with two blanks, pgaudit's and server_audit's records.
_SAID: Final = re.compile(
    r"\b(?:LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|DETAIL|HINT|CONTEXT|STATEMENT|QUERY):  "
    r"|AUDIT: (?:SESSION|OBJECT),|,\d{1,20},(?:QUERY|TABLE|READ|WRITE|CREATE|ALTER|DROP|RENAME),"
)


_PARTS: Final = frozenset({"DETAIL", "HINT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE"})
_IN_QUOTES: Final = re.compile(r"""["'`(].*["'`)]|["'(].*""", re.DOTALL)
_DIGITS: Final = re.compile(r"\d[\d.]*")


def _without_literals(fields: Fields) -> Fields:
    statement = fields.get("db.query.text")
    shape = None
    if isinstance(statement, str):
        dialect = _DIALECTS.get(fields.get("db.system.name"), "ansi")
        goes_on = str(fields.get("mssql.audit.sequence_number", "1")) != "1"  # begins in the middle of a statement
        shape = MASK if goes_on else redacted(statement, dialect)
    return {name: _kept(name, value, fields, shape) for name, value in fields.items()}


def _kept(name: str, value: Value, fields: Fields, shape: str | None) -> Value:
    if name == "db.query.text":
        return shape
    if name == "message":
        return _message(str(value), fields, shape)
    if KEPT.fullmatch(name):
        return value
    if isinstance(value, bool) or value is None or (isinstance(value, int | float) and _MEASURE.fullmatch(name)):
        return value
    if name == "event.reason":
        return value if _is_login(fields) else MASK
    return MASK


_MEASURE: Final = re.compile(r"mongodb\.log\.attr\.\w+")  # durationMillis; command.filter.card is data


def _is_login(fields: Fields) -> bool:
    categories = fields.get("event.category")
    return isinstance(categories, list) and ("authentication" in categories or "session" in categories)


def _message(text: str, fields: Fields, shape: str | None) -> str:
    """Keep what a message says without what it quotes: of a login all of it, of a statement its shape."""
    if shape is not None and fields.get("event.type") != ["error"]:  # an error's statement stands beside its message
        return shape
    if shape is None and _is_login(fields):
        return text
    if fields.get("log.level") in _PARTS:
        return MASK
    return prose(text)


def prose(text: str) -> str:
    """Return a sentence without numbers, and without all that stands from its first quote or bracket to its last."""
    return _DIGITS.sub(MASK, _IN_QUOTES.sub(MASK, text))
