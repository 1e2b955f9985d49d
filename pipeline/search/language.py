"""The search language: `user.name:root AND NOT source.ip:10.0.* event.outcome:(success OR unknown)` -> a predicate.

    query   = any
    any     = every { OR every }
    every   = unary { [AND] unary }          two terms side by side must both hold
    unary   = NOT unary | ( any ) | field : value | -field : value | value
    value   = word | "phrase" | ( any of values ) | >n | >=n | <n | <=n | [ a TO b ] | { a TO b }

A field's value is the whole value, case ignored, with `*` for any text and `?` for one character; `field:*` asks that
it is there. A bare word or phrase stands anywhere in any value. A backslash makes the next character literal.
Bounds are numbers, else compared as text, which is how times sort; a time that leaves parts out means all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rules import predicate as p
from rules.event import instant, rfc3339
from rules.patterns import Pattern, join
from rules.values import number_of

_DEEPEST: Final = 50
_LONGEST: Final = 10_000
_TOKEN: Final = re.compile(
    r"(?P<space>\s+)"
    r'|(?P<phrase>"(?:[^"\\]|\\.)*")'
    r'|(?P<open_phrase>")'
    r"|(?P<punctuation>[()\[\]{}:]|[<>]=?)"
    r'|(?P<word>(?:\\.|[^\s"()\[\]{}:<>\\]|\\$)+)',
    re.DOTALL,
)
_PIECE: Final = re.compile(r"\\(.?)|([*?])|([^\\*?]+)", re.DOTALL)
_COMPARE: Final[dict[str, Literal["lt", "lte", "gt", "gte"]]] = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TIME: Final = re.compile(r"\d{4}-\d\d", re.ASCII)
Bound: TypeAlias = tuple[str | None, bool]  # its text, None where the range is open; whether it is included
_OPEN: Final[Bound] = (None, True)


class SearchError(Exception):
    """The query cannot be read; the message names the column (from 1) and what was meant."""

    def __init__(self, column: int, fault: str) -> None:
        super().__init__(f"column {column}: {fault}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Token:
    kind: Literal["word", "phrase", "punctuation", "end"]
    text: str
    column: int
    spaced: bool  # there is room before it


def parse(query: str) -> p.Predicate:
    """Return what the query asks; an empty one asks for everything. Raises SearchError."""
    if len(query) > _LONGEST:
        raise SearchError(_LONGEST + 1, f"a query has at most {_LONGEST} characters")
    parser = _Parser(list(_tokens(query)))
    if parser.at_end():
        return p.And(())
    found = parser.any_of(0)
    if not parser.at_end():
        raise SearchError(parser.here.column, f"{parser.here.text!r} closes nothing; put it in quotes to search for it")
    return found


def _tokens(query: str) -> Iterator[Token]:
    spaced = True
    for found in _TOKEN.finditer(query):
        column = found.start() + 1
        match found.lastgroup:
            case "open_phrase":
                raise SearchError(column, 'this quote is never closed; \\" searches for a quote')
            case "word":
                yield Token("word", found[0], column, spaced)
            case "phrase":
                yield Token("phrase", found[0], column, spaced)
            case "punctuation":
                yield Token("punctuation", found[0], column, spaced)
        spaced = found.lastgroup == "space"
    yield Token("end", "", len(query) + 1, spaced)


class _Parser:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def here(self) -> Token:
        return self._tokens[self._at]

    def at_end(self) -> bool:
        return self.here.kind == "end"

    def _take(self) -> Token:
        token = self.here
        self._at += token.kind != "end"
        return token

    def _is(self, text: str, *, ahead: int = 0) -> bool:
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.kind == "punctuation" and token.text == text

    def _said(self, word: str) -> bool:
        return self.here.kind == "word" and self.here.text == word

    def any_of(self, depth: int, field: Token | None = None) -> p.Predicate:
        if depth > _DEEPEST:
            raise SearchError(self.here.column, f"more than {_DEEPEST} parentheses within each other")
        parts = [self._every_of(depth, field)]
        while self._said("OR"):
            self._take()
            parts.append(self._every_of(depth, field))
        return parts[0] if len(parts) == 1 else p.Or(tuple(parts))

    def _every_of(self, depth: int, field: Token | None) -> p.Predicate:
        parts = [self._unary(depth, field)]
        while not (self.here.kind == "end" or self._said("OR") or self._is(")")):
            if self._said("AND"):
                self._take()
            parts.append(self._unary(depth, field))
        return parts[0] if len(parts) == 1 else p.And(tuple(parts))

    def _unary(self, depth: int, field: Token | None) -> p.Predicate:
        nots = 0
        while self._said("NOT"):
            self._take()
            nots += 1
        part = self._primary(depth, field)
        return p.Not(part) if nots % 2 else part

    def _primary(self, depth: int, field: Token | None) -> p.Predicate:
        if self._is("("):
            opened = self._take()
            if self._is(")"):
                raise SearchError(opened.column, "nothing stands between these parentheses")
            inside = self.any_of(depth + 1, field)
            if not self._is(")"):
                raise SearchError(opened.column, "this parenthesis is never closed")
            self._take()
            return inside
        token = self.here
        if field is None and token.kind in ("word", "phrase") and self._is(":", ahead=1):
            return self._field(depth)
        if field is not None:
            return self._value(field)
        self._expect_term(token)
        self._take()
        return p.Keyword(p.Text(_pattern(token)))

    def _expect_term(self, token: Token) -> None:
        if token.kind == "end":
            raise SearchError(token.column, "a word or field:value is missing here")
        if token.kind == "punctuation":
            meant = (
                "write field:value, e.g. user.name:root" if token.text == ":" else "put it in quotes to search for it"
            )
            raise SearchError(token.column, f"{token.text!r} cannot stand here; {meant}")
        if token.text in ("AND", "OR"):
            raise SearchError(token.column, f"{token.text} joins two terms; one of them is missing")

    def _field(self, depth: int) -> p.Predicate:
        name = self._take()
        colon = self._take()
        if name.text.startswith("-") and name.kind == "word":
            inner = Token("word", name.text[1:], name.column + 1, name.spaced)
            return p.Not(self._of_field(inner, colon, depth))
        return self._of_field(name, colon, depth)

    def _of_field(self, name: Token, colon: Token, depth: int) -> p.Predicate:
        pattern = _pattern(name)
        if len(pattern) != 1 or not isinstance(pattern[0], str):
            raise SearchError(name.column, f"a field's name is written out, without wildcards: {name.text!r}")
        if self.here.kind == "end" or (self.here.spaced and not self._is("(")):
            raise SearchError(
                colon.column, f"the value of {pattern[0]} is missing; {pattern[0]}:* asks that it is there"
            )
        if self._is("("):
            return self._primary(depth, name)
        return self._value(name)

    def _value(self, name: Token) -> p.Predicate:
        field = _literal(name)
        token = self.here
        if token.kind == "punctuation" and token.text in _COMPARE:
            return self._compared(field)
        if self._is("[") or self._is("{"):
            return self._between(field)
        self._expect_term(token)
        self._take()
        pattern = self._with_colons(_pattern(token), token)
        if pattern == (p.Wildcard.ANY,):
            return p.Not(p.Field(field, p.Null()))
        return p.Field(field, p.Text(pattern))

    def _with_colons(self, pattern: Pattern, token: Token) -> Pattern:
        """A value may hold colons (`source.ip:fe80::1`): what follows without room belongs to it."""
        while token.kind == "word" and self._is(":") and not self.here.spaced:
            self._take()
            pattern = join(*pattern, ":")
            if self.here.kind == "word" and not self.here.spaced:
                pattern = join(*pattern, *_pattern(self._take()))
        return pattern

    def _compared(self, field: str) -> p.Predicate:
        operator = self._take()
        limit = self.here
        if limit.kind not in ("word", "phrase"):
            raise SearchError(limit.column, f"{field}:{operator.text} wants a number, or a time like 2026-11-22")
        self._take()
        text = "".join(part for part in self._with_colons(_pattern(limit), limit) if isinstance(part, str))
        number = number_of(text)
        if number is not None:
            return p.Field(field, p.Compare(_COMPARE[operator.text], number))
        bound = (text, operator.text in ("<=", ">="))
        return _range(field, bound, _OPEN) if operator.text in (">", ">=") else _range(field, _OPEN, bound)

    def _between(self, field: str) -> p.Predicate:
        opened = self._take()
        low, high = self._bound(opened), None
        if not self._said("TO"):
            raise SearchError(self.here.column, f"a range is written {field}:[low TO high]")
        self._take()
        high = self._bound(opened)
        if not (self._is("]") or self._is("}")):
            raise SearchError(opened.column, "this range is never closed")
        closed = self._take()
        return _range(field, (low, opened.text == "["), (high, closed.text == "]"))

    def _bound(self, opened: Token) -> str | None:
        token = self.here
        if token.kind not in ("word", "phrase"):
            raise SearchError(opened.column, "a range is written [low TO high]; * leaves an end open")
        self._take()
        pattern = self._with_colons(_pattern(token), token)
        return None if pattern == (p.Wildcard.ANY,) else "".join(one for one in pattern if isinstance(one, str))


def _range(field: str, low: Bound, high: Bound) -> p.Predicate:
    """Between numbers if both ends that are given read as numbers, else between texts."""
    given = [bound for bound, _ in (low, high) if bound is not None]
    if not given:
        return p.Not(p.Field(field, p.Null()))
    if all(number_of(bound) is not None for bound in given):
        parts: list[p.Predicate] = [p.Field(field, p.Compare(*limit)) for limit in _limits(low, high)]
        return parts[0] if len(parts) == 1 else p.And(tuple(parts))
    first, last = _edge(low, after=not low[1]), _edge(high, after=high[1])
    within: list[p.Predicate] = [p.Field(field, p.Between(first, last))]
    for edge, (_, included) in ((first, low), (last, high)):
        if edge is not None and not included:
            within.append(p.Not(p.Field(field, p.Text((edge,), cased=True))))
    return within[0] if len(within) == 1 else p.And(tuple(within))


def _edge(bound: Bound, *, after: bool) -> str | None:
    """Return the text to compare with: a whole time as events carry it, a part of one as its beginning or end."""
    text = bound[0]
    if text is None or _TIME.match(text) is None:
        return text
    try:
        return rfc3339(instant(text))
    except ValueError:
        return f"{text}~" if after else text  # sorts behind every time that begins so


def _limits(low: Bound, high: Bound) -> Iterator[tuple[Literal["lt", "lte", "gt", "gte"], int | float]]:
    for (bound, included), inclusive, exclusive in ((low, ">=", ">"), (high, "<=", "<")):
        number = number_of(bound)
        if number is not None:
            yield _COMPARE[inclusive if included else exclusive], number


def _pattern(token: Token) -> Pattern:
    """Return a token's text with its escapes resolved; a phrase's wildcards are literal."""
    text = token.text[1:-1] if token.kind == "phrase" else token.text
    parts: list[str | p.Wildcard] = []
    for escaped, wild, plain in _PIECE.findall(text):
        if wild and token.kind == "word":
            parts.append(p.Wildcard(wild))
        else:
            parts.append(escaped or wild or plain or "\\")
    return join(*parts)


def _literal(token: Token) -> str:
    return "".join(part for part in _pattern(token) if isinstance(part, str))
