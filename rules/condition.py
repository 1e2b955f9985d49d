"""Sigma's conditions: text over selection names -> a predicate.

Tightest first: parentheses; `1 of`, `any of`, `all of`; `not`; `and`; `or`. Keywords are lower case. The same grammar
serves correlations (`rule_a and not rule_b`), where names are rules and there is no `of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from rules.faults import RuleError, meant
from rules.patterns import join, matcher
from rules.predicate import And, Not, Or, Predicate, Wildcard

DEPTH = 50
LONGEST = 20_000
PARTS = 100_000
_TOKEN = re.compile(r"\s*(?:([()])|([\w*.-]+)|(\S))")
_PATTERN = re.compile(r"[\w*]+")
_KEYWORDS = frozenset(("and", "or", "not", "of", "them"))

T = TypeVar("T")


class Algebra(Protocol[T]):
    """What the connectives make of their parts."""

    def every(self, parts: list[T]) -> T: ...
    def some(self, parts: list[T]) -> T: ...
    def inverse(self, part: T) -> T: ...


class Predicates:
    """The algebra of predicates."""

    def every(self, parts: list[Predicate]) -> Predicate:
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def some(self, parts: list[Predicate]) -> Predicate:
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def inverse(self, part: Predicate) -> Predicate:
        return Not(part)


def parse(text: str, names: Mapping[str, T], algebra: Algebra[T], what: str = "selection") -> tuple[T, frozenset[str]]:
    """Return what the condition means and the names that it uses; `what` they name. Raises RuleError."""
    if len(text) > LONGEST:
        raise RuleError(f"condition of {len(text)} characters; {LONGEST} are allowed")
    return _Parser(_tokens(text), names, algebra, what).whole()


def names_in(text: str) -> tuple[str, ...]:
    """Return the names that a condition mentions, each once, in order; `parse` tells what is wrong with it."""
    words = (word for _, word, _ in _TOKEN.findall(text[:LONGEST]) if word)
    return tuple(dict.fromkeys(word for word in words if word not in _KEYWORDS))


def _tokens(text: str) -> list[str]:
    out: list[str] = []
    for paren, word, other in _TOKEN.findall(text):
        if other == "|":
            raise RuleError("condition: aggregation by '|' is no longer Sigma; write a correlation")
        if other:
            raise RuleError(f"condition: unexpected {other!r}")
        out.append(paren or word)
    return out


class _Parser(Generic[T]):
    def __init__(self, tokens: list[str], names: Mapping[str, T], algebra: Algebra[T], what: str) -> None:
        self._tokens = tokens
        self._at = 0
        self._names = names
        self._algebra = algebra
        self._used: set[str] = set()
        self._depth = 0
        self._what = what
        self._parts = 0  # selections that patterns stand for

    def whole(self) -> tuple[T, frozenset[str]]:
        found = self._or()
        if self._peek() is not None:
            raise RuleError(f"condition: expected 'and' or 'or' before {self._peek()!r}{_lower(self._peek())}")
        return found, frozenset(self._used)

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> str:
        token = self._peek()
        if token is None:
            raise RuleError(f"condition: ends where a {self._what}'s name is expected")
        self._at += 1
        return token

    def _or(self) -> T:
        return self._chain("or", self._and, self._algebra.some)

    def _and(self) -> T:
        return self._chain("and", self._not, self._algebra.every)

    def _chain(self, word: str, part: Callable[[], T], joined: Callable[[list[T]], T]) -> T:
        parts = [part()]
        while self._peek() == word:
            self._at += 1
            parts.append(part())
        return joined(parts)

    def _not(self) -> T:
        negated = False
        while self._peek() == "not":
            self._at += 1
            negated = not negated
        found = self._atom()
        return self._algebra.inverse(found) if negated else found

    def _atom(self) -> T:
        token = self._take()
        if token == "(":
            return self._group()
        if self._peek() == "of":
            return self._of(token)
        if token in _KEYWORDS or token == ")":
            raise RuleError(f"condition: a {self._what}'s name is expected, not {token!r}")
        if token not in self._names:
            hint = _lower(token) or meant(token, self._names)
            raise RuleError(f"condition: no {self._what} is named {token!r}{hint}{_known(self._names)}")
        self._used.add(token)
        return self._names[token]

    def _group(self) -> T:
        self._depth += 1
        if self._depth > DEPTH:
            raise RuleError(f"condition: parentheses nested more than {DEPTH} deep")
        found = self._or()
        if self._peek() != ")":
            raise RuleError("condition: a ')' is missing")
        self._at += 1
        self._depth -= 1
        return found

    def _of(self, quantity: str) -> T:
        self._at += 1
        if quantity not in ("1", "any", "all"):
            raise RuleError(f"condition: '1 of', 'any of' or 'all of' is meant, not '{quantity} of'")
        what = self._take()
        found = _selected(what, self._names)
        if not found:
            hint = f"; '{what}*' was meant?" if any(name.startswith(what) for name in self._names) else ""
            raise RuleError(f"condition: '{quantity} of {what}' names no {self._what}{hint}{_known(self._names)}")
        self._parts += len(found)
        if self._parts > PARTS:
            raise RuleError(f"condition: its patterns stand for more than {PARTS} {self._what}s")
        self._used.update(found)
        parts = [self._names[name] for name in found]
        return self._algebra.every(parts) if quantity == "all" else self._algebra.some(parts)


def _selected(what: str, names: Mapping[str, T]) -> list[str]:
    """`them` and patterns skip names that begin with `_`, unless the pattern does."""
    if what == "them":
        return [name for name in names if not name.startswith("_")]
    if not _PATTERN.fullmatch(what):
        raise RuleError(f"condition: {what!r} is no pattern of selection names")
    parts = (Wildcard.ANY if part == "*" else part for part in re.split(r"(\*)", what) if part)
    is_meant = matcher(join(*parts))
    return [name for name in names if is_meant(name) and (what.startswith("_") or not name.startswith("_"))]


def _lower(word: str | None) -> str:
    lower = (word or "").lower()
    return f"; keywords are lower case: {lower!r}" if lower in _KEYWORDS and lower != word else ""


def _known(names: Mapping[str, T]) -> str:
    return f"; there is {', '.join(list(names)[:8])}" if names else ""
