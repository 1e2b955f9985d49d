"""Whether a predicate holds for an event's fields: the meaning that every executor must agree on (law 4).

`compiled` turns a predicate into closures once; rules/compile.py answers the same question for many rules at once.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Final, TypeAlias

from rules import predicate as p
from rules.event import Fields, Scalar, Value
from rules.pairs import stand
from rules.patterns import Match, fold, folded, join, matcher
from rules.regex import searcher
from rules.values import number_of, text_of

MANY_PAIRS: Final = 100  # of values of two fields, each of which is compared with each up to here

Decide: TypeAlias = Callable[[Fields], bool]
Check: TypeAlias = Callable[[Scalar], bool]
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def compiled(predicate: p.Predicate) -> Decide:
    """Return the predicate as a function of an event's flat fields."""
    match predicate:
        case p.And(parts):
            return _every([compiled(part) for part in parts])
        case p.Or(parts):
            return _some([compiled(part) for part in parts])
        case p.Not(part):
            inner = compiled(part)
            return lambda fields: not inner(fields)
        case p.Keyword(test):
            return _anywhere(anywhere(test))
        case p.Field(name, p.Exists(present)):
            return _exists(name, present=present)
        case p.Field(name, p.SameAs() as test):
            return _same(name, test)
        case p.Field(name, test):
            return _field(name, check(test))


def _exists(name: str, *, present: bool) -> Decide:
    """An object is there, too, though an event's fields name only what is in it."""
    within = f"{name}."
    return lambda fields: (name in fields or any(other.startswith(within) for other in fields)) is present


def _every(parts: list[Decide]) -> Decide:
    if len(parts) == 1:
        return parts[0]
    return lambda fields: all(part(fields) for part in parts)


def _some(parts: list[Decide]) -> Decide:
    if len(parts) == 1:
        return parts[0]
    return lambda fields: any(part(fields) for part in parts)


def _field(name: str, passes: Check) -> Decide:
    def decide(fields: Fields) -> bool:
        value = fields.get(name)
        if isinstance(value, list):
            return any(passes(one) for one in value) if value else passes(None)  # an empty list holds nothing
        return passes(value)

    return decide


def _anywhere(passes: Check) -> Decide:
    def decide(fields: Fields) -> bool:
        return any(
            any(passes(one) for one in value) if isinstance(value, list) else passes(value) for value in fields.values()
        )

    return decide


def check(test: p.Test) -> Check:
    """Return the test as a function of one value. Exists and SameAs are of the event, not of a value."""
    match test:
        case p.Text(pattern, cased):
            return _text(matcher(pattern if cased else folded(pattern)), cased=cased)
        case p.Number(number):
            return lambda value: number_of(value) == number
        case p.Boolean(wanted):
            said = "true" if wanted else "false"
            return lambda value: value is wanted or (isinstance(value, str) and fold(value) == said)
        case p.Null():
            return lambda value: value is None
        case p.Regex(pattern, flags):
            return _text(searcher(pattern, flags), cased=True)
        case p.Cidr(network):
            return _within(network)
        case p.Compare(op, limit):
            return _compare(op, limit)
        case p.Between(low, high):
            return _text(lambda text: (low is None or text >= low) and (high is None or text <= high), cased=True)
        case p.TimePart(part, inner):
            return _time_part(part, check(inner))
    raise TypeError(f"{test} is no test of one value")


def anywhere(test: p.Text | p.Regex) -> Check:
    """Return a keyword's test: the text stands somewhere in the value."""
    if isinstance(test, p.Text):
        test = p.Text(join(p.Wildcard.ANY, *test.pattern, p.Wildcard.ANY), test.cased)
    return check(test)


def _text(matches: Match, *, cased: bool) -> Check:
    def passes(value: Scalar) -> bool:
        text = text_of(value)
        return text is not None and matches(text if cased else fold(text))

    return passes


def _compare(op: str, limit: float) -> Check:
    stands = _COMPARE[op]

    def passes(value: Scalar) -> bool:
        number = number_of(value)
        return number is not None and stands(number, limit)

    return passes


def _within(text: str) -> Check:
    network = ipaddress.ip_network(text)
    version, mask, begins = network.version, int(network.netmask), int(network.network_address)

    def passes(value: Scalar) -> bool:
        if not isinstance(value, str) or len(value) > 60:  # the longest address with a zone is shorter
            return False
        return any(kind == version and number & mask == begins for kind, number in _address(value))

    return passes


@lru_cache(maxsize=4096)  # one address is asked of many networks
def _address(text: str) -> tuple[tuple[int, int], ...]:
    """Return (version, number) of an address; an IPv4 address as IPv6 writes it is both."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ()
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return ((found.version, int(found)), *(((4, int(mapped)),) if mapped is not None else ()))


_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d))?", re.ASCII)
_PARTS: Mapping[str, int] = {"year": 1, "month": 2, "day": 3, "hour": 4, "minute": 5}


def _time_part(part: str, passes: Check) -> Check:
    """The part as it is written; ISO 8601's week, and a date without a time has no hour."""

    def decide(value: Scalar) -> bool:
        found = _DATE.match(value) if isinstance(value, str) else None
        if found is None:
            return False
        if part == "week":
            try:
                return passes(date(*map(int, found.group(1, 2, 3))).isocalendar().week)
            except ValueError:
                return False
        digits = found[_PARTS[part]]
        return digits is not None and passes(int(digits))

    return decide


_SAME: Mapping[str, Callable[[str, str], bool]] = {
    "equals": operator.eq,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}


def _same(name: str, test: p.SameAs) -> Decide:
    """Some value of the one field stands so to some value of the other; an absent field stands to nothing."""
    stands = _SAME[test.how]

    def texts(value: Value) -> list[str]:
        found = [text_of(one) for one in (value if isinstance(value, list) else [value])]
        return [one if test.cased else fold(one) for one in found if one is not None]

    def decide(fields: Fields) -> bool:
        ones, others = texts(fields.get(name)), texts(fields.get(test.field))
        if len(ones) * len(others) > MANY_PAIRS:
            return stand(test.how, set(ones), set(others))
        return any(stands(one, other) for one in ones for other in others)

    return decide


def fields_of(predicate: p.Predicate) -> frozenset[str]:
    """Return every field that the predicate reads; a keyword reads them all, and names none."""
    match predicate:
        case p.And(parts) | p.Or(parts):
            return frozenset[str]().union(*(fields_of(part) for part in parts))
        case p.Not(part):
            return fields_of(part)
        case p.Field(name, p.SameAs(other)):
            return frozenset((name, other))
        case p.Field(name):
            return frozenset((name,))
    return frozenset()
