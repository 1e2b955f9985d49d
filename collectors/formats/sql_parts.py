"""SQL text -> its statements: the first tokens of each, and what bounds the rows that it touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from collectors.formats.sql_lexer import Dialect, Token, tokens
from collectors.formats.sql_verbs import OBJECTS

_KEPT: Final = 48  # tokens kept of a statement's head: no operation or object stands further in
VERBS_INSIDE: Final = frozenset({
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "CREATE", "DROP", "ALTER", "TRUNCATE", "GRANT",
    "REVOKE", "BACKUP", "RESTORE", "EXEC", "DENY", "WITH",
})  # fmt: skip


class Part(NamedTuple):
    """One statement: its first tokens, and what bounds it: the tokens after WHERE, LIMIT or TOP; None: nothing does."""

    head: list[Token]
    where: list[Token] | None

    @property
    def bounded(self) -> bool:
        return self.where is not None and not _always(self.where)

    @property
    def by_text(self) -> bool:
        return self.where is not None and len(self.where) > 0 and self.where[0].kind in ("s", "n", "p")


def _always(where: Sequence[Token]) -> bool:
    """Say whether a condition is one that every row meets: TRUE, 1, 1 = 1, 'a' = 'a', with OR or nothing behind it."""
    first = next((i for i, token in enumerate(where) if token.text != "("), 0)
    plain = [token for token in where[first:] if token.text != ")"]
    kinds = [token.kind for token in plain[:3]]
    if kinds[:1] in (["s"], ["n"]) and [token.text for token in plain[1:2]] == ["="] and kinds[2:3] == kinds[:1]:
        same, after = plain[0].text == plain[2].text, 3
    else:
        same = bool(plain) and (plain[0].text == "TRUE" or (kinds[0] == "n" and plain[0].text.strip("0.") != ""))
        after = 1
    following = plain[after].text if len(plain) > after else ""
    return same and following in _AFTER_CONDITION


_AFTER_CONDITION: Final = frozenset({"", "OR", "||", "RETURNING", "ORDER", "OPTION", "END"})
_CONDITION: Final = 12  # tokens of a condition that are looked at


def statements(text: str, dialect: Dialect) -> Iterable[Part]:
    """Yield each statement's first tokens, and what bounds it (WHERE, LIMIT or TOP outside its brackets).

    The parts of a WITH come as statements of their own: what stands in `AS (...)`, and what follows the last bracket.
    """
    head: list[Token] = []
    where: list[Token] | None = None
    depth, base, with_, last = 0, 0, False, ("", "")
    for token in tokens(text, dialect):
        mark = token.text if token.kind == "p" else ""
        if mark == ";":
            if head:
                yield Part(head, where)
            head, where, depth, base, with_, last = [], None, 0, 0, False, ("", "")
            continue
        depth += (mark == "(") - (mark == ")")
        if with_ and token.text in VERBS_INSIDE and _begins_part(last, depth):
            if head[0].text != "WITH":
                yield Part(head, where)
            head, where, base = [], None, depth
        elif dialect == "mssql" and depth == 0 and len(head) > 1 and last[1] in _UNPARTED and token.text in OBJECTS:
            yield Part(head[:-1], where)
            head, where = head[-1:], None
        elif dialect == "mssql" and depth == 0 and head and _begins_batch_part(token, last[1], head[0]):
            yield Part(head, where)
            head, where = [], None
        if token.kind == "w" and _bounds(token.text, depth - base, dialect, head):
            where = [] if token.text == "WHERE" else [token]
        elif where is not None and len(where) < _CONDITION and depth >= base:
            where.append(token)
        if len(head) < _KEPT:
            head.append(token)
        with_ = with_ or (len(head) == 1 and token.text == "WITH")
        last = (last[1], token.text)
    if head:
        yield Part(head, where)


def _bounds(word: str, depth: int, dialect: Dialect, head: Sequence[Token]) -> bool:
    if word == "TOP":
        return dialect == "mssql" and len(head) == 1
    return depth <= 0 and word in ("WHERE", "LIMIT")


# T-SQL needs no semicolon between statements: these before a kind of object begin one wherever they stand.
_UNPARTED: Final = frozenset({"DROP", "TRUNCATE", "RESTORE", "BACKUP"})
_STARTS: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "EXEC", "EXECUTE", "SELECT"})
_NEVER_AFTER: Final = frozenset({",", "FOR", "OF", "AS", "BULK", "IF", "UNION", "ALL", "EXCEPT", "INTERSECT"})
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
