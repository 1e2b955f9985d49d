"""pgaudit's message.

    AUDIT: TYPE,STATEMENT_ID,SUBSTATEMENT_ID,CLASS,COMMAND,OBJECT_TYPE,OBJECT_NAME,STATEMENT,PARAMETER[,ROWS]

The fields are comma-separated values (https://github.com/pgaudit/pgaudit, Format); a quote in one is doubled.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError
from collectors.formats.sql import describe
from collectors.formats.sql_verbs import Kind
from rules.event import Value

START: Final = "AUDIT: "
_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=,|\s*$)|([^,]*)', re.DOTALL)
_CLASSES: Final[dict[str, Kind]] = {
    "READ": "read", "WRITE": "write", "ROLE": "privilege", "DDL": "ddl", "MISC": "session", "MISC_SET": "session",
    "FUNCTION": "other",
}  # fmt: skip
_RELATIONS: Final = frozenset(
    {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "INDEX", "SEQUENCE", "TABLE COLUMN", "TOAST TABLE"}
)


def split(text: str, limit: int) -> list[str]:
    """Part comma-separated values, quotes taken off; the last of `limit` takes no part of what follows it."""
    out: list[str] = []
    at = 0
    while len(out) < limit:
        found = _FIELD.match(text, at)
        if found is None:  # pragma: no cover  the second alternative matches nothing at all
            break
        quoted, bare = found.groups()
        out.append(bare if quoted is None else quoted.replace('""', '"'))
        at = found.end()
        if not text.startswith(",", at):
            break
        at += 1
    return out


def understand(message: str, fields: dict[str, Value]) -> None:
    """Add what an AUDIT message says to a database event. Raises ParseError if its fields are too few."""
    parts = split(message[len(START) :], 10)
    if len(parts) < 8 or parts[0] not in ("SESSION", "OBJECT"):
        raise ParseError("no pgaudit message: fewer than eight fields, or no SESSION or OBJECT")
    kind, statement_id, substatement_id, class_, command, object_type, object_name, statement = parts[:8]
    fields["pgaudit.type"] = kind
    for name, number in (("pgaudit.statement_id", statement_id), ("pgaudit.substatement_id", substatement_id)):
        if number.isdecimal() and number.isascii() and len(number) < 19:
            fields[name] = int(number)
    fields["pgaudit.class"] = class_
    if not statement.startswith("<"):
        describe(fields, statement, "postgresql")
    for name in ("db.collection.name", "tocsin.db.object", "tocsin.db.object_type"):
        if object_name:
            fields.pop(name, None)
    fields["db.operation.name"] = command
    fields["event.action"] = command.lower().replace(" ", "-")
    _object(object_type, object_name, fields)
    fields["tocsin.db.kind"] = _kind(class_, command, fields)
    if len(parts) > 8 and not parts[8].startswith("<"):
        fields["pgaudit.parameter"] = parts[8]
    if len(parts) > 9 and parts[9].strip().isdecimal() and len(parts[9]) < 19:
        fields["db.response.returned_rows"] = int(parts[9])


def _object(object_type: str, object_name: str, fields: dict[str, Value]) -> None:
    if object_type:
        fields["tocsin.db.object_type"] = object_type.lower()
    if not object_name:
        return
    fields["tocsin.db.object"] = object_name
    if object_type in _RELATIONS:
        fields["db.collection.name"] = object_name


def _kind(class_: str, command: str, fields: dict[str, Value]) -> Kind:
    """pgaudit's class decides; a role's or right's change is a privilege whatever it is filed under."""
    if class_ == "MISC" and command in ("VACUUM", "ANALYZE", "CHECKPOINT", "REINDEX", "CLUSTER", "LOAD"):
        return "other"
    if class_ == "MISC" and command in ("FETCH", "SHOW", "EXPLAIN"):
        return "read"
    if class_ == "READ" and fields.get("tocsin.db.kind") == "write":
        return "write"  # WITH gone AS (DELETE ...) SELECT: pgaudit names the last part alone
    if class_ == "FUNCTION":  # what a DO block or a function does, pgaudit tells in records of its own
        fields.pop("tocsin.db.unbounded", None)
    return _CLASSES.get(class_, "other")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one bare AUDIT message, such as a log shipper hands on."""
    if not text.startswith(START):
        raise ParseError("no pgaudit message: it does not begin with AUDIT:")
    fields: dict[str, Value] = {
        "event.kind": "event",
        "event.module": "postgresql",
        "event.dataset": "postgresql.log",
        "event.category": ["database"],
        "event.type": ["info"],
        "event.outcome": "success",
        "db.system.name": "postgresql",
        "message": text,
    }
    understand(text, fields)
    return Parsed(None, fields)


def continues(first: str, line: str) -> bool:
    """Say whether the statement goes on: a line that begins no new message does."""
    return not line.startswith(START)


FORMAT = Format("pgaudit", parse, continues, quote='"')
