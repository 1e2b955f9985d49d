"""A table by query: each new row is a record, and the key of the last one is where reading goes on.

`position` names columns that only grow and together are unique (`id`, or `[event_time, sequence_number]`). A row
that is committed late may stand below the position; `overlap` goes back that far each time and leaves out what was
given before, known by a digest of key and row. The query runs in a thread of its own; reading never waits for it.
"""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import msgspec

from collectors.sources import Batch, Record, keyset
from collectors.sources.database import Access, Database, Rows, Unreachable

_RETRY: Final = timedelta(seconds=5)
_FUTURE: Final = timedelta(days=1)
_REMEMBERED: Final = 5000  # digests in the stored position; repeats beyond them have the same ids
_DIGEST: Final = 8


class _Position(msgspec.Struct):
    columns: list[str]
    key: list[list[str]] | None = None
    seen: str = ""  # base64 of the digests of rows within the overlap
    backlog: bool = True  # the rows that stood there at the first start are not all read yet


@dataclass(frozen=True, slots=True)
class _Given:
    """A row that was given: its key, and the digest of key and row."""

    key: tuple[object, ...]
    digest: bytes


class _Mark:
    """How far rows have been given: the key of the last one, and which of those within the overlap."""

    def __init__(self, overlap: keyset.Overlap) -> None:
        self.key: tuple[object, ...] | None = None
        self.seen: dict[bytes, object] = {}  # digest -> first column
        self._overlap = overlap

    def add(self, given: Sequence[_Given]) -> None:
        """Go on behind the rows. With an overlap the key is its first column, and never goes back."""
        if not given:
            return
        if self._overlap is None:
            self.key = given[-1].key
            return
        last = max(given, key=lambda one: one.key[0])  # type: ignore[arg-type, return-value]  # `before` sees to it
        floor = keyset.before(last.key[0], self._overlap)
        if self.key is None or last.key[0] >= self.key[0]:  # type: ignore[operator]
            self.key = last.key
        else:
            floor = keyset.before(self.key[0], self._overlap)
        self.seen |= {one.digest: one.key[0] for one in given}
        self.seen = {digest: first for digest, first in self.seen.items() if first >= floor}  # type: ignore[operator]

    def after(self) -> tuple[object, ...] | None:
        """Return where the next query begins."""
        if self.key is None or self._overlap is None:
            return self.key
        return (keyset.before(self.key[0], self._overlap),)

    def stored(self, columns: Sequence[str], *, backlog: bool) -> _Position:
        key = [keyset.encode(value) for value in self.key] if self.key is not None else None
        digests = b"".join(list(self.seen)[-_REMEMBERED:])
        return _Position(list(columns), key, base64.b64encode(digests).decode(), backlog)

    def restore(self, saved: _Position) -> None:
        self.key = tuple(keyset.decode(pair) for pair in saved.key) if saved.key is not None else None
        digests = base64.b64decode(saved.seen)
        first = self.key[0] if self.key else None
        self.seen = {digests[n : n + _DIGEST]: first for n in range(0, len(digests), _DIGEST)}


class _Worker:
    """A thread that answers one question at a time; the process does not wait for it to end."""

    def __init__(self, name: str, done: Callable[[], None]) -> None:
        self._asked: queue.SimpleQueue[Callable[[], Rows] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Rows | Exception] = queue.SimpleQueue()
        self._done = done
        threading.Thread(target=self._loop, name=name, daemon=True).start()

    def ask(self, question: Callable[[], Rows]) -> None:
        self._asked.put(question)

    def answer(self) -> Rows | Exception | None:
        """Return the answer if it is there."""
        try:
            return self._answers.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        self._asked.put(None)

    def _loop(self) -> None:
        while (question := self._asked.get()) is not None:
            try:
                self._answers.put(question())
            except Exception as error:  # it is told where the answer is read
                self._answers.put(error)
        self._done()


class TableSource:
    """Reads what `access` finds, every `every`; `text` names the column that holds the record, if not the whole row."""

    def __init__(
        self,
        name: str,
        access: Access,
        every: timedelta,
        format_name: str = "json",
        *,
        text: str | None = None,
        overlap: keyset.Overlap = None,
    ) -> None:
        self.name = name
        self.format: str | None = format_name
        self._access, self._every, self._text, self._overlap = access, every, text, overlap
        self._database = Database(access)
        self._worker: _Worker | None = None
        self._asked: datetime | None = None  # when the query that runs was begun
        self._due: datetime | None = None
        self._mark, self._durable = _Mark(overlap), _Mark(overlap)
        self._backlog = self._durable_backlog = True
        self._waiting: dict[int, _Given] = {}  # rows given, not journalled
        self._count = self._bytes = 0
        self._slow = False
        self._troubles: list[str] = []

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        if position is not None:
            self._restore(msgspec.json.decode(position, type=_Position))
        self._worker = _Worker(self.name, self._database.close)

    def read(self, now: datetime, limit: int) -> Batch:
        if self._asked is None:
            if self._due is None or now >= self._due:
                self._ask(now, limit)
            troubles, self._troubles = self._troubles, []
            return Batch(troubles=troubles)
        found = self._worker.answer() if self._worker is not None else None
        if found is None:
            return Batch(troubles=self._patience(now, self._asked))
        asked, self._asked, self._slow = self._asked, None, False
        if isinstance(found, Exception):
            self._due = now + max(self._every, _RETRY)
            return Batch(troubles=[f"{self.name}: {_reason(found)}"])
        return self._taken(found, asked)

    def position(self, journalled: Sequence[Record]) -> str:
        last = max((record.end for record in journalled), default=0)
        self._durable.add([one for end, one in self._waiting.items() if end <= last])
        self._waiting = {end: one for end, one in self._waiting.items() if end > last}
        if not self._waiting:
            self._durable_backlog = self._backlog
        return msgspec.json.encode(self._durable.stored(self._access.position, backlog=self._durable_backlog)).decode()

    def written(self) -> int | None:
        return self._bytes

    def close(self) -> None:
        if self._worker is not None:
            self._database.interrupt()
            self._worker.stop()
            self._worker = None

    def _restore(self, saved: _Position) -> None:
        if saved.columns != list(self._access.position):
            self._troubles = [
                f"{self.name}: `position` was {', '.join(saved.columns)} and is another now: "
                "the table is read from its beginning"
            ]
            return
        self._mark.restore(saved)
        self._durable.restore(saved)
        self._backlog = self._durable_backlog = saved.backlog

    # a query

    def _ask(self, now: datetime, limit: int) -> None:
        after, seen = self._mark.after(), frozenset(self._mark.seen)

        def wanted(columns: Sequence[str], row: Sequence[object]) -> bool:
            return not seen or self._given(columns, row)[0].digest not in seen

        def question() -> Rows:
            return self._database.rows(after, limit, inclusive=self._overlap is not None, wanted=wanted)

        if self._worker is not None:
            self._asked = now
            self._worker.ask(question)

    def _patience(self, now: datetime, asked: datetime) -> list[str]:
        """Tell of a query that does not end; one that can be ended is."""
        if now - asked < self._access.timeout:
            return []
        self._database.interrupt()
        if self._slow:
            return []
        self._slow = True
        seconds = f"{self._access.timeout.total_seconds():g} s"
        return [
            f"{self.name}: the query has not ended within {seconds}; is there an index on {self._access.position[0]}?"
        ]

    def _taken(self, found: Rows, asked: datetime) -> Batch:
        first = self._count + 1
        try:
            records = list(self._records(found))
            self._mark.add([self._waiting[record.end] for record in records])
        except keyset.KeyFault as error:
            self._waiting = {end: one for end, one in self._waiting.items() if end < first}
            self._due = asked + max(self._every, _RETRY)
            return Batch(troubles=[f"{self.name}: {error}"])
        self._due = asked if found.more else asked + self._every
        self._backlog = self._backlog and found.more
        return Batch(records, None if found.more else asked, [*self._ties(records), *self._ahead(asked)])

    def _records(self, found: Rows) -> Iterator[Record]:
        for row in found.rows:
            given, raw = self._given(found.columns, row)
            self._count += 1
            self._bytes += len(raw)
            self._waiting[self._count] = given
            origin = msgspec.json.encode([self.name, [keyset.encode(value) for value in given.key]])
            yield Record(raw, origin, "", self._count, backlog=self._backlog)

    def _given(self, columns: Sequence[str], row: Sequence[object]) -> tuple[_Given, bytes]:
        """Return what is remembered of a row, and its raw text."""
        values = {name: keyset.utc(value) for name, value in zip(columns, row, strict=True)}
        raw = self._raw(values)
        lower = {name.lower(): value for name, value in values.items()}
        key = tuple(lower[name.lower()] for name in self._access.position)
        digest = blake2b(msgspec.json.encode([keyset.encode(value) for value in key]) + raw, digest_size=_DIGEST)
        return _Given(key, digest.digest()), raw

    def _raw(self, values: dict[str, object]) -> bytes:
        if self._text is None:
            return msgspec.json.encode(values, enc_hook=str)
        text = next(value for name, value in values.items() if name.lower() == str(self._text).lower())
        return text if isinstance(text, bytes) else str("" if text is None else text).encode("utf-8", "replace")

    def _ahead(self, now: datetime) -> list[str]:
        """Tell of a position in the future: whoever can write such a row hides all until then."""
        first = self._mark.key[0] if self._mark.key else None
        if not isinstance(first, datetime) or first.replace(tzinfo=first.tzinfo or UTC) < now + _FUTURE:
            return []
        return [
            f"{self.name}: a row has {self._access.position[0]} {first.isoformat()}, in the future: rows before that "
            "are missed from now on; take a column for `position` that the database itself sets"
        ]

    def _ties(self, records: Sequence[Record]) -> list[str]:
        keys = [self._waiting[record.end].key for record in records]
        if all(a != b for a, b in pairwise(keys)):
            return []
        columns = ", ".join(self._access.position)
        return [
            f"{self.name}: several rows have the same {columns}: rows can be missed; "
            "name a further column in `position`, so that together they are unique"
        ]


def _reason(fault: Exception) -> str:
    return str(fault) if isinstance(fault, Unreachable | keyset.KeyFault) else f"{type(fault).__name__}: {fault}"
