"""Predicates in words: what a clause of a rule asks of a field, as a person reads it in `tocsin explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rules import predicate as p
from rules.patterns import Pattern
from rules.predicate import Wildcard

SHOWN: Final = 6  # alternatives that are written out; of the others it is said how many there are
_OPS: Final[Mapping[str, str]] = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}


def wanted(predicate: p.Predicate) -> str:
    """Return what a clause asks: `is 'root'`, `is one of 'a', 'b'`, `matches /x/`."""
    match predicate:
        case p.Field(_, test) | p.Keyword(test):
            return of_test(test)
        case p.Or(parts):
            return _alternatives(parts)
        case p.And(parts):
            return _joined([wanted(part) for part in parts], " and ")
        case p.Not(part):
            return f"not ({wanted(part)})"


def _alternatives(parts: Sequence[p.Predicate]) -> str:
    said = [wanted(part) for part in parts]
    for word in ("is ", "contains ", "starts with ", "ends with "):
        if all(one.startswith(f"{word}'") for one in said):
            return f"{word}one of {_joined([one.removeprefix(word) for one in said], ', ')}"
    return _joined(said, " or ")


def _joined(said: Sequence[str], glue: str) -> str:
    if not said:
        return "what never holds" if glue != " and " else "anything"
    more = f" … ({len(said)} in all)" if len(said) > SHOWN else ""
    return glue.join(said[:SHOWN]) + more


def of_test(test: p.Test) -> str:
    """Return one test in words."""
    match test:
        case p.Text(pattern, cased):
            return _text(pattern) + (" (case counts)" if cased else "")
        case p.Number(value):
            return f"is {value}"
        case p.Boolean(value):
            return f"is {'true' if value else 'false'}"
        case p.Null():
            return "is absent or null"
        case p.Exists(present):
            return "is there" if present else "is not there"
        case p.Regex(pattern, flags):
            return f"matches /{pattern}/{flags}"
        case p.Cidr(network):
            return f"is an address in {network}"
        case p.Compare(op, limit):
            return f"{_OPS[op]} {limit}"
        case p.Between(low, high):
            return f"lies between {low or 'any'} and {high or 'any'}"
        case p.SameAs(other, how, _):
            return f"{how} the field {other}"
        case p.TimePart(part, inner):
            return f"its {part} {of_test(inner)}"


def _text(pattern: Pattern) -> str:
    any_ = Wildcard.ANY
    match pattern:
        case ():
            return "is empty"
        case (str() as text,):
            return f"is {text!r}"
        case (str() as text, end) if end is any_:
            return f"starts with {text!r}"
        case (begin, str() as text) if begin is any_:
            return f"ends with {text!r}"
        case (begin, str() as text, end) if begin is any_ and end is any_:
            return f"contains {text!r}"
        case (one,) if one is any_:
            return "is any text"
    return f"is like {''.join(part if isinstance(part, str) else part.value for part in pattern)!r}"
