"""What a SQL statement does: its operation, its kind, its object, and whether a write has no WHERE.

Of several statements in one text the gravest counts: `SELECT 1; DROP TABLE t` drops a table. A comment of any
length changes nothing, except MySQL's /*! ... */, which is executed and read as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from collectors.formats.sql_lexer import Dialect, Token, tokens
from collectors.formats.sql_verbs import (
    KINDS,
    OBJECTS,
    RELATIONS,
    SPECIAL,
    Kind,
    Statement,
    name_at,
    object_of,
    source_at,
)
from rules.event import Value

_GRAVITY: Final[dict[Kind, int]] = {
    "restore": 7, "ddl": 6, "privilege": 5, "write": 4, "backup": 3, "read": 2, "other": 1, "session": 0,
}  # fmt: skip
_KEPT: Final = 48  # tokens kept of a statement's head: no operation or object stands further in
# A program's statements differ in their literals alone, and these change nothing of what a statement does where no
# comment, quoted name, escape or DO block could make something else of them.
_NOT_ONLY_LITERALS: Final = re.compile(r"""["`\[$\\#/dD-](?:(?<=["`\[$\\#])|(?<=-)-|(?<=/)\*|(?<=[dD])[oO]\b)""")
_TEXTS: Final = re.compile(r"'[^']*'")
_NUMBERS: Final = re.compile(r"\d(?<![\w@.].)\d*(?![\w.])")  # the digit first: a pattern that begins so is quick
_REMEMBERED: Final = 2048  # characters of a statement that is worth remembering


def classify(text: str, dialect: Dialect = "ansi") -> Statement | None:
    """Return what the gravest statement in `text` does, the first of equals; None where there is none."""
    if len(text) > _REMEMBERED or _NOT_ONLY_LITERALS.search(text) is not None:
        return _classified(text, dialect)
    shape = _TEXTS.sub("'0'", text) if "'" in text else text
    found = _remembered(_NUMBERS.sub("0", shape), dialect)
    named_by_text = found is not None and found.object_type in ("user", "role") and shape is not text
    return _classified(text, dialect) if named_by_text else found


@lru_cache(maxsize=1024)
def _remembered(shape: str, dialect: Dialect) -> Statement | None:
    return _classified(shape, dialect)


def _classified(text: str, dialect: Dialect) -> Statement | None:
    gravest: Statement | None = None
    used: str | None = None
    for head, bounded in _statements(text, dialect):
        found = _one(head, dialect, bounded=bounded)
        used = found.object if found.operation == "USE" else used
        if gravest is None or _GRAVITY[found.kind] > _GRAVITY[gravest.kind]:
            database = _database(found, dialect) or used
            gravest = found if database is None else replace(found, database=database)
    return gravest


_DATABASE_PART: Final[dict[Dialect, int]] = {"mysql": 2, "mssql": 3}  # of a qualified name, counted from its end


def _database(found: Statement, dialect: Dialect) -> str | None:
    """Return the database that a statement's object is or names: DROP DATABASE x, MySQL's x.t, T-SQL's x.dbo.t."""
    if found.object is None or found.object_type == "database":
        return found.object
    parts = found.object.split(".")
    place = _DATABASE_PART.get(dialect)
    return parts[-place] or None if place is not None and len(parts) >= place else None


def describe(fields: dict[str, Value], text: str, dialect: Dialect) -> Statement | None:
    """Add what a statement does to an event: db.query.text, db.operation.name, tocsin.db.kind, its object."""
    fields["db.query.text"] = text
    found = classify(text, dialect)
    if found is None:
        return None
    if found.database is not None:
        fields["tocsin.db.target"] = found.database
    fields["db.operation.name"] = found.operation
    fields["tocsin.db.kind"] = found.kind
    if found.object:
        fields["tocsin.db.object"] = found.object
        if found.object_type is not None:
            fields["tocsin.db.object_type"] = found.object_type
        if found.object_type is None or found.object_type.upper() in RELATIONS:
            fields["db.collection.name"] = found.object
    if found.unbounded:
        fields["tocsin.db.unbounded"] = True
    if dialect == "mysql" and text.startswith(_DUMPED):
        fields["tocsin.db.kind"] = "backup"
    return found


_DUMPED: Final = "SELECT /*!40001 SQL_NO_CACHE */ "  # how mysqldump and mariadb-dump read each table


def _statements(text: str, dialect: Dialect) -> Iterable[tuple[list[Token], bool]]:
    """Yield each statement's first tokens, and whether a WHERE (or LIMIT) stands in it outside its brackets.

    The parts of a WITH come as statements of their own: what stands in `AS (...)`, and what follows the last bracket.
    """
    head: list[Token] = []
    bounded, depth, base, with_, last = False, 0, 0, False, ("", "")
    for token in tokens(text, dialect):
        mark = token.text if token.kind == "p" else ""
        if mark == ";":
            if head:
                yield head, bounded
            head, bounded, depth, base, with_, last = [], False, 0, 0, False, ("", "")
            continue
        depth += (mark == "(") - (mark == ")")
        if with_ and token.text in _VERBS_INSIDE and _begins_part(last, depth):
            if head[0].text != "WITH":
                yield head, bounded
            head, bounded, base = [], False, depth
        elif dialect == "mssql" and depth == 0 and len(head) > 1 and last[1] in _UNPARTED and token.text in OBJECTS:
            yield head[:-1], bounded
            head, bounded = head[-1:], False
        elif dialect == "mssql" and depth == 0 and head and _begins_batch_part(token, last[1], head[0]):
            yield head, bounded
            head, bounded = [], False
        if token.kind == "w" and depth <= base and token.text in ("WHERE", "LIMIT"):
            bounded = True
        if len(head) < _KEPT:
            head.append(token)
        with_ = with_ or (len(head) == 1 and token.text == "WITH")
        last = (last[1], token.text)
    if head:
        yield head, bounded


# T-SQL needs no semicolon between statements: these before a kind of object begin one wherever they stand.
_UNPARTED: Final = frozenset({"DROP", "TRUNCATE", "RESTORE", "BACKUP"})
_STARTS: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "EXEC", "EXECUTE", "SELECT"})
_NEVER_AFTER: Final = frozenset({",", "FOR", "OF", "AS", "IF", "UNION", "ALL", "EXCEPT", "INTERSECT"})
# What these begin holds such words of its own, or is graver than what could follow.
_WHOLE: Final = frozenset({"MERGE", "CREATE", "ALTER", "GRANT", "REVOKE", "DENY", "WITH"})


def _begins_batch_part(token: Token, before: str, first: Token) -> bool:
    """Say whether a reserved verb begins the next statement of T-SQL: SET NOCOUNT ON DELETE FROM t."""
    if token.kind != "w" or token.text not in _STARTS or before in _NEVER_AFTER or first.text in _WHOLE:
        return False
    return not (first.text == "INSERT" and token.text in ("SELECT", "EXEC", "EXECUTE"))


def _begins_part(last: tuple[str, str], depth: int) -> bool:
    """Say whether a verb begins a part of WITH: `AS (DELETE`, `AS MATERIALIZED (SELECT`, or `) DELETE` at the end."""
    inside = depth == 1 and last[1] == "(" and last[0] in ("AS", "MATERIALIZED")
    return inside or (depth == 0 and last[1] == ")")


def _one(head: Sequence[Token], dialect: Dialect, *, bounded: bool) -> Statement:
    words = [token.text if token.kind == "w" else "" for token in head]
    first = next((i for i, token in enumerate(head) if token.text != "("), 0)
    verb = words[first] if first < len(words) else ""
    if verb == "WITH":
        return Statement("read", "SELECT")
    if verb in ("EXPLAIN", "DESCRIBE", "DESC", "PREPARE", "DECLARE", "EXECUTE", "IF", "DO", "BEGIN", "THEN", "ELSE"):
        inner = _inner(verb, head, words, first, dialect)
        if inner is not None:
            return inner
    special = SPECIAL.get(verb)
    if special is not None and (found := special(head, words, first)) is not None:
        return found
    if verb == "UPDATE" and words[first + 1 : first + 2] == ["STATISTICS"]:
        return Statement("other", "UPDATE STATISTICS", name_at(head, first + 2))
    kind = KINDS.get(verb, "other")
    name, _ = object_of(head, words, first, verb)
    unbounded = verb in ("UPDATE", "DELETE") and not bounded
    if verb == "SELECT" and "INTO" in words[: source_at(words)]:
        kind, name = "write", name_at(head, words.index("INTO") + 1)
        return Statement(kind, "SELECT INTO", name)
    return Statement(kind, verb or "?", name, None, unbounded)


def _inner(verb: str, head: Sequence[Token], words: Sequence[str], first: int, dialect: Dialect) -> Statement | None:
    """What runs inside another statement: EXPLAIN ANALYZE, PREPARE AS, DECLARE CURSOR FOR, DO, IF ... BEGIN."""
    if verb == "EXPLAIN" and "ANALYZE" not in words[first + 1 : first + 8]:
        return Statement("read", "EXPLAIN")
    if verb == "DO":
        body = next((token for token in head if token.kind in ("d", "s")), None)
        found = _gravest_within(
            body.text if body and body.kind == "d" else (body.text.strip("'") if body else ""), dialect
        )
        return Statement(found.kind if found else "other", "DO", found.object if found else None)
    if verb in ("BEGIN", "DECLARE") and dialect == "postgresql" and "CURSOR" not in words:
        return None
    if verb == "BEGIN" and words[first + 1 : first + 2] in ([], ["TRAN"], ["TRANSACTION"], ["WORK"], ["ISOLATION"]):
        return None
    at = next(
        (
            i
            for i in range(first + 1, len(words))
            if words[i] in _VERBS_INSIDE and (i == 0 or words[i - 1] != "FOR" or verb != "IF")
        ),
        None,
    )
    return _one(head[at:], dialect, bounded="WHERE" in words[at:]) if at is not None else None


_VERBS_INSIDE: Final = frozenset({
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "CREATE", "DROP", "ALTER", "TRUNCATE", "GRANT",
    "REVOKE", "BACKUP", "RESTORE", "EXEC", "DENY", "WITH",
})  # fmt: skip


def _gravest_within(body: str, dialect: Dialect) -> Statement | None:
    """Judge a block's body: each statement from its first verb on (after BEGIN, THEN, LOOP ...)."""
    gravest: Statement | None = None
    for head, bounded in _statements(body, dialect):
        at = next((i for i, token in enumerate(head) if token.kind == "w" and token.text in _VERBS_INSIDE), None)
        if at is not None:
            found = _one(head[at:], dialect, bounded=bounded)
            if gravest is None or _GRAVITY[found.kind] > _GRAVITY[gravest.kind]:
                gravest = found
    return gravest
