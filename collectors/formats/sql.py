"""What a SQL statement does: its operation, its kind, its object, and whether a write has no WHERE.

Of several statements in one text the gravest counts: `SELECT 1; DROP TABLE t` drops a table. A comment of any
length changes nothing, except MySQL's /*! ... */, which is executed and read as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from collectors.formats.sql_lexer import Dialect, Token, tokens, unquoted
from rules.event import Value

Kind: TypeAlias = Literal["read", "write", "ddl", "privilege", "backup", "restore", "session", "other"]
_GRAVITY: Final[dict[Kind, int]] = {
    "restore": 7, "ddl": 6, "privilege": 5, "write": 4, "backup": 3, "read": 2, "other": 1, "session": 0,
}  # fmt: skip
_KEPT: Final = 48  # tokens kept of a statement's head: no operation or object stands further in
_KINDS: Final[dict[str, Kind]] = {
    "SELECT": "read", "TABLE": "read", "VALUES": "read", "SHOW": "read", "FETCH": "read", "EXPLAIN": "read",
    "DESCRIBE": "read", "DESC": "read", "HANDLER": "read", "HELP": "read", "PRINT": "read", "READTEXT": "read",
    "INSERT": "write", "UPDATE": "write", "DELETE": "write", "MERGE": "write", "REPLACE": "write", "UPSERT": "write",
    "TRUNCATE": "write", "LOAD": "write", "REFRESH": "write", "IMPORT": "ddl", "BULK": "write", "UPDATETEXT": "write",
    "WRITETEXT": "write", "CREATE": "ddl", "ALTER": "ddl", "DROP": "ddl", "RENAME": "ddl", "COMMENT": "ddl",
    "SECURITY": "privilege", "GRANT": "privilege", "REVOKE": "privilege", "DENY": "privilege", "REASSIGN": "privilege",
    "BACKUP": "backup", "RESTORE": "restore",
    "BEGIN": "session", "START": "session", "COMMIT": "session", "END": "session", "ROLLBACK": "session",
    "ABORT": "session", "SAVEPOINT": "session", "RELEASE": "session", "SET": "session", "RESET": "session",
    "USE": "session", "DISCARD": "session", "DEALLOCATE": "session", "LISTEN": "session", "UNLISTEN": "session",
    "NOTIFY": "session", "CLOSE": "session", "OPEN": "session", "LOCK": "session", "UNLOCK": "session", "XA": "session",
    "DECLARE": "session", "MOVE": "session", "SAVE": "session", "GO": "session", "WAITFOR": "session",
}  # fmt: skip
_ACCOUNTS: Final = frozenset({"USER", "ROLE", "LOGIN", "GROUP", "CREDENTIAL", "CERTIFICATE", "ACCOUNT"})
_SESSION_STARTS: Final = frozenset({"TRANSACTION", "TRAN", "WORK", "ISOLATION", "ATOMIC", "DEFERRED", "IMMEDIATE"})
# Words between an operation and its object.
_NOISE: Final = frozenset({
    "OR", "REPLACE", "IF", "NOT", "EXISTS", "TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL", "ONLY", "LOW_PRIORITY",
    "QUICK", "IGNORE", "DELAYED", "HIGH_PRIORITY", "CONCURRENTLY", "RECURSIVE", "UNIQUE", "CLUSTERED", "NONCLUSTERED",
    "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE", "TABLE", "INTO", "OVERWRITE", "AGGREGATE", "CONSTRAINT", "EXTERNAL",
})  # fmt: skip
_OBJECTS: Final = frozenset({
    "TABLE", "VIEW", "INDEX", "SEQUENCE", "DATABASE", "SCHEMA", "FUNCTION", "PROCEDURE", "TRIGGER", "TYPE", "DOMAIN",
    "EXTENSION", "SERVER", "POLICY", "PUBLICATION", "SUBSCRIPTION", "TABLESPACE", "EVENT", "USER", "ROLE", "LOGIN",
    "GROUP", "SYNONYM", "PROC", "RULE", "COLLATION", "CAST", "OPERATOR", "LANGUAGE", "STATISTICS", "COLUMN",
})  # fmt: skip
_RELATIONS: Final = frozenset({"TABLE", "VIEW"})
_PREFIXES: Final = frozenset({"MATERIALIZED", "FOREIGN", "EVENT", "ACCESS", "TEXT", "SEARCH", "DEFINER", "SQL"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, understood. `operation` as its product tags it ("DROP TABLE"); `object` as written, unquoted."""

    kind: Kind
    operation: str
    object: str | None = None
    object_type: str | None = None  # table, view, database, user ...
    unbounded: bool = False  # an UPDATE or DELETE without WHERE, a TRUNCATE


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
    if "'" in text:
        text = _TEXTS.sub("'0'", text)
    return _remembered(_NUMBERS.sub("0", text), dialect)


@lru_cache(maxsize=1024)
def _remembered(shape: str, dialect: Dialect) -> Statement | None:
    return _classified(shape, dialect)


def _classified(text: str, dialect: Dialect) -> Statement | None:
    gravest: Statement | None = None
    for head, bounded in _statements(text, dialect):
        found = _one(head, dialect, bounded=bounded)
        if gravest is None or _GRAVITY[found.kind] > _GRAVITY[gravest.kind]:
            gravest = found
    return gravest


def describe(fields: dict[str, Value], text: str, dialect: Dialect) -> Statement | None:
    """Add what a statement does to an event: db.query.text, db.operation.name, tocsin.db.kind, its object."""
    fields["db.query.text"] = text
    found = classify(text, dialect)
    if found is None:
        return None
    fields["db.operation.name"] = found.operation
    fields["tocsin.db.kind"] = found.kind
    if found.object:
        fields["tocsin.db.object"] = found.object
        if found.object_type is not None:
            fields["tocsin.db.object_type"] = found.object_type
        if found.object_type is None or found.object_type.upper() in _RELATIONS:
            fields["db.collection.name"] = found.object
    if found.unbounded:
        fields["tocsin.db.unbounded"] = True
    return found


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
        elif dialect == "mssql" and depth == 0 and len(head) > 1 and last[1] in _UNPARTED and token.text in _OBJECTS:
            yield head[:-1], bounded
            head, bounded = head[-1:], False
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
    special = _SPECIAL.get(verb)
    if special is not None and (found := special(head, words, first)) is not None:
        return found
    kind = _KINDS.get(verb, "other")
    name, _ = _object(head, words, first, verb)
    unbounded = verb in ("UPDATE", "DELETE") and not bounded
    if verb == "SELECT" and "INTO" in words[: _from(words)]:
        kind, name = "write", _name(head, words.index("INTO") + 1)
        return Statement(kind, "SELECT INTO", name)
    return Statement(kind, verb or "?", name, None, unbounded)


def _from(words: Sequence[str]) -> int:
    return words.index("FROM") if "FROM" in words else len(words)


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


def _ddl(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """CREATE, ALTER, DROP ...: the tag is the verb and what it is done to; on accounts it is a privilege change."""
    verb = words[first]
    at = next(
        (
            i
            for i in range(first + 1, min(len(words), first + 16))
            if words[i] in _OBJECTS and words[i] not in _prefix(words, i)
        ),
        None,
    )
    if verb == "ALTER" and words[first + 1 : first + 3] == ["DEFAULT", "PRIVILEGES"]:
        return Statement("privilege", "ALTER DEFAULT PRIVILEGES")
    if at is None:
        return Statement("ddl", " ".join(word for word in words[first : first + 2] if word))
    noun = words[at]
    start = at
    while start > first + 1 and words[start - 1] in _PREFIXES:
        start -= 1
    operation = " ".join([verb, *words[start : at + 1]])
    accounts = noun in _ACCOUNTS or (noun == "SERVER" and "ROLE" in words[at : at + 2])
    if words[at + 1 : at + 2] == ["MAPPING"]:
        accounts = False
    kind: Kind = "privilege" if accounts else "ddl"
    return Statement(kind, operation, _name(head, at + 1), noun.lower())


def _prefix(words: Sequence[str], i: int) -> frozenset[str]:
    """EVENT is a prefix before TRIGGER, USER before MAPPING, and an object elsewhere."""
    following = words[i + 1] if i + 1 < len(words) else ""
    return frozenset({words[i]}) if (words[i], following) in (("EVENT", "TRIGGER"), ("SERVER", "ROLE")) else frozenset()


def _truncate(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    return Statement(
        "write",
        "TRUNCATE TABLE" if "TABLE" in words[first : first + 2] else "TRUNCATE",
        _object(head, words, first, "TRUNCATE")[0],
        None,
        True,
    )


def _copy(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """COPY t FROM writes, COPY t TO and COPY (SELECT ...) TO read."""
    inward = (
        "FROM" in words
        and "TO" not in words[: words.index("FROM")]
        and head[first + 1 : first + 2] != []
        and head[first + 1].text != "("
    )
    return Statement(
        "write" if inward else "read",
        "COPY",
        None if head[first + 1 :] and head[first + 1].text == "(" else _name(head, first + 1),
    )


def _set(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    if words[first + 1 : first + 2] == ["PASSWORD"]:
        return Statement("privilege", "SET PASSWORD")
    if words[first + 1 : first + 2] in (["ROLE"], ["SESSION"]):
        return Statement("session", " ".join(words[first : first + 2]))
    return None


def _backup(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """BACKUP and RESTORE DATABASE name, LOG name; RESTORE HEADERONLY and its kin only read."""
    verb, noun = words[first], next(iter(words[first + 1 : first + 2]), "")
    if noun in ("HEADERONLY", "FILELISTONLY", "VERIFYONLY", "LABELONLY", "REWINDONLY"):
        return Statement("read", f"{verb} {noun}")
    kind: Kind = "backup" if verb == "BACKUP" else "restore"
    return Statement(kind, f"{verb} {noun}".strip(), _name(head, first + 2), "database")


_PROCEDURES: Final = (
    "SP_ADDROLEMEMBER",
    "SP_DROPROLEMEMBER",
    "SP_ADDSRVROLEMEMBER",
    "SP_ADDLOGIN",
    "SP_GRANTDBACCESS",
    "SP_PASSWORD",
    "SP_DROPLOGIN",
)


def _execute(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    name = _name(head, first + 1)
    kind: Kind = "privilege" if name and name.rpartition(".")[2].upper() in _PROCEDURES else "other"
    return Statement(kind, words[first], name, "procedure")


def _rename(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    return (
        Statement("privilege", "RENAME USER", _name(head, first + 2), "user")
        if words[first + 1 : first + 2] == ["USER"]
        else _ddl(head, words, first)
    )


def _grant(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """GRANT rights ON [TABLE|SCHEMA|...] object TO whom."""
    at = words.index("ON") + 1 if "ON" in words else 0
    noun = words[at].lower() if at and at < len(words) and words[at] in _OBJECTS else None
    name = _name(head, at + (1 if noun else 0)) if at else None
    role = noun is None and at == 0
    return Statement(
        "privilege",
        words[first] + (" ROLE" if role and words[first] != "DENY" else ""),
        name,
        noun or "table" if name else None,
    )


_SPECIAL: Final = {
    "CREATE": _ddl, "ALTER": _ddl, "DROP": _ddl, "COMMENT": _ddl, "IMPORT": _ddl, "RENAME": _rename, "COPY": _copy,
    "TRUNCATE": _truncate, "SET": _set, "BACKUP": _backup, "RESTORE": _backup, "EXEC": _execute, "EXECUTE": _execute,
    "CALL": _execute, "GRANT": _grant, "REVOKE": _grant, "DENY": _grant,
}  # fmt: skip


def _object(head: Sequence[Token], words: Sequence[str], first: int, verb: str) -> tuple[str | None, int]:
    """Find the table: after FROM in what reads or deletes, else after the verb and its noise."""
    if verb in ("SELECT", "DELETE", "SHOW", "FETCH", "EXPLAIN"):
        at = _from(words)
        if verb == "DELETE" and at == len(words):
            at = first
        if at < len(words) or verb == "DELETE":
            return _name(head, at + 1), at
        return None, at
    if verb in (
        "INSERT",
        "UPDATE",
        "MERGE",
        "REPLACE",
        "TRUNCATE",
        "TABLE",
        "LOAD",
        "REFRESH",
        "LOCK",
        "USE",
        "BULK",
        "DESCRIBE",
        "DESC",
    ):
        if verb == "LOAD" and "TABLE" in words:
            first = words.index("TABLE")
        if verb == "REFRESH" and "VIEW" in words:
            first = words.index("VIEW")
        return _name(head, first + 1), first
    return None, first


def _name(head: Sequence[Token], at: int) -> str | None:
    """Read a name in up to four parts, `a.b.c`, past the words that may stand before it."""
    while at < len(head) and head[at].kind == "w" and head[at].text in _NOISE:
        at += 1
    if [token.text for token in head[at : at + 2]] == ["TOP", "("]:  # T-SQL's UPDATE TOP (n) [PERCENT]
        at = next((i + 1 for i in range(at, len(head)) if head[i].text == ")"), len(head))
        at += at < len(head) and head[at].text == "PERCENT"
    parts: list[str] = []
    while at < len(head) and head[at].kind in ("w", "q") and len(parts) < 4:
        parts.append(unquoted(head[at]))
        if not (at + 1 < len(head) and head[at + 1].text == "." and head[at + 1].kind == "p"):
            break
        at += 2
    return ".".join(parts) if parts else None
