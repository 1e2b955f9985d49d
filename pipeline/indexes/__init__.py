"""Indexes: the archive, searchable. Two adapters behind one port: SQLite files and Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

from rules.event import Event, EventClass, Fields
from rules.predicate import Predicate


class IndexUnavailable(Exception):
    """The index could not be reached, or took only some documents; put the same documents again."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document: `value` is flat JSON with dotted ECS names. Its place is a function of the event alone."""

    id: str
    event_class: EventClass
    time: datetime  # UTC; its day names the index
    value: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that the index will never take, and why: it belongs in the dead letters."""

    document: Document
    reason: str
    repeats: bool = False  # its id is taken by what was sealed under another number (repeats.py)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: a predicate, and bounds on `@timestamp` (since included, until excluded; None is open)."""

    predicate: Predicate
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The newest hits first, each decided again in memory from its stored document."""

    hits: Sequence[Event]
    more: bool  # there are further hits beyond the limit


class Index(Protocol):
    """Stores documents once by id and finds them again. One instance serves one thread."""

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        """Return what can never be stored, once all the rest is stored. A repeat of an id changes nothing, and is told
        where its seal is another.

        Raises IndexUnavailable when a retry may help.
        """
        ...

    def search(self, query: Query) -> Page: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A document as it is found in its place; without `fields`, `fault` says why they cannot be read."""

    place: str  # the id under which it is stored
    fields: Fields | None
    fault: str = ""


@runtime_checkable
class Scanned(Protocol):
    """What verification asks of an index; both adapters have it."""

    def count(self, since: datetime | None, until: datetime | None) -> int:
        """Return about how many documents there are."""
        ...

    def scan(self, since: datetime | None, until: datetime | None) -> Iterator[Found]:
        """Yield every document, in no order. Raises IndexUnavailable."""
        ...


@runtime_checkable
class Retained(Protocol):
    """What retention asks of an index; both adapters have it."""

    def days(self) -> Sequence[tuple[EventClass, date, int]]:
        """Return what there is: class, day and size in bytes, oldest first."""
        ...

    def drop(self, event_class: EventClass, before: date) -> int:
        """Remove the class's whole days before that day, and return how many went."""
        ...
