"""Sources: where records come from, one I/O adapter a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from rules.event import Value


class Record(msgspec.Struct, frozen=True, gc=False):  # one is made for each line: a dataclass costs ten times as much
    """One record as the source holds it.

    `lane` and `end` are the source's: records of one lane follow each other (and may be joined); `end` is where
    the lane stands once this record is journalled. Where `start` is set, the records of one lane share `origin` and
    `fields`, and `start` tells them apart in both.
    """

    raw: bytes
    origin: bytes  # what the event's id is made of beside host and raw: file identity, cursor, scheduled time
    lane: str
    end: int
    fields: dict[str, Value] = {}  # what the source itself knows, as log.file.path
    start: int | None = None  # offset of its first byte: log.offset
    time: datetime | None = None  # where the source states it (a journal entry, a sample)
    whole: bool = False  # fields are the whole event (a sample); no format is asked
    backlog: bool = False  # stood there before the source's first start

    @property
    def place(self) -> bytes:
        """Where exactly it stood: the same for the same record whenever it is read, another for each other one."""
        return self.origin if self.start is None else b"%s:%d" % (self.origin, self.start)

    @property
    def known(self) -> dict[str, Value]:
        """What the source knows of it, as event fields."""
        return self.fields if self.start is None else {**self.fields, "log.offset": self.start}


@dataclass(frozen=True, slots=True)
class Loss:
    """What a source knows to be gone before it was read: counted, told, and recorded as an event of its own.

    `origin` is the same for the same loss, however often it is found. None: that much cannot be known.
    """

    origin: bytes
    reason: str  # what happened and where, for people
    records: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave. `up_to`: all that the source held until then has been read; None: there is more."""

    records: Sequence[Record] = ()
    up_to: datetime | None = None
    troubles: Sequence[str] = ()  # what could not be read now, and how to mend it; told once each
    losses: Sequence[Loss] = ()


class Source(Protocol):
    """A place that records come from. It reads on in memory; `position` is what survives.

    `open` once, then `read` again and again, `journalled` for the last durable record of each lane, and
    `position` after those: what is stored with the very same commit, and given to `open` next time.
    """

    name: str
    format: str | None  # None: every record is whole

    def open(self, position: str | None, now: datetime) -> None:
        """Go on behind `position`; None is the source's first start."""
        ...

    def read(self, now: datetime, limit: int) -> Batch:
        """Return at once what is there, about `limit` records at most; an empty batch if nothing is new."""
        ...

    def position(self, journalled: Sequence[Record]) -> str:
        """Return the position once these records (the last of each lane) are durable."""
        ...

    def written(self) -> int | None:
        """Return how many bytes the source holds to be read, where it can tell."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Perishable(Protocol):
    """A Source whose records cannot wait until they are read: a sample that falls due, a datagram."""

    def skip(self, now: datetime) -> None:
        """Drop what is there now, which the journal has no room for. The next `read` gives one Loss of it all."""
        ...


@runtime_checkable
class Ending(Protocol):
    """A Source that can come to an end: a pipe."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, and all that came has been given."""
        ...
