"""What the words at a statement's head say: its operation as its product tags it, its kind, and the name of its object.

A reader takes the first tokens of one statement, their words in capitals ("" for what is no bare word), and where
the verb stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from collectors.formats.sql_lexer import Token, unquoted

Kind: TypeAlias = Literal["read", "write", "ddl", "privilege", "backup", "restore", "session", "other"]
KINDS: Final[dict[str, Kind]] = {
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
OBJECTS: Final = frozenset({
    "TABLE", "VIEW", "INDEX", "SEQUENCE", "DATABASE", "SCHEMA", "FUNCTION", "PROCEDURE", "TRIGGER", "TYPE", "DOMAIN",
    "EXTENSION", "SERVER", "POLICY", "PUBLICATION", "SUBSCRIPTION", "TABLESPACE", "EVENT", "USER", "ROLE", "LOGIN",
    "GROUP", "SYNONYM", "PROC", "RULE", "COLLATION", "CAST", "OPERATOR", "LANGUAGE", "STATISTICS", "COLUMN",
})  # fmt: skip
RELATIONS: Final = frozenset({"TABLE", "VIEW"})
_PREFIXES: Final = frozenset({"MATERIALIZED", "FOREIGN", "EVENT", "ACCESS", "TEXT", "SEARCH", "DEFINER", "SQL"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, understood. `operation` as its product tags it ("DROP TABLE"); `object` as written, unquoted."""

    kind: Kind
    operation: str
    object: str | None = None
    object_type: str | None = None  # table, view, database, user ...
    unbounded: bool = False  # an UPDATE or DELETE without WHERE, a TRUNCATE
    database: str | None = None  # the database that the statement itself names, by its object or a USE before it


def source_at(words: Sequence[str]) -> int:
    return words.index("FROM") if "FROM" in words else len(words)


def _ddl(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """CREATE, ALTER, DROP ...: the tag is the verb and what it is done to; on accounts it is a privilege change."""
    verb = words[first]
    at = next(
        (
            i
            for i in range(first + 1, min(len(words), first + 16))
            if words[i] in OBJECTS and words[i] not in _prefix(words, i)
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
    return Statement(kind, operation, name_at(head, at + 1) or _account(head, at + 1, noun), noun.lower())


def _account(head: Sequence[Token], at: int, noun: str) -> str | None:
    """Read a MySQL account's name, which stands as a string: 'eve'@'%'."""
    while at < len(head) and head[at].text in ("IF", "NOT", "EXISTS"):
        at += 1
    if noun not in ("USER", "ROLE") or at >= len(head) or head[at].kind != "s":
        return None
    return head[at].raw[1:-1] or None


def _prefix(words: Sequence[str], i: int) -> frozenset[str]:
    """EVENT is a prefix before TRIGGER, USER before MAPPING, and an object elsewhere."""
    following = words[i + 1] if i + 1 < len(words) else ""
    return frozenset({words[i]}) if (words[i], following) in (("EVENT", "TRIGGER"), ("SERVER", "ROLE")) else frozenset()


def _truncate(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    return Statement(
        "write",
        "TRUNCATE TABLE" if "TABLE" in words[first : first + 2] else "TRUNCATE",
        object_of(head, words, first, "TRUNCATE")[0],
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
        None if head[first + 1 :] and head[first + 1].text == "(" else name_at(head, first + 1),
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
    return Statement(kind, f"{verb} {noun}".strip(), name_at(head, first + 2), "database")


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
    name = name_at(head, first + 1)
    kind: Kind = "privilege" if name and name.rpartition(".")[2].upper() in _PROCEDURES else "other"
    return Statement(kind, words[first], name, "procedure")


def _rename(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    return (
        Statement("privilege", "RENAME USER", name_at(head, first + 2), "user")
        if words[first + 1 : first + 2] == ["USER"]
        else _ddl(head, words, first)
    )


def _grant(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """GRANT rights ON [TABLE|SCHEMA|...] object TO whom."""
    at = words.index("ON") + 1 if "ON" in words else 0
    noun = words[at].lower() if at and at < len(words) and words[at] in OBJECTS else None
    name = name_at(head, at + (1 if noun else 0)) if at else None
    role = noun is None and at == 0
    end = at + 2 if name is not None and noun is None else len(head)
    if [token.text for token in head[end - 1 : end + 1]] == [".", "*"]:  # MySQL's GRANT ... ON shop.*
        noun = "database"
    return Statement(
        "privilege",
        words[first] + (" ROLE" if role and words[first] != "DENY" else ""),
        name,
        noun or "table" if name else None,
    )


SPECIAL: Final = {
    "CREATE": _ddl, "ALTER": _ddl, "DROP": _ddl, "COMMENT": _ddl, "IMPORT": _ddl, "RENAME": _rename, "COPY": _copy,
    "TRUNCATE": _truncate, "SET": _set, "BACKUP": _backup, "RESTORE": _backup, "EXEC": _execute, "EXECUTE": _execute,
    "CALL": _execute, "GRANT": _grant, "REVOKE": _grant, "DENY": _grant,
}  # fmt: skip


def object_of(head: Sequence[Token], words: Sequence[str], first: int, verb: str) -> tuple[str | None, int]:
    """Find the table: after FROM in what reads or deletes, else after the verb and its noise."""
    if verb in ("SELECT", "DELETE", "SHOW", "FETCH", "EXPLAIN"):
        at = source_at(words)
        if verb == "DELETE" and at == len(words):
            at = first
        if at < len(words) or verb == "DELETE":
            return name_at(head, at + 1), at
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
        return name_at(head, first + 1), first
    return None, first


def name_at(head: Sequence[Token], at: int) -> str | None:
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
