"""Redact: what a statement holds of data and secrets is taken out before anything is kept. Pure.

`passwords` masks what a statement gives as a password, wherever the event has it. `literals` leaves no data at all of
what a database logged: statements keep their shape, other texts lose what is quoted and every number, and the raw
text is replaced by what is left, since a record's own quoting has no end of forms. An event's id stays that of the
record as it was read (law 1): a keyed hash, which tells nothing to who has not the host's key.
"""

from __future__ import annotations

import re
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
    server = fields.get("process.name") in _SERVERS or fields.get("event.dataset") == "container.log"
    if how == "passwords":
        return (
            conceal(text, parsed, _DIALECTS.get(fields.get("db.system.name"), "ansi"))
            if database or server
            else (text, parsed)
        )
    if database:
        kept = _without_literals(fields)
    elif server:
        kept = {**fields, "message": _LEFT_OUT.format(len(text))}
    else:
        return text, parsed
    return str(kept.get("message", "")), Parsed(parsed.time, {**kept, "tocsin.redacted": "literals"})


def _unknown(how: Redaction, text: str, fields: Fields) -> tuple[str, Parsed]:
    """Keep of a text that no format understood what may be kept: with `literals` nothing, as it may be the middle of
    a statement, in which no quote says what is data."""
    if how == "passwords":
        return conceal(text, Parsed(None, {**fields, "message": text}), "ansi")
    text = _LEFT_OUT.format(len(text))
    return text, Parsed(None, {"message": text, "tocsin.parse_error": "no format understands it"})


_LEFT_OUT: Final = "[{} characters left out: redact: literals]"
# Programs of whose lines by syslog some are the middle of a statement; a container's lines may be any database's.
_SERVERS: Final = frozenset(
    {"postgres", "mysqld", "mariadbd", "mariadb", "mysql-server_auditing", "mongod", "sqlservr"}
)


_PARTS: Final = frozenset({"DETAIL", "HINT", "CONTEXT", "QUERY", "LOCATION", "BACKTRACE"})
_IN_QUOTES: Final = re.compile(r"""["'`].*["'`]|["'].*""", re.DOTALL)
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
    """Return a sentence without numbers, and without all that stands from its first quote to its last."""
    return _DIGITS.sub(MASK, _IN_QUOTES.sub(MASK, text))
