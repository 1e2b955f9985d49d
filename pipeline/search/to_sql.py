"""Predicate -> SQL that narrows: what may hold (a superset), for the caller to decide again from the document.

A leaf that the columns cannot decide is unknown: it may hold and need not. So each part has two readings, and NOT
turns the one into the other (law 4: NOT takes the under-approximation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pipeline.search.words import UNWORDED, Word, words_of
from rules import predicate as p
from rules.patterns import folded

_PARAMETERS_AT_MOST: Final = 400  # SQLite refuses an expression deeper than 1,000
_STARS_AT_MOST: Final = 2  # SQLite's GLOB goes back at each star: more of them cost time that multiplies


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition and its parameters. It never is NULL, so that NOT turns it round."""

    text: str
    parameters: tuple[str, ...] = ()


Terms: TypeAlias = Callable[[Word], Sequence[str] | None]
TRUE: Final = Sql("1")
FALSE: Final = Sql("0")


@dataclass(frozen=True, slots=True)
class Narrowed:
    """`over` holds wherever the predicate does, `under` only where it does; `exact` where they are one."""

    over: Sql
    under: Sql

    @property
    def exact(self) -> bool:
        return self.over == self.under


_UNKNOWN: Final = Narrowed(TRUE, FALSE)


def narrow(predicate: p.Predicate, columns: Mapping[str, str], terms: Terms | None = None) -> Narrowed:
    """Return the predicate over `columns` (field name -> column, which holds the value's text with case removed, or
    NULL where the field is absent or null) and, given `terms`, over the full-text table `words`.

    `terms` says which words of the table a part of a word stands in; None: too many to say.
    """
    narrowed = _narrow(predicate, columns, terms)
    longest = max(len(narrowed.over.parameters), len(narrowed.under.parameters))
    return _UNKNOWN if longest > _PARAMETERS_AT_MOST else narrowed


def _narrow(predicate: p.Predicate, columns: Mapping[str, str], terms: Terms | None) -> Narrowed:
    match predicate:
        case p.And(parts):
            return _joined(" AND ", [_narrow(part, columns, terms) for part in parts], TRUE)
        case p.Or(parts):
            return _joined(" OR ", [_narrow(part, columns, terms) for part in parts], FALSE)
        case p.Not(part):
            inner = _narrow(part, columns, terms)
            return Narrowed(_not(inner.under), _not(inner.over))
        case p.Keyword(p.Text() as test):
            return _worded(words_of(test.pattern, whole=False), terms)
        case p.Field(name, test) if name in columns:
            return _column(columns[name], test)
        case p.Field(name, p.Text(pattern)) if name not in UNWORDED:
            return _worded(words_of(pattern, whole=True), terms)
    return _UNKNOWN


def _joined(operator: str, parts: list[Narrowed], empty: Sql) -> Narrowed:
    return Narrowed(
        _join(operator, [part.over for part in parts], empty), _join(operator, [part.under for part in parts], empty)
    )


def _join(operator: str, parts: list[Sql], empty: Sql) -> Sql:
    """Join, leaving out what changes nothing, so that an index stays usable."""
    absorbing = FALSE if empty == TRUE else TRUE
    telling = [part for part in parts if part != empty]
    if absorbing in telling:
        return absorbing
    if not telling:
        return empty
    if len(telling) == 1:
        return telling[0]
    return Sql(
        f"({operator.join(part.text for part in telling)})",
        tuple(parameter for part in telling for parameter in part.parameters),
    )


def _not(part: Sql) -> Sql:
    if part == TRUE:
        return FALSE
    return TRUE if part == FALSE else Sql(f"NOT ({part.text})", part.parameters)


def _column(column: str, test: p.Test) -> Narrowed:
    there = Sql(f"{column} IS NOT NULL")
    match test:
        case p.Null():
            return _exactly(Sql(f"{column} IS NULL"))
        case p.Exists():
            return _UNKNOWN  # an explicit null is there, too
        case p.Boolean(wanted):
            return _exactly(Sql(f"{column} IS ?", (str(wanted).lower(),)))
        case p.Text(pattern, cased):
            over = _matches(column, folded(pattern))
            return Narrowed(over, FALSE) if cased or _stars(pattern) > _STARS_AT_MOST else _exactly(over)
    return Narrowed(there, FALSE)  # of an absent value no other test holds


def _exactly(sql: Sql) -> Narrowed:
    return Narrowed(sql, sql)


def _stars(pattern: tuple[str | p.Wildcard, ...]) -> int:
    return sum(part is p.Wildcard.ANY for part in pattern)


def _matches(column: str, pattern: tuple[str | p.Wildcard, ...]) -> Sql:
    match pattern:
        case ():
            return Sql(f"{column} IS ?", ("",))
        case (str() as text,):
            return Sql(f"{column} IS ?", (text,))
        case (p.Wildcard.ANY,):
            return Sql(f"{column} IS NOT NULL")
    glob = "".join(_glob(part) for part in pattern)
    if _stars(pattern) > _STARS_AT_MOST:
        glob = glob[: glob.index("*") + 1]
    return Sql(f"({column} IS NOT NULL AND {column} GLOB ?)", (glob,))


def _glob(part: str | p.Wildcard) -> str:
    if isinstance(part, p.Wildcard):
        return part.value
    return "".join(f"[{char}]" if char in "*?[" else char for char in part)


def _worded(words: tuple[Word, ...] | None, terms: Terms | None) -> Narrowed:
    """Every word must stand somewhere in the document; where and next to what is decided again."""
    if not words or terms is None:
        return _UNKNOWN
    asked: list[str] = []
    for word in words:
        if not word.open_start:
            asked.append(f'"{word.text}"{"*" if word.open_end else ""}')
            continue
        found = terms(word)
        if found is not None and not found:
            return Narrowed(FALSE, FALSE)
        if found:
            asked.append("(" + " OR ".join(f'"{term}"' for term in found) + ")")
    if not asked:
        return _UNKNOWN
    return Narrowed(Sql("n IN (SELECT rowid FROM words WHERE words MATCH ?)", (" AND ".join(asked),)), FALSE)
