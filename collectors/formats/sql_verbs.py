"""What the words at a statement's head say: its operation as its product tags it, its kind, and the name of its object.

A reader takes the first tokens of one statement, their words in capitals ("" for what is no bare word), and where
the verb stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from collectors.formats.sql_lexer import Token, unquoted
from collectors.formats.sql_procedures import ACCOUNT_PROCEDURES, account_of

Kind: TypeAlias = Literal["read", "write", "ddl", "privilege", "backup", "restore", "session", "other"]
KINDS: Final[dict[str, Kind]] = {
    "SELECT": "read", "TABLE": "read", "VALUES": "read", "SHOW": "read", "FETCH": "read", "EXPLAIN": "read",
    "DESCRIBE": "read", "DESC": "read", "HANDLER": "read", "HELP": "read", "PRINT": "read", "READTEXT": "read",
    "INSERT": "write", "UPDATE": "write", "DELETE": "write", "MERGE": "write", "REPLACE": "write", "UPSERT": "write",
    "TRUNCATE": "write", "LOAD": "write", "REFRESH": "write", "IMPORT": "ddl", "CHANGE": "ddl",
    "BULK": "write", "UPDATETEXT": "write",
    "WRITETEXT": "write", "CREATE": "ddl", "ALTER": "ddl", "DROP": "ddl", "RENAME": "ddl", "COMMENT": "ddl",
    "SECURITY": "privilege", "GRANT": "privilege", "REVOKE": "privilege", "DENY": "privilege", "REASSIGN": "privilege",
    "BACKUP": "backup", "RESTORE": "restore",
    "BEGIN": "session", "START": "session", "COMMIT": "session", "END": "session", "ROLLBACK": "session",
    "ABORT": "session", "SAVEPOINT": "session", "RELEASE": "session", "SET": "session", "RESET": "session",
    "USE": "session", "DISCARD": "session", "DEALLOCATE": "session", "LISTEN": "session", "UNLISTEN": "session",
    "NOTIFY": "session", "CLOSE": "session", "OPEN": "session", "LOCK": "session", "UNLOCK": "session", "XA": "session",
    "DECLARE": "session", "MOVE": "session", "SAVE": "session", "GO": "session", "WAITFOR": "session",
    "REVERT": "session",
}  # fmt: skip
_ACCOUNTS: Final = frozenset({"USER", "ROLE", "LOGIN", "GROUP", "CREDENTIAL"})
# Words between an operation and its object.
_NOISE: Final = frozenset({
    "OR", "REPLACE", "IF", "NOT", "EXISTS", "TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL", "ONLY", "LOW_PRIORITY",
    "QUICK", "IGNORE", "DELAYED", "HIGH_PRIORITY", "CONCURRENTLY", "RECURSIVE", "UNIQUE", "CLUSTERED", "NONCLUSTERED",
    "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE", "TABLE", "TABLES", "INTO", "OVERWRITE", "AGGREGATE", "CONSTRAINT",
    "EXTERNAL",
})  # fmt: skip
OBJECTS: Final = frozenset({
    "TABLE", "VIEW", "INDEX", "SEQUENCE", "DATABASE", "SCHEMA", "FUNCTION", "PROCEDURE", "TRIGGER", "TYPE", "DOMAIN",
    "EXTENSION", "SERVER", "POLICY", "PUBLICATION", "SUBSCRIPTION", "TABLESPACE", "EVENT", "USER", "ROLE", "LOGIN",
    "GROUP", "SYNONYM", "PROC", "RULE", "COLLATION", "CAST", "OPERATOR", "LANGUAGE", "STATISTICS", "COLUMN", "TABLES",
    "CREDENTIAL", "PLUGIN", "COMPONENT", "ASSEMBLY", "ENDPOINT", "CERTIFICATE",
})  # fmt: skip
RELATIONS: Final = frozenset({"TABLE", "VIEW"})
_PREFIXES: Final = frozenset({"MATERIALIZED", "FOREIGN", "EVENT", "ACCESS", "TEXT", "SEARCH"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, understood. `operation` as its product tags it ("DROP TABLE"); `object` as written, unquoted."""

    kind: Kind
    operation: str
    object: str | None = None
    object_type: str | None = None  # table, view, database, user ...
    unbounded: bool = False  # an UPDATE or DELETE without WHERE, a TRUNCATE
    database: str | None = None  # the database that the statement itself names, by its object or a USE before it
    target: str | None = None  # the account that gets or loses a right, or is made, changed or dropped
    by_text: bool = False  # its literals decide what it does: dynamic SQL, WHERE 1 = 1


def source_at(words: Sequence[str]) -> int:
    return words.index("FROM") if "FROM" in words else len(words)


def _ddl(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """CREATE, ALTER, DROP ...: the tag is the verb and what it is done to; on accounts it is a privilege change."""
    verb, following = words[first], words[first + 1 : first + 3]
    if verb == "ALTER" and following == ["DEFAULT", "PRIVILEGES"]:
        return Statement("privilege", "ALTER DEFAULT PRIVILEGES", target=_grantee(head, words))
    if verb == "ALTER" and following == ["AUTHORIZATION", "ON"]:
        noun, name = securable(head, words, first + 3)
        return Statement("privilege", "ALTER AUTHORIZATION", name, noun, target=_grantee(head, words))
    if verb == "DROP" and following == ["OWNED", "BY"]:
        return Statement("ddl", "DROP OWNED", target=name_at(head, first + 3))
    at = next(
        (i for i in range(first + 1, min(len(words), first + 16)) if words[i] in OBJECTS and _is_noun(words, i)), None
    )
    if at is None:
        return Statement("ddl", " ".join(word for word in words[first : first + 2] if word))
    return _of_noun(head, words, first, at)


def _of_noun(head: Sequence[Token], words: Sequence[str], first: int, at: int) -> Statement:
    noun, next_ = words[at], next(iter(words[at + 1 : at + 2]), "")
    start = at
    while start > first + 1 and words[start - 1] in _PREFIXES:
        start -= 1
    operation = " ".join([words[first], *words[start : at + 1]])
    if noun in ("SERVER", "DATABASE") and next_ in _PARTED:  # a thing of a server or a database, not the server itself
        after = at + 1 + len(_PARTED[next_])
        end = after if words[at + 1 : after] == [*_PARTED[next_]] else at + 2
        named = name_at(head, end)
        return Statement("ddl", " ".join([operation, *words[at + 1 : end]]), named, next_.lower())
    if noun == "USER" and next_ == "MAPPING":
        return Statement("ddl", f"{operation} MAPPING", None, "user mapping", target=name_at(head, at + 3))
    if noun == "INDEX" and next_ == "ON":  # PostgreSQL finds a name for it
        return Statement("ddl", operation, name_at(head, at + 2), "table")
    if noun in ("TABLES", "PROC"):
        operation, noun = operation.replace(noun, full := {"TABLES": "TABLE", "PROC": "PROCEDURE"}[noun]), full
    accounts = noun in _ACCOUNTS
    name = name_at(head, at + (2 if next_ == "AUTHORIZATION" else 1)) if next_ not in ("FROM", "CURRENT") else None
    name = name or _account(head, at + 1, noun)
    member = _member(head, words, at) if accounts else None
    kind: Kind = "privilege" if accounts else "ddl"
    return Statement(kind, operation, name, noun.lower(), target=(member or name) if accounts else None)


# What follows SERVER or DATABASE where the statement is about something else than a server or a database.
_PARTED: Final[dict[str, tuple[str, ...]]] = {
    "AUDIT": ("AUDIT", "SPECIFICATION"), "SCOPED": ("SCOPED", "CREDENTIAL"), "ENCRYPTION": ("ENCRYPTION", "KEY"),
    "CONFIGURATION": (),
}  # fmt: skip


def _member(head: Sequence[Token], words: Sequence[str], at: int) -> str | None:
    """Who joins or leaves a role: ALTER ROLE r ADD MEMBER x, ALTER GROUP g DROP USER x."""
    place = next(
        (i for i in range(at + 1, len(words)) if words[i] in ("MEMBER", "USER") and words[i - 1] in ("ADD", "DROP")),
        None,
    )
    return account_at(head, place + 1) if place is not None else None


def _account(head: Sequence[Token], at: int, noun: str) -> str | None:
    """Read a MySQL account's name, which stands as a string: 'eve'@'%'."""
    while at < len(head) and head[at].text in ("IF", "NOT", "EXISTS"):
        at += 1
    if noun not in ("USER", "ROLE", "LOGIN") or at >= len(head) or head[at].kind != "s":
        return None
    return head[at].raw[1:-1] or None


def account_at(head: Sequence[Token], at: int) -> str | None:
    """Read an account's name, which stands as a name or, in MySQL, as a string."""
    if at < len(head) and head[at].kind == "s":
        return head[at].raw.lstrip("Nn")[1:-1] or None
    return name_at(head, at)


def _is_noun(words: Sequence[str], i: int) -> bool:
    """EVENT is a prefix before TRIGGER, SERVER before ROLE, and an object elsewhere."""
    following = words[i + 1] if i + 1 < len(words) else ""
    return (words[i], following) not in (("EVENT", "TRIGGER"), ("SERVER", "ROLE")) and words[i - 1] != "METHOD"


def _truncate(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    return Statement(
        "write",
        "TRUNCATE TABLE" if "TABLE" in words[first : first + 2] else "TRUNCATE",
        object_of(head, words, first, "TRUNCATE")[0],
        None,
        True,
    )


def _copy(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """COPY t FROM writes, COPY t TO and COPY (SELECT ...) TO read; a PROGRAM is run by the server."""
    runs = next((f" {words[i - 1]} PROGRAM" for i in range(first + 1, len(words)) if words[i] == "PROGRAM"), "")
    if words[first + 1 : first + 2] == [""] and head[first + 1].text == "(":
        verb = next(iter(words[first + 2 : first + 3]), "")
        name = object_of(head, words, first + 2, verb)[0]
        return Statement("write" if KINDS.get(verb) == "write" else "read", f"COPY{runs}", name)
    inward = "FROM" in words and "TO" not in words[: words.index("FROM")]
    return Statement("write" if inward else "read", f"COPY{runs}", name_at(head, first + 1))


def _set(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    word = next(iter(words[first + 1 : first + 2]), "")
    if word == "PASSWORD":
        of = account_at(head, first + 3) if words[first + 2 : first + 3] == ["FOR"] else None
        return Statement("privilege", "SET PASSWORD", target=of)
    if words[first + 1 : first + 3] == ["DEFAULT", "ROLE"]:
        return Statement("privilege", "SET DEFAULT ROLE", target=_grantee(head, words))
    if words[first + 1 : first + 3] == ["SESSION", "AUTHORIZATION"]:
        return Statement("session", "SET SESSION AUTHORIZATION", target=account_at(head, first + 3))
    if word in ("GLOBAL", "PERSIST", "PERSIST_ONLY") or word.startswith("@@GLOBAL"):
        return Statement("ddl", "SET GLOBAL", name_at(head, first + 2) if word[:1] != "@" else None, "variable")
    if word in ("ROLE", "SESSION"):
        return Statement("session", " ".join(words[first : first + 2]))
    return None


def _backup(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """BACKUP and RESTORE DATABASE name, LOG name; RESTORE HEADERONLY and its kin only read; keys are no database."""
    verb, noun = words[first], next(iter(words[first + 1 : first + 2]), "")
    if noun in ("HEADERONLY", "FILELISTONLY", "VERIFYONLY", "LABELONLY", "REWINDONLY"):
        return Statement("read", f"{verb} {noun}")
    kind: Kind = "backup" if verb == "BACKUP" else "restore"
    if noun in ("CERTIFICATE", "MASTER", "SERVICE", "SYMMETRIC", "STAGE", "LOCK", "UNLOCK"):
        named = name_at(head, first + 2) if noun == "CERTIFICATE" else None
        key = " ".join(word for word in words[first : first + 4] if word in (verb, noun, "MASTER", "KEY"))
        return Statement(kind, key, named, noun.lower() if named else None)
    return Statement(kind, f"{verb} {noun}".strip(), name_at(head, first + 2), "database")


_STRUCTURE_PROCEDURES: Final = frozenset({
    "SP_RENAME", "SP_RENAMEDB", "SP_DETACH_DB", "SP_ATTACH_DB", "SP_ATTACH_SINGLE_FILE_DB", "SP_CONFIGURE",
    "SP_DBOPTION", "SP_ADDLINKEDSERVER", "SP_DROPSERVER", "SP_ADDEXTENDEDPROC", "SP_DROPEXTENDEDPROC",
    "SP_SERVEROPTION", "XP_REGWRITE",
})  # fmt: skip
_OF_DATABASES: Final = frozenset(
    {"SP_RENAMEDB", "SP_DETACH_DB", "SP_ATTACH_DB", "SP_ATTACH_SINGLE_FILE_DB", "SP_DBOPTION"}
)


def _execute(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """EXEC p, EXEC @result = p, EXECUTE AS LOGIN = 'x'; of SQL Server's own procedures it is known what they change."""
    if words[first + 1 : first + 2] == ["AS"]:
        told = next((token for token in head[first + 2 :] if token.kind == "s"), None)
        return Statement("privilege", "EXECUTE AS", target=told.raw.lstrip("Nn")[1:-1] if told else None, by_text=True)
    at = first + 1 + 2 * ([token.text for token in head[first + 2 : first + 3]] == ["="])
    name = name_at(head, at)
    bare = name.rpartition(".")[2].upper() if name else ""
    text = next((token.raw.lstrip("Nn")[1:-1] for token in head[at:] if token.kind == "s"), None)
    if bare in ACCOUNT_PROCEDURES:
        target = account_of(bare, head[at:])
        return Statement("privilege", words[first], name, "procedure", target=target, by_text=True)
    if bare in _STRUCTURE_PROCEDURES:
        database = text if bare in _OF_DATABASES else None
        return Statement("ddl", words[first], name, "procedure", database=database, by_text=True)
    return Statement("other", words[first], name, "procedure")


def _rename(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    if words[first + 1 : first + 2] != ["USER"]:
        return _ddl(head, words, first)
    name = account_at(head, first + 2)
    return Statement("privilege", "RENAME USER", name, "user", target=name)


def _grant(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """GRANT rights ON [TABLE|SCHEMA|...] object TO whom, or GRANT role TO whom."""
    verb, right = words[first], next(iter(words[first + 1 : first + 2]), "")
    if "ON" not in words:
        role = verb != "DENY" and right not in _RIGHTS and "PRIVILEGES" not in words
        name = account_at(head, first + 1) if role else None
        operation = f"{verb} ROLE" if role else verb
        return Statement("privilege", operation, name, "role" if name else None, target=_grantee(head, words))
    noun, name = securable(head, words, words.index("ON") + 1)
    noun = "user" if right == "PROXY" else noun
    return Statement("privilege", verb, name, noun if name else None, target=_grantee(head, words))


# SQL Server grants these without ON, on the server or the database at hand.
_RIGHTS: Final = frozenset({
    "ALL", "ALTER", "ADMINISTER", "AUTHENTICATE", "BACKUP", "CHECKPOINT", "CONNECT", "CONTROL", "CREATE", "DELETE",
    "EXECUTE", "EXTERNAL", "IMPERSONATE", "INSERT", "KILL", "REFERENCES", "SELECT", "SHOWPLAN", "SHUTDOWN",
    "SUBSCRIBE", "TAKE",
    "UNMASK", "UNSAFE", "UPDATE", "VIEW",
})  # fmt: skip


def securable(head: Sequence[Token], words: Sequence[str], at: int) -> tuple[str | None, str | None]:
    """Read what a right is on, and what that is: t, TABLE t, ALL TABLES IN SCHEMA s, SCHEMA::dbo, MySQL's shop.*"""
    if words[at : at + 1] == ["ALL"] and "SCHEMA" in words[at:]:
        return "schema", name_at(head, words.index("SCHEMA", at) + 1)
    if [token.text for token in head[at + 1 : at + 3]] == [":", ":"]:
        noun = "table" if words[at] == "OBJECT" else words[at].lower()
        return noun, name_at(head, at + 3)
    if at < len(words) and words[at] in OBJECTS:
        return words[at].lower(), name_at(head, at + 1)
    name = name_at(head, at)
    if [token.text for token in head[at + 1 : at + 3]] == [".", "*"]:
        return "database", name
    return ("table" if name else None), name


def _grantee(head: Sequence[Token], words: Sequence[str]) -> str | None:
    """Read who gets or loses a right: the first name after the last TO or FROM."""
    at = next((i for i in range(len(words) - 1, 0, -1) if words[i] in ("TO", "FROM")), None)
    if at is None:
        return None
    return account_at(head, at + 1 + (words[at + 1 : at + 2] in (["GROUP"], ["USER"], ["ROLE"])))


def _install(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """INSTALL PLUGIN x, UNINSTALL COMPONENT 'x', DISABLE TRIGGER t ON x: after it the server does something else."""
    noun = next(iter(words[first + 1 : first + 2]), "")
    name = name_at(head, first + 2) if noun in OBJECTS else None
    return Statement("ddl", f"{words[first]} {noun}".strip(), name, noun.lower() if name else None)


def _serve(head: Sequence[Token], words: Sequence[str], first: int) -> Statement | None:
    """START REPLICA, RESET MASTER, STOP SLAVE are no part of a session; START TRANSACTION and RESET ROLE are."""
    word = next(iter(words[first + 1 : first + 2]), "")
    return Statement("other", f"{words[first]} {word}") if word in _SERVICES else None


_SERVICES: Final = frozenset(
    {"SLAVE", "REPLICA", "MASTER", "GROUP_REPLICATION", "BINARY", "PERSIST", "QUERY", "ALL"}
) - {"ALL"}
SPECIAL: Final = {
    "CREATE": _ddl, "ALTER": _ddl, "DROP": _ddl, "COMMENT": _ddl, "IMPORT": _ddl, "RENAME": _rename, "COPY": _copy,
    "TRUNCATE": _truncate, "SET": _set, "BACKUP": _backup, "RESTORE": _backup, "EXEC": _execute, "EXECUTE": _execute,
    "CALL": _execute, "GRANT": _grant, "REVOKE": _grant, "DENY": _grant, "INSTALL": _install, "UNINSTALL": _install,
    "ENABLE": _install, "DISABLE": _install, "START": _serve, "RESET": _serve, "STOP": _serve,
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
        "BULK",
        "DESCRIBE",
        "DESC",
    ):
        if verb == "BULK":
            first += words[first + 1 : first + 2] == ["INSERT"]
        if verb == "LOAD" and "TABLE" in words:
            first = words.index("TABLE")
        if verb == "REFRESH" and "VIEW" in words:
            first = words.index("VIEW")
        return name_at(head, first + 1), first
    if verb == "USE":
        quoted = next((token.raw for token in head[first + 1 : first + 2] if token.raw.startswith('"')), "")
        return name_at(head, first + 1) or quoted.strip('"') or None, first  # MySQL's ANSI_QUOTES make "x" a name
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
        at += 1
        if not (at < len(head) and head[at].text == "." and head[at].kind == "p"):
            break
        at += 1
        if at < len(head) and head[at].text == "." and head[at].kind == "p":  # master..t
            parts.append("")
            at += 1
    return ".".join(parts) if parts else None
