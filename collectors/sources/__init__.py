"""Sources: where records come from, one I/O adapter a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from rules.event import Value


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the source holds it, with the position that follows it."""

    raw: bytes
    origin: (
        bytes  # what the event's id is made of beside host and raw: file identity and offset, cursor, scheduled time
    )
    position: str  # the source's position once this record is journalled; opaque to all but the source
    fields: dict[str, Value] = field(default_factory=dict)  # what the source itself knows: log.file.path, log.offset
    time: datetime | None = None  # where the source states it (a journal entry, a sample)
    parsed: bool = False  # fields are the whole event (a sample); no format is asked


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave. `up_to`: all that the source held until then has been read."""

    records: Sequence[Record]
    position: str
    up_to: datetime | None
    backlog: bool = False  # these records stood there before the source's first start
    troubles: Sequence[str] = ()  # what could not be read, and how to mend it


class Source(Protocol):
    """A place that records come from. `position` is what the last journalled record said, or None at first."""

    name: str

    def read(self, position: str | None, now: datetime, limit: int) -> Batch:
        """Return the records after `position`, at most `limit`, at once; an empty batch if there are none."""
        ...

    def close(self) -> None: ...
