"""What a SQL statement does: its operation, its kind, its object, and whether a write has no WHERE.

Of several statements in one text the gravest counts: `SELECT 1; DROP TABLE t` drops a table. A comment of any
length changes nothing, except MySQL's /*! ... */, which is executed and read as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from collectors.formats.sql_lexer import Dialect, Token, unquoted
from collectors.formats.sql_parts import VERBS_INSIDE, Part, statements
from collectors.formats.sql_verbs import (
    KINDS,
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
    if found is None or not (found.by_text or (shape is not text and _is_named(found))):
        return found
    return _classified(text, dialect)


def _is_named(found: Statement) -> bool:
    """Say whether a name may stand in the statement as a string, as MySQL's accounts do."""
    return found.target is not None or found.object_type in ("user", "role", "login")


@lru_cache(maxsize=1024)
def _remembered(shape: str, dialect: Dialect) -> Statement | None:
    return _classified(shape, dialect)


def _classified(text: str, dialect: Dialect, level: int = 0) -> Statement | None:
    """`level`: how many statements this text stands in as a literal."""
    gravest: Statement | None = None
    used: str | None = None
    by_text = False
    for part in statements(text, dialect):
        found = _one(part, dialect, level)
        by_text |= found.by_text or part.by_text
        used = found.object if found.operation == "USE" else used
        if gravest is None or _GRAVITY[found.kind] > _GRAVITY[gravest.kind]:
            database = found.database or _database(found, dialect) or used
            gravest = found if database is None else replace(found, database=database)
    return replace(gravest, by_text=by_text) if gravest is not None else None


_DATABASE_PART: Final[dict[Dialect, int]] = {"mysql": 2, "mssql": 3}  # of a qualified name, counted from its end


def _database(found: Statement, dialect: Dialect) -> str | None:
    """Return the database that a statement's object is or names: DROP DATABASE x, MySQL's x.t, T-SQL's x.dbo.t."""
    if (
        found.object is None
        or found.object_type == "database"
        or (found.object_type == "schema" and dialect == "mysql")
    ):
        return found.object
    if found.object_type == "index" and dialect == "mssql":  # DROP INDEX schema.t.i
        return None
    parts = found.object.split(".")
    place = _DATABASE_PART.get(dialect)
    return parts[-place] or None if place is not None and len(parts) >= place else None


def databases_used(text: str, dialect: Dialect) -> tuple[str, ...]:
    """Return the databases that the text's USE statements name, each once, as a literal that is run names them too."""
    if _USE.search(text) is None:
        return ()
    found = (_one(part, dialect, 0) for part in statements(text, dialect))
    return tuple(dict.fromkeys(one.object for one in found if one.kind == "session" and _uses(one) and one.object))


_USE: Final = re.compile("use", re.IGNORECASE)


def _uses(found: Statement) -> bool:
    return found.operation == "USE" or found.database is not None


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
    if found.target is not None:
        fields["user.target.name"] = found.target
    if dialect == "mysql" and text.startswith(_DUMPED):
        fields["tocsin.db.kind"] = "backup"
    return found


_DUMPED: Final = "SELECT /*!40001 SQL_NO_CACHE */ "  # how mysqldump and mariadb-dump read each table


def _one(part: Part, dialect: Dialect, level: int) -> Statement:
    head = part.head
    words = [token.text if token.kind == "w" else "" for token in head]
    first = next((i for i, token in enumerate(head) if token.text != "("), 0)
    verb = words[first] if first < len(words) else ""
    if verb == "WITH":
        return Statement("read", "SELECT")
    if verb in _HOLDING:
        inner = _inner(verb, part, words, first, dialect, level)
        if inner is not None:
            return inner
    if dialect == "mssql" and verb.startswith(("SP_", "XP_")):  # a procedure that begins a batch needs no EXEC
        head, words = [head[first]._replace(text="EXEC", raw="EXEC"), *head[first:]], ["EXEC", *words[first:]]
        verb, first = "EXEC", 0
    special = SPECIAL.get(verb)
    if special is not None and (found := special(head, words, first)) is not None:
        return found
    if verb == "UPDATE" and words[first + 1 : first + 2] == ["STATISTICS"]:
        return Statement("other", "UPDATE STATISTICS", name_at(head, first + 2))
    if verb == "SELECT" and "INTO" in words[: source_at(words)]:
        return _select_into(head, words)
    name, _ = object_of(head, words, first, verb)
    if verb in ("UPDATE", "DELETE") and name is not None and dialect != "postgresql" and "FROM" in words:
        name = _unaliased(name, head, words)
    operation = "BULK INSERT" if verb == "BULK" else verb or "?"
    return Statement(KINDS.get(verb, "other"), operation, name, None, verb in ("UPDATE", "DELETE") and not part.bounded)


_HOLDING: Final = frozenset({
    "EXPLAIN", "DESCRIBE", "DESC", "ANALYZE", "PREPARE", "DECLARE", "EXECUTE", "EXEC", "IF", "DO", "BEGIN", "THEN",
    "ELSE", "WHILE", "SET",
})  # fmt: skip


def _select_into(head: Sequence[Token], words: Sequence[str]) -> Statement:
    """SELECT INTO makes a table; MySQL's INTO OUTFILE 'f' and INTO @variable only read."""
    at = words.index("INTO")
    following = next(iter(words[at + 1 : at + 2]), "")
    if following in ("OUTFILE", "DUMPFILE"):
        return Statement("read", f"SELECT INTO {following}", name_at(head, source_at(words) + 1))
    if following.startswith("@"):
        return Statement("read", "SELECT", name_at(head, source_at(words) + 1))
    return Statement("write", "SELECT INTO", name_at(head, at + 1))


def _unaliased(name: str, head: Sequence[Token], words: Sequence[str]) -> str:
    """Return the table that an alias stands for: UPDATE x SET ... FROM dbo.t x."""
    depth = 0
    for i, word in enumerate(words):
        depth += (head[i].text == "(") - (head[i].text == ")")
        if depth or (word not in ("FROM", "JOIN") and head[i].text != ","):
            continue
        table = name_at(head, i + 1)
        after = i + 2 + 2 * table.count(".") if table is not None else len(head)
        after += words[after : after + 1] == ["AS"]
        if table is None or after >= len(head) or words[after] in _AFTER_TABLE:
            continue
        if head[after].kind in ("w", "q") and unquoted(head[after]).lower() == name.lower():
            return table
    return name


_AFTER_TABLE: Final = frozenset(
    {"WHERE", "SET", "ON", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "WITH", "ORDER"}
)


def _inner(verb: str, part: Part, words: Sequence[str], first: int, dialect: Dialect, level: int) -> Statement | None:
    """What runs inside another statement: EXPLAIN ANALYZE, PREPARE AS, DECLARE CURSOR FOR, DO, IF ... BEGIN, EXEC."""
    head = part.head
    if verb == "EXPLAIN" and not _is_run(words[first + 1 : first + 8]):
        return Statement("read", "EXPLAIN")
    if verb == "DO":
        body = next((token for token in head if token.kind in ("d", "s")), None)
        found = (
            _gravest_within(body.text if body.kind == "d" else body.text.strip("'"), dialect, level) if body else None
        )
        return replace(found, operation="DO") if found else Statement("other", "DO", by_text=body is not None)
    if verb in ("EXEC", "EXECUTE", "PREPARE") and (found := _dynamic(verb, head, words, first, dialect, level)):
        return found
    if verb in ("EXEC", "SET") and words[first + 1 : first + 2] != ["STATEMENT"]:
        return None
    if verb in ("BEGIN", "DECLARE") and dialect == "postgresql" and "CURSOR" not in words:
        return None
    if verb == "BEGIN" and words[first + 1 : first + 2] in ([], ["TRAN"], ["TRANSACTION"], ["WORK"], ["ISOLATION"]):
        return None
    at = _first_verb(verb, head, words, first)
    return _one(part._replace(head=head[at:]), dialect, level) if at is not None else None


def _is_run(options: Sequence[str]) -> bool:
    """Say whether EXPLAIN runs its statement: ANALYZE, unless it says ANALYZE false."""
    at = options.index("ANALYZE") if "ANALYZE" in options else -1
    return at >= 0 and options[at + 1 : at + 2] not in (["FALSE"], ["OFF"])


def _first_verb(verb: str, head: Sequence[Token], words: Sequence[str], first: int) -> int | None:
    """Find the statement that another one holds: not in the brackets of a condition, if there is one behind them."""
    depth, inside = 0, None
    for i in range(first + 1, len(words)):
        depth += (head[i].text == "(" and head[i].kind == "p") - (head[i].text == ")" and head[i].kind == "p")
        if words[i] in VERBS_INSIDE and not (verb in ("IF", "WHILE") and words[i - 1] == "FOR"):
            if depth == 0:
                return i
            inside = inside or i
    return inside


def _dynamic(
    verb: str, head: Sequence[Token], words: Sequence[str], first: int, dialect: Dialect, level: int
) -> Statement | None:
    """What a statement in a literal does: EXEC('...'), sp_executesql N'...', EXECUTE IMMEDIATE, PREPARE p FROM."""
    texts = [token for token in head[first + 1 :] if token.kind in ("s", "d")]
    name = next((word for word in words[first + 1 :] if word), "")
    opens = head[first + 1 : first + 2] and (head[first + 1].text == "(" or head[first + 1].kind in ("s", "d"))
    if not texts or level > 1 or not (opens or name in ("SP_EXECUTESQL", "IMMEDIATE") or "FROM" in words):
        return None
    whole = texts[:1] if name == "SP_EXECUTESQL" else texts
    found = _classified("".join(map(_literal, whole)), dialect, level + 1)
    return replace(found, operation=verb, by_text=True) if found is not None else None


def _literal(token: Token) -> str:
    if token.kind == "d":
        return token.text
    text = token.raw.lstrip("NnEe")
    mark = text[:1]
    return text[1:].removesuffix(mark).replace(mark * 2, mark)


def _gravest_within(body: str, dialect: Dialect, level: int) -> Statement | None:
    """Judge a block's body: each statement from its first verb on, and from those after BEGIN, THEN, ELSE, LOOP."""
    gravest: Statement | None = None
    for part in statements(body, dialect):
        words = [token.text if token.kind == "w" else "" for token in part.head]
        verbs = [i for i, word in enumerate(words) if word in VERBS_INSIDE or word == "EXECUTE"]
        for at in [i for i in verbs if i == verbs[0] or words[i - 1] in _OPENING][:8]:
            found = _one(part._replace(head=part.head[at:]), dialect, level)
            if gravest is None or _GRAVITY[found.kind] > _GRAVITY[gravest.kind]:
                gravest = found
    return gravest


_OPENING: Final = frozenset({"BEGIN", "THEN", "ELSE", "LOOP"})
