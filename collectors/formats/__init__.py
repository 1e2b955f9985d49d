"""Formats: pure functions from one record's text to ECS fields, one format a file.

A format gives back what it understood or raises ParseError; it never raises anything else, runs in time linear
in the record, and never lets one field's text change another field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from rules.event import Value


class ParseError(ValueError):
    """The record is not of this format; the message says what was missing."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a record does not say of itself."""

    received: datetime  # aware, UTC: when the record was read
    zone: tzinfo = UTC  # for times that state no zone
    year: int | None = None  # for times that state no year; None: the latest that is not in the future
    prefix: str | None = None  # PostgreSQL's log_line_prefix; None: guessed
    moments: dict[str, datetime] = field(default_factory=dict, init=False, repr=False, compare=False)  # when.bsd's memo


class Parsed(NamedTuple):  # one is made for each record: a frozen dataclass costs thrice as much
    """One record, understood. `time` is aware, or None where the record states none."""

    time: datetime | None
    fields: dict[str, Value]  # flat ECS names; `message` is the record without its header


Parser = Callable[[str, Context], Parsed]


@dataclass(frozen=True, slots=True)
class Format:
    """A parser with the rule that joins lines to records: `continues(first, line)` says whether `line` belongs
    to the record that began with the line `first`.

    Where `quote` is set that mark alone decides: a record goes on while it holds an odd number of them, so that a
    line break in a quoted value cannot begin a forged record. `continues` then is the nearest that two lines allow.
    `leads`, where set, begins a first line that only leads (a time above an entry): the line after it is the first.
    `quoting(first)`, where set, says for each record by which mark, if any (`auto` does not know before).
    """

    name: str
    parse: Parser
    continues: Callable[[str, str], bool] | None = None
    quote: str | None = None
    quoting: Callable[[str], str | None] | None = None
    leads: str | None = None
