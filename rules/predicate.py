"""The predicate algebra: what Sigma and the search language compile to, and what every executor must agree on.

A predicate is a tree of And, Or, Not over Field (one test of one field) and Keyword (one test of any value
of the event). A field that holds a list satisfies a test if any element does. Nothing here knows of an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias


class Wildcard(Enum):
    """What a text pattern may hold beside literal text."""

    ANY = "*"  # any length, none included
    ONE = "?"  # exactly one character


@dataclass(frozen=True, slots=True)
class Text:
    """The whole value, as text, equals the pattern; a number's text counts (`1` matches 1)."""

    pattern: tuple[str | Wildcard, ...]  # () is the empty text
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """The value equals the number, be it a number or a text that reads as one."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool


@dataclass(frozen=True, slots=True)
class Null:
    """The field is absent, or null."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there (whatever it holds, null included), or is not."""

    present: bool


@dataclass(frozen=True, slots=True)
class Regex:
    """The pattern is found in the value (search, not full match), in linear time (RE2's syntax)."""

    pattern: str
    flags: str = ""  # any of "i", "m", "s"


@dataclass(frozen=True, slots=True)
class Cidr:
    """The value is an address within the network."""

    network: str


@dataclass(frozen=True, slots=True)
class Compare:
    """The value, if it reads as a number, stands so to the limit."""

    op: Literal["lt", "lte", "gt", "gte"]
    limit: int | float


@dataclass(frozen=True, slots=True)
class Between:
    """The value, as text, lies within the bounds (both included; None is open). For times and names in search."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class SameAs:
    """The value stands so to another field's value of the same event."""

    field: str
    how: Literal["equals", "startswith", "endswith", "contains"] = "equals"
    cased: bool = False


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of the date in the value, as it is written (no zone handling), passes the inner test."""

    part: Literal["minute", "hour", "day", "week", "month", "year"]
    test: Number | Compare


Test: TypeAlias = Text | Number | Boolean | Null | Exists | Regex | Cidr | Compare | Between | SameAs | TimePart


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    test: Test


@dataclass(frozen=True, slots=True)
class Keyword:
    """Some value anywhere in the event contains the text (or holds the pattern)."""

    test: Text | Regex


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; And(()) is always true."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; Or(()) is never true."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Predicate


Predicate: TypeAlias = And | Or | Not | Field | Keyword
