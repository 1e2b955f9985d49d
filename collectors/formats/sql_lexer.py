"""SQL text -> statements as short lists of words: enough to know what a statement does, in linear time.

What PostgreSQL, MySQL and MariaDB, SQL Server and standard SQL write differently is told apart by dialect: dollar
quotes and nested comments, backslashes in strings and `#` comments and executable comments, [names] in brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

Dialect: TypeAlias = Literal["postgresql", "mysql", "mssql", "ansi"]


class Token(NamedTuple):
    """`kind` is w (bare word), q (quoted name), s (string), d (dollar-quoted text), n (number) or p (one mark);
    `text` is a bare word's in capitals, a dollar quote's inside, else as written."""

    kind: str
    text: str
    raw: str
    start: int
    end: int


_STRING: Final = r"'(?:[^']|'')*'?"
_STRING_ESCAPED: Final = r"'(?:[^'\\]|''|\\.)*'?"
_DOUBLE: Final = r'"(?:[^"]|"")*"?'
_DOUBLE_ESCAPED: Final = r'"(?:[^"\\]|""|\\.)*"?'
_WORD: Final = r"[^\W\d][\w$#@]*"
_NUMBER: Final = r"0[xX][0-9A-Fa-f]*|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+"
# Each alternative begins with a character that no other does, and none can match the same text in two ways.
_POSTGRESQL: Final = re.compile(
    rf"(?P<blank>\s+|--[^\n]*)|(?P<comment>/\*)|(?P<s>[eE]{_STRING_ESCAPED}|[bBxXnN]?{_STRING}|[uU]&{_STRING})"
    rf"|(?P<dollar>\$(?:[^\W\d]\w*)?\$)|(?P<q>(?:[uU]&)?{_DOUBLE})|(?P<w>{_WORD})|(?P<n>{_NUMBER}|\$\d+)|(?P<p>.)",
    re.DOTALL,
)
_MYSQL: Final = re.compile(
    rf"(?P<blank>\s+|\#[^\n]*|--(?=\s|$)[^\n]*|\*/)|(?P<live>/\*M?!\d*)|(?P<comment>/\*)|(?P<s>[bBxXnN]?{_STRING_ESCAPED}|{_DOUBLE_ESCAPED})"
    rf"|(?P<q>`(?:[^`]|``)*`?)|(?P<w>@{{0,2}}[^\W\d][\w$]*)|(?P<n>{_NUMBER})|(?P<p>.)",
    re.DOTALL,
)
_MSSQL: Final = re.compile(
    rf"(?P<blank>\s+|--[^\n]*)|(?P<comment>/\*)|(?P<s>[nN]?{_STRING})|(?P<q>{_DOUBLE}|\[(?:[^\]]|\]\])*\]?)"
    rf"|(?P<w>(?:[@#]{{1,2}})?{_WORD})|(?P<n>{_NUMBER})|(?P<p>.)",
    re.DOTALL,
)
_ANSI: Final = re.compile(
    rf"(?P<blank>\s+|--[^\n]*)|(?P<comment>/\*)|(?P<s>[nN]?{_STRING})|(?P<q>{_DOUBLE}|`[^`]*`?)"
    rf"|(?P<w>{_WORD})|(?P<n>{_NUMBER})|(?P<p>.)",
    re.DOTALL,
)
_PATTERNS: Final = {"postgresql": _POSTGRESQL, "mysql": _MYSQL, "mssql": _MSSQL, "ansi": _ANSI}
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")


def tokens(text: str, dialect: Dialect) -> Iterator[Token]:
    """Yield what is no blank and no comment, in order. Any text has tokens; nothing is refused."""
    match = _PATTERNS[dialect].match
    nests = dialect in ("postgresql", "mssql")
    at, size = 0, len(text)
    while at < size:
        found = match(text, at)
        if found is None:  # pragma: no cover  the last alternative takes any character
            return
        kind, end = found.lastgroup or "p", found.end()
        if kind == "comment":
            at = _after_comment(text, end, nests=nests)
        elif kind == "dollar":
            closing = text.find(found[0], end)
            stop = size if closing < 0 else closing
            after = min(size, stop + len(found[0]))
            yield Token("d", text[end:stop], found[0], at, after)
            at = after
        else:
            if kind == "w":
                yield Token("w", found[0].upper(), found[0], at, end)
            elif kind not in ("blank", "live"):
                yield Token(kind, found[0], found[0], at, end)
            at = end


def _after_comment(text: str, at: int, *, nests: bool) -> int:
    if not nests:
        end = text.find("*/", at)
        return len(text) if end < 0 else end + 2
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def unquoted(token: Token) -> str:
    """Return a name as it is, its quotes taken off and doubled ones made one."""
    text = token.raw
    if token.kind != "q":
        return text
    if text[:2] in ("U&", "u&"):
        text = text[2:]
    opening = text[:1]
    closing = {"[": "]"}.get(opening, opening)
    return text[1:].removesuffix(closing).replace(closing * 2, closing)


def redacted(text: str, dialect: Dialect) -> str:
    """Return the text with every string and number as `?`, and without comments: its shape without its data.

    Whether `\\'` ends a string depends on a server's settings in all dialects but T-SQL: where it stands, everything
    up to the last quote goes. What stands in double quotes is a name to PostgreSQL; elsewhere it may be a string.
    """
    out: list[str] = []
    at = 0
    for token in tokens(text, dialect):
        gap = text[at : token.start]
        out.append(gap if gap.isspace() or not gap else " ")
        at = token.end
        if dialect != "mssql" and token.kind == "s" and _may_end_elsewhere(token, dialect):
            last = max(at, text.rfind("'") + 1, text.rfind('"') + 1)
            out += ("? ", redacted(text[last:], dialect))
            break
        data = token.kind in ("s", "n", "d") or (token.raw[:1] == '"' and dialect != "postgresql")
        out.append("?" if data else token.raw)
    return "".join(out).strip()


def _may_end_elsewhere(token: Token, dialect: Dialect) -> bool:
    if dialect == "postgresql":  # an E'' always has escapes; another, where standard_conforming_strings is off
        return token.raw[:1] not in "eE" and token.raw.endswith("\\'")
    return "\\'" in token.raw or '\\"' in token.raw
