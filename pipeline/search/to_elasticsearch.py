"""Predicate -> an Elasticsearch query that narrows: a superset, to be decided again from the stored documents.

As in to_sql, each part has two readings (may hold, surely holds) and NOT turns the one into the other. Documents that
the index could not take as they are (`odd`, or with a value that Elasticsearch set aside) are always candidates.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from pipeline.indexes.mapping import KINDS, ODD, WORDS, Kind
from pipeline.search.words import maybe_unworded
from rules import predicate as p
from rules.patterns import Pattern, fold
from rules.values import number_of

Clause: TypeAlias = Mapping[str, object]

ALL: Final[Clause] = {"match_all": {}}
NONE: Final[Clause] = {"match_none": {}}
_CLAUSES_AT_MOST: Final = 500  # Elasticsearch refuses a query with too many
_RUN: Final = re.compile(r"[0-9a-z]{2,100}")
_LONGEST_PATTERN: Final = 1000


@dataclass(frozen=True, slots=True)
class Narrowed:
    """`over` matches wherever the predicate holds, `under` only where it does."""

    over: Clause
    under: Clause


_UNKNOWN: Final = Narrowed(ALL, NONE)


def candidates(predicate: p.Predicate) -> Clause:
    """Return the query for every document in which the predicate may hold."""
    over = _narrow(predicate).over
    if over == ALL or _size(over) > _CLAUSES_AT_MOST:
        return ALL
    return _any([over, {"term": {ODD: True}}, {"exists": {"field": "_ignored"}}])


def _narrow(predicate: p.Predicate) -> Narrowed:
    match predicate:
        case p.And(parts):
            inner = [_narrow(part) for part in parts]
            return Narrowed(_all([one.over for one in inner]), _all([one.under for one in inner]))
        case p.Or(parts):
            inner = [_narrow(part) for part in parts]
            return Narrowed(_any([one.over for one in inner]), _any([one.under for one in inner]))
        case p.Not(part):
            one = _narrow(part)
            return Narrowed(_not(one.under), _not(one.over))
        case p.Keyword(p.Text(pattern)):
            return Narrowed(ALL if maybe_unworded(pattern) else _words(pattern), NONE)
        case p.Field(name, test) if name != "@timestamp":
            return _field(name, test)
    return _UNKNOWN


def _field(name: str, test: p.Test) -> Narrowed:
    there: Clause = {"exists": {"field": name}}
    kind = KINDS.get(name, "keyword")
    match test:
        case p.Null():
            return Narrowed(_not(there), _not(there))
        case p.Exists():
            return _UNKNOWN  # an explicit null is there, too
        case p.Text(pattern, cased):
            return _text(name, kind, pattern, cased=cased)
        case p.Boolean(wanted) if kind == "keyword":
            said: Clause = {"term": {name: str(wanted).lower()}}
            return Narrowed(said, said)
        case p.Number(number) if _comparable(kind, number):
            return Narrowed({"range": {name: {"gte": number, "lte": number}}}, NONE)
        case p.Compare(op, limit) if _comparable(kind, limit):
            # A double is the nearest there is to what was written: its neighbour may be on the limit.
            return Narrowed({"range": {name: {op if kind == "long" else f"{op[:2]}e": limit}}}, NONE)
        case p.Cidr(network) if kind == "ip":
            return Narrowed({"term": {name: network}}, NONE)
    return Narrowed(there, NONE)  # of an absent value no other test holds


def _comparable(kind: Kind, number: float) -> bool:
    """Whether Elasticsearch takes the number as a bound: it refuses one that the field's type cannot hold."""
    return kind == "double" or (kind == "long" and -(2**63) <= number < 2**63)


def _text(name: str, kind: Kind, pattern: Pattern, *, cased: bool) -> Narrowed:
    if kind != "keyword":
        return Narrowed(_typed(name, kind, pattern), NONE)
    literal = "".join(part for part in pattern if isinstance(part, str))
    if len(literal) > _LONGEST_PATTERN:
        return Narrowed({"exists": {"field": name}}, NONE)
    over = _keyword(name, pattern, literal)
    return Narrowed(over, over if literal.isascii() and not cased else NONE)


def _keyword(name: str, pattern: Pattern, literal: str) -> Clause:
    if pattern == (p.Wildcard.ANY,):
        return {"exists": {"field": name}}
    if all(isinstance(part, str) for part in pattern) and literal.isascii():
        return {"term": {name: fold(literal)}}
    return {"wildcard": {name: {"value": "".join(_wild(part) for part in pattern)}}}


def _wild(part: str | p.Wildcard) -> str:
    """Beyond ASCII the two sides may not agree on a letter's case: any one character may stand there."""
    if isinstance(part, p.Wildcard):
        return part.value
    return "".join(f"\\{char}" if char in "*?\\" else char if char.isascii() else "?" for char in fold(part))


def _typed(name: str, kind: Kind, pattern: Pattern) -> Clause:
    literal = "".join(part for part in pattern if isinstance(part, str))
    whole = all(isinstance(part, str) for part in pattern)
    number = number_of(literal) if whole else None
    if number is not None and _comparable(kind, number):
        return {"range": {name: {"gte": number, "lte": number}}}
    if kind == "ip" and whole and _is_address(literal):
        return {"term": {name: literal}}
    return {"exists": {"field": name}}


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text)) and "%" not in text
    except ValueError:
        return False


def _words(pattern: Pattern) -> Clause:
    """Each run of letters and digits stands within one word of the document, however words are parted elsewhere."""
    runs = [run for part in pattern if isinstance(part, str) for run in _RUN.findall(_ascii(part))]
    return _all([{"wildcard": {WORDS: {"value": f"*{run}*"}}} for run in dict.fromkeys(runs)])


def _ascii(text: str) -> str:
    """Part the runs where another letter stands: it may be a word's end to the one side and not to the other."""
    return "".join(char if char.isascii() else " " for char in fold(text))


def _all(parts: Sequence[Clause]) -> Clause:
    telling = [part for part in parts if part != ALL]
    if NONE in telling:
        return NONE
    if not telling:
        return ALL
    return telling[0] if len(telling) == 1 else {"bool": {"filter": telling}}


def _any(parts: Sequence[Clause]) -> Clause:
    telling = [part for part in parts if part != NONE]
    if ALL in telling:
        return ALL
    if not telling:
        return NONE
    return telling[0] if len(telling) == 1 else {"bool": {"should": telling, "minimum_should_match": 1}}


def _not(part: Clause) -> Clause:
    if part == ALL:
        return NONE
    return ALL if part == NONE else {"bool": {"must_not": [part]}}


def _size(clause: object) -> int:
    if isinstance(clause, Mapping):
        return 1 + sum(_size(inner) for inner in clause.values())
    return sum(_size(inner) for inner in clause) if isinstance(clause, list) else 0
