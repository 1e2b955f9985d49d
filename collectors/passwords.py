"""What a statement gives as a password, and the statement without it. Pure, linear in the text.

A statement is read by its dialect's own tokens: a comment or a quote inside of a literal is no token and so neither
hides a password nor makes one of the statement between two literals. Only the literals are masked that stand right
behind the word: what an attacker writes there is data to every database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from collectors.formats.sql_lexer import Dialect, Token, tokens, unquoted

MASK: Final = "'?'"
_HINTS: Final = ("pass", "pwd", "secret", "identified", "key_source", "encryption", "approle", "sp_add", "://")
_WORD: Final = re.compile(r"(?:PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|KEY_SOURCE)\Z", re.IGNORECASE)
# What hashes a password that is written into it. A function of another name may run what it is given.
_HASHES: Final = frozenset({
    "CRYPT", "DIGEST", "HMAC", "MD5", "SHA", "SHA1", "SHA2", "SHA224", "SHA256", "SHA384", "SHA512", "HASHBYTES",
    "ENCODE", "PASSWORD", "OLD_PASSWORD", "PWDENCRYPT", "PGP_SYM_ENCRYPT", "AES_ENCRYPT", "ENCRYPT", "CONVERT", "UPPER",
    "LOWER",
})  # fmt: skip
_ACCOUNT: Final = 8  # tokens at most of an account: 'a' @ 'b', CURRENT_USER ( )
# The arguments, by place, that are secrets in SQL Server's own procedures.
_PROCEDURES: Final[dict[str, tuple[int, ...]]] = {
    "SP_PASSWORD": (0, 1), "SP_ADDLOGIN": (1,), "SP_ADDLINKEDSRVLOGIN": (4,), "SP_ADDAPPROLE": (1,),
    "SP_APPROLEPASSWORD": (1,), "SP_SETAPPROLE": (1,),
}  # fmt: skip
_RUNS: Final = frozenset({"EXEC", "EXECUTE", "IMMEDIATE", "SP_EXECUTESQL", "FROM", "AS", "DO", "DBLINK_EXEC"})
_RUNNING: Final = frozenset({"EXEC", "EXECUTE", "IMMEDIATE", "SP_EXECUTESQL", "PREPARE"})
_DEPTH: Final = 3  # statements within statements that are looked into


class Masked(NamedTuple):
    """A statement without its passwords, and each literal that held one: as it was, and as it is now."""

    text: str
    secrets: list[tuple[str, str]]


def hinted(text: str) -> bool:
    """Say whether a text may hold a password: a look that every record gets."""
    low = text.lower()
    return any(hint in low for hint in _HINTS)


def masked(text: str, dialect: Dialect, depth: int = 0) -> Masked:
    """Return a statement with `'?'` for each literal that is a password in it; all else stays as it is."""
    if not hinted(text):
        return Masked(text, [])
    held = list(tokens(text, dialect))
    secret = set(_secrets(held, dialect))
    inside = depth < _DEPTH and _holds_sql(held)
    out: list[str] = []
    found: list[tuple[str, str]] = []
    at = 0
    for i, token in enumerate(held):
        if i in secret:
            said = MASK + _behind(token, dialect)
            found.append((text[token.start : token.end], said))
            out += (text[at : token.start], said)
        elif token.kind in ("s", "d") or (token.kind == "q" and token.raw[:1] == '"' and dialect != "postgresql"):
            old = text[token.start : token.end]
            new, more = _within(old, token, dialect, depth if inside and _is_run(held, i) else _DEPTH)
            found += more
            out += (text[at : token.start], new)
        else:
            continue
        at = token.end
    return Masked("".join([*out, text[at:]]) if found else text, found)


def _behind(token: Token, dialect: Dialect) -> str:
    """Return what a literal holds of further statements, should `\\'` end it: a session of MySQL's may set
    NO_BACKSLASH_ESCAPES, and of what it then does nothing may be masked."""
    if dialect != "mysql" or token.kind != "s":
        return ""
    ends = token.raw.find("\\" + token.raw.lstrip("NnBbXx")[:1])
    further = token.raw.find(";", ends) if ends >= 0 else -1
    return token.raw[further:] if further >= 0 else ""


def _secrets(held: Sequence[Token], dialect: Dialect) -> Iterator[int]:
    """Yield the places of the literals that are passwords."""
    called = ""  # the procedure whose arguments are read
    runs = any(token.kind == "w" and token.text in _RUNNING for token in held)
    for i, token in enumerate(held):
        if token.kind == "p" and token.text == ";":
            called = ""
        if token.kind not in ("w", "q"):
            continue
        word = token.text if token.kind == "w" else unquoted(token).upper()
        if word in ("EXEC", "EXECUTE", "CALL") or word.startswith(("SP_", "XP_")):
            called = word
            if dialect == "mssql" and word in _PROCEDURES:
                yield from _by_place(held, i + 1, _PROCEDURES[word])
        elif word in ("SELECT", "SET", "DECLARE"):
            called = ""
        elif word == "IDENTIFIED" and dialect in ("mysql", "ansi"):
            yield from _identified(held, i + 1)
        named = _WORD.search(word) is not None or (word == "KEY" and i > 0 and held[i - 1].text == "ENCRYPTION")
        named |= word in ("@OLD", "@NEW") and called == "SP_PASSWORD"
        # a variable may hold a statement that is run later: what is assigned to one is no password
        if named and (called if word.startswith("@") else not (runs and _may_be_variable(held, i, word))):
            yield from _after_word(held, i, dialect)


def _may_be_variable(held: Sequence[Token], at: int, word: str) -> bool:
    """Say whether `word = 'x'` may assign to a variable: WITH PASSWORD = and SET PASSWORD = do not."""
    before = _text(held, at - 1) if at else ""
    told = before in ("WITH", "BY") or (word == "PASSWORD" and before == "SET") or word == "OLD_PASSWORD"
    return _text(held, at + 1) == "=" and not told


def _after_word(held: Sequence[Token], at: int, dialect: Dialect) -> Iterator[int]:
    """PASSWORD 'x', PASSWORD = 'x', PASSWORD('x'), PASSWORD FOR bob = 'x', password = crypt('x', ...)."""
    before = held[at - 1].text if at else ""
    i = at + 1
    if before == "SET" and dialect in ("mysql", "ansi") and _text(held, i) == "FOR":
        end = next((j for j in range(i, min(i + _ACCOUNT, len(held))) if _text(held, j) in ("=", "TO", ";", ",")), None)
        if end is None or held[end].text in (";", ","):
            return
        i = end + 1
    elif _text(held, i) == "=":
        i += 1
    elif dialect == "mssql" or before in (".", "EXEC", "EXECUTE", "CALL"):  # there it is something's name
        return
    elif _text(held, i) == "(":
        if dialect in ("mysql", "ansi"):
            yield from _arguments(held, i + 1)
        return
    yield from _value(held, i)


def _identified(held: Sequence[Token], at: int) -> Iterator[int]:
    """IDENTIFIED BY 'x', WITH plugin AS 'x', VIA a USING 'x' OR b USING 'y', each with REPLACE 'old' behind it."""
    i = at
    if _text(held, i) in ("WITH", "VIA"):
        i += 2
    while _text(held, i) in ("BY", "AS", "USING"):
        places = list(_value(held, i + 1))
        yield from places
        i = places[-1] + 1 if places else i + 1
        i += _text(held, i) == ")"
        i += 2 if _text(held, i) == "OR" else 0


def _value(held: Sequence[Token], i: int) -> Iterator[int]:
    """Yield the literals at this place, which adjacent are one, or those that a hash is made of; and REPLACE 'old'."""
    if _text(held, i) == "PASSWORD" and _text(held, i + 1) != "(":  # IDENTIFIED BY PASSWORD 'hash'
        i += 1
    while _text(held, i) in _HASHES and _text(held, i + 1) == "(":
        i += 2
        if not (_text(held, i) in _HASHES and _text(held, i + 1) == "("):
            yield from _arguments(held, i)
            return
    while i < len(held) and _is_literal(held[i]):
        yield i
        i += 1
    if _text(held, i) == "REPLACE" and i + 1 < len(held) and _is_literal(held[i + 1]):
        yield i + 1


def _arguments(held: Sequence[Token], i: int) -> Iterator[int]:
    while i < len(held) and (_is_literal(held[i]) or held[i].text == ","):
        if _is_literal(held[i]):
            yield i
        i += 1


def _by_place(held: Sequence[Token], i: int, places: tuple[int, ...]) -> Iterator[int]:
    """Yield a procedure's arguments at these places: 'x', NULL, 'y' ...; a named one ends it."""
    for place in range(max(places) + 1):
        if i >= len(held) or not (_is_literal(held[i]) or held[i].kind in ("n", "w")) or _text(held, i + 1) == "=":
            return
        if place in places and _is_literal(held[i]):
            yield i
        if _text(held, i + 1) != ",":
            return
        i += 2


def _text(held: Sequence[Token], i: int) -> str:
    return held[i].text if i < len(held) and held[i].kind in ("w", "p") else ""


def _is_literal(token: Token) -> bool:
    return token.kind in ("s", "d") or token.raw[:1] == '"' or token.raw[:2] in ("0x", "0X")


def _holds_sql(held: Sequence[Token]) -> bool:
    """Say whether what stands in literals may be read as SQL: not where it is a shell's or another language's."""
    words = [token.text for token in held if token.kind == "w"]
    if "PROGRAM" in words or "XP_CMDSHELL" in words:
        return False
    return all(name in ("SQL", "PLPGSQL") for word, name in pairwise(words) if word == "LANGUAGE")


def _is_run(held: Sequence[Token], i: int) -> bool:
    before = i - 2 if i > 1 and held[i - 1].text == "(" else i - 1
    if before > 0 and held[before - 1].text == "LANGUAGE":
        before -= 2
    return before >= 0 and held[before].text in _RUNS


def _within(old: str, token: Token, dialect: Dialect, depth: int) -> Masked:
    """Look into a literal: for the password of a connection, and for a statement's where it is run as one."""
    kept = without_connections(old)
    found = [(old, kept)] if kept != old else []
    if depth >= _DEPTH or not hinted(kept):
        return Masked(kept, found)
    if token.kind == "d":
        mark = token.raw
        inner, more = masked(kept[len(mark) : len(kept) - len(mark)], dialect, depth + 1)
        return Masked(mark + inner + mark, found + more) if more else Masked(kept, found)
    quote = kept.lstrip("NnEe")[:1]
    head, _, rest = kept.partition(quote)
    body = rest.removesuffix(quote).replace(quote * 2, quote)
    inner, more = masked(body, dialect, depth + 1)
    if not more:
        return Masked(kept, found)
    new = head + quote + inner.replace(quote, quote * 2) + quote
    return Masked(new, [(old, new)])


# A connection's password: password=x, password = 'x', scheme://user:x@host. What a shell would act on ends it.
_CONNECTION: Final = re.compile(
    r"""(?P<name>\b(?:password|passwd|pwd)[ \t]{0,16}=[ \t]{0,16}(?:\{|(?P<quote>''?|\\{1,8}'))?)"""
    r"""(?P<held>(?(quote)[^'\\;|&`$<>()\n]{1,128}|[^\s'"\\;,|&`$<>(){}]{1,256}))"""
    r"""|(?P<user>\w://[^\s:/@'"\\;|&`$<>()]{0,128}:)(?P<uri>[^\s/@'"\\;|&`$<>()]{1,256})(?=@)""",
    re.IGNORECASE,
)


def without_connections(text: str) -> str:
    """Return a text with `?` for the password in a connection's words: password=x, scheme://user:x@host."""
    if "=" not in text and "://" not in text:
        return text
    return _CONNECTION.sub(lambda found: (found["name"] or found["user"]) + "?", text)
