"""What must be in an event before a predicate can hold: an over-approximation that an index can decide.

A predicate becomes branches, any of which must be met; a branch asks of each field that some literal, or some value
at all, is there. What cannot be said so is left out, which only makes the answer wider.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rules import predicate as p
from rules.patterns import Pattern, fold
from rules.predicate import Wildcard

BEGIN: Final = "\x02"  # marks where a value begins and ends, so that one automaton knows equals, starts and ends
END: Final = "\x03"
KEYWORDS: Final = ""  # the "field" of keywords: any value
BRANCHES: Final = 64
ATOMS: Final = 4  # a field within a branch
RUNS: Final = 16  # spellings of a regular expression's literal
_EMPTY: Final = frozenset(("",))


@dataclass(frozen=True, slots=True)
class Atom:
    """One of the literals (folded, with marks) is in the value, or it is one of the numbers; or it is there at all."""

    literals: frozenset[str] = frozenset()
    numbers: frozenset[float] = frozenset()
    anything: bool = False  # any value but null will do
    wide: bool = False  # literals of a regular expression: not to be relied on beyond ASCII
    regexes: tuple[tuple[str, str], ...] = ()  # the atom is no more and no less than: one of these is found

    def either(self, other: Atom) -> Atom:
        return Atom(
            self.literals | other.literals,
            self.numbers | other.numbers,
            self.anything or other.anything,
            self.wide or other.wide,
            self._exact(other),
        )

    def _exact(self, other: Atom) -> tuple[tuple[str, str], ...]:
        """Only where all alternatives are expressions do they say more than their literals."""
        return (*self.regexes, *other.regexes) if self.regexes and other.regexes else ()


Branch: TypeAlias = Mapping[str, tuple[Atom, ...]]
_PRESENT: Final = Atom(anything=True)
_NOTHING: Final[Branch] = {}


def branches(predicate: p.Predicate) -> list[Branch]:
    """Return the branches of which one must be met; an empty one is met by every event, none by no event."""
    return _needs(predicate, holds=True)


def _needs(predicate: p.Predicate, *, holds: bool) -> list[Branch]:
    match predicate:
        case p.Not(part):
            return _needs(part, holds=not holds)
        case p.And(parts):
            found = [_needs(part, holds=holds) for part in parts]
            return _all(found) if holds else _any(found)
        case p.Or(parts):
            found = [_needs(part, holds=holds) for part in parts]
            return _any(found) if holds else _all(found)
        case p.Field(name, p.SameAs(other)) if holds:
            return [{name: (_PRESENT,), other: (_PRESENT,)}]
        case p.Field(name, test):
            atom = atom_of(test) if holds else _PRESENT if isinstance(test, p.Null) else None
            return [{name: (atom,)} if atom is not None else _NOTHING]
        case p.Keyword(test):
            keyword = _keyword(test) if holds else None
            return [{KEYWORDS: (keyword,)} if keyword is not None else _NOTHING]


def _any(found: Sequence[list[Branch]]) -> list[Branch]:
    """Alternatives: those that ask one thing of one field become one branch."""
    merged: dict[str, Atom] = {}
    out: list[Branch] = []
    for branch in (branch for part in found for branch in part):
        if not branch:
            return [_NOTHING]
        (name, atoms), *more = branch.items()
        if more or len(atoms) > 1:
            out.append(branch)
        else:
            merged[name] = merged[name].either(atoms[0]) if name in merged else atoms[0]
    out += [{name: (atom,)} for name, atom in merged.items()]
    return out if len(out) <= BRANCHES else _weakened(out)


def _weakened(found: list[Branch]) -> list[Branch]:
    """Too many branches: keep of each one field, the one that most of them have."""
    common: dict[str, int] = {}
    for branch in found:
        for name in branch:
            common[name] = common.get(name, 0) + 1
    merged: dict[str, Atom] = {}
    for branch in found:
        name = max(branch, key=lambda one: (common[one], one))
        merged[name] = merged[name].either(branch[name][0]) if name in merged else branch[name][0]
    return [{name: (atom,)} for name, atom in merged.items()]


def _all(found: Sequence[list[Branch]]) -> list[Branch]:
    """Everything must be met: each with each, as long as there are not too many of them."""
    out: list[Branch] = [_NOTHING]
    for part in sorted(found, key=len):
        if not part:
            return []
        if len(out) * len(part) <= BRANCHES:
            out = [_joined(one, other) for one in out for other in part]
    return out


def _joined(one: Branch, other: Branch) -> Branch:
    out = dict(one)
    for name, atoms in other.items():
        both = dict.fromkeys((*out.get(name, ()), *atoms))
        out[name] = tuple(sorted(both, key=_power, reverse=True)[:ATOMS])
    return out


def _power(atom: Atom) -> tuple[bool, int]:
    return not atom.anything, min(map(len, atom.literals), default=3)


def atom_of(test: p.Test) -> Atom | None:
    """Return what a value must have to pass the test; None where a missing value may pass it too."""
    match test:
        case p.Text(pattern):
            return _text(pattern)
        case p.Number(value):
            return Atom(numbers=frozenset((value,)))
        case p.Boolean(value):
            return Atom(frozenset((f"{BEGIN}{'true' if value else 'false'}{END}",)))
        case p.Regex():
            return _regex(test)
        case p.Null() | p.Exists():
            return None
    return _PRESENT


def _keyword(test: p.Text | p.Regex) -> Atom | None:
    if isinstance(test, p.Regex):
        return _regex(test)
    longest = max((part for part in test.pattern if isinstance(part, str)), key=len, default="")
    return Atom(frozenset((fold(longest),))) if longest else _PRESENT


def _text(pattern: Pattern) -> Atom:
    """The longest literal between wildcards, anchored where it stands at an end of the value."""
    if not pattern:
        return Atom(frozenset((BEGIN + END,)))
    best = ""
    for place, part in enumerate(pattern):
        if isinstance(part, Wildcard):
            continue
        marked = (BEGIN if place == 0 else "") + fold(part) + (END if place == len(pattern) - 1 else "")
        best = max(best, marked, key=len)
    return Atom(frozenset((best,))) if best else _PRESENT


def _regex(test: p.Regex) -> Atom:
    found = mandatory(test.pattern)
    return Atom(found, anything=not found, wide=True, regexes=((test.pattern, test.flags),))


def mandatory(pattern: str) -> frozenset[str]:
    """Return literals (folded) one of which must be in every text in which the expression is found; none: unknown."""
    if not _alike(pattern):
        return frozenset()
    try:
        tree = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError):
        return frozenset()
    return max(_runs(tree), key=_worth, default=frozenset())


def least_length(pattern: str) -> int:
    """Return the length below which no text holds the expression; 0: unknown."""
    try:
        return int(re._parser.parse(pattern).getwidth()[0]) if _alike(pattern) else 0  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError):
        return 0


def _alike(pattern: str) -> bool:
    """Whether Python's parser, which is used here, reads the expression as RE2 does."""
    return not any(mark in pattern for mark in ("[:", "\\Q", "\\C", "{,"))


def _worth(found: frozenset[str]) -> tuple[int, int]:
    return min(map(len, found), default=0), -len(found)


def _runs(tree: Iterable[tuple[object, object]]) -> list[frozenset[str]]:
    """Return every set of alternatives that the sequence cannot do without."""
    out: list[frozenset[str]] = []
    run = _EMPTY
    for name, argument in _flat(tree):
        chars = _characters(name, argument)
        if chars and len(run) * len(chars) <= RUNS:
            run = frozenset(one + char for one in run for char in chars)
            continue
        if run != _EMPTY:
            out.append(run)
        run = _EMPTY
        if name in ("MAX_REPEAT", "MIN_REPEAT") and isinstance(argument, tuple) and argument[0] > 0:
            out += _runs(argument[2])
        elif name == "BRANCH" and isinstance(argument, tuple):
            ways = [max(_runs(way), key=_worth, default=frozenset[str]()) for way in argument[1]]
            if all(ways) and len(ways) <= BRANCHES:
                out.append(frozenset[str]().union(*ways))
    if run != _EMPTY:
        out.append(run)
    return out


def _flat(tree: Iterable[tuple[object, object]]) -> Iterable[tuple[str, object]]:
    for op, argument in tree:
        if str(op) == "SUBPATTERN" and isinstance(argument, tuple):
            yield from _flat(argument[3])
        else:
            yield str(op), argument


def _characters(name: str, argument: object) -> list[str]:
    """Return the few characters (folded) of which one must stand here; none: it is not so simple."""
    if name == "LITERAL" and isinstance(argument, int):
        return [fold(chr(argument))]
    if name != "IN" or not isinstance(argument, list) or len(argument) > RUNS:
        return []
    if not all(str(kind) == "LITERAL" for kind, _ in argument):
        return []
    return sorted({fold(chr(code)) for _, code in argument})
