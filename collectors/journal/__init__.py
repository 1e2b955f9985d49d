"""The journal: segment files in SQLite, append-only, where what was read becomes durable (law 2).

A folder holds numbered segments, one for each hour, or more where they grow large. A segment has one table for each
topic (its row id is the offset, which goes on from segment to segment) and positions: how far each source has been
read, written in the same transaction as the records that were read. A new segment starts with a copy of the
positions, so the newest one always knows them all, and older ones can be unlinked whole.

The embedded stream is the same files with more topics; there the journal is the stream's segment.

Any number of threads and processes may write: a file lock orders them, and a commit is synced to the disk
before `append` returns. A process that dies at any instruction leaves whole transactions, or a half-made
segment under a temporary name, which the next opener removes. What the disk altered is noticed when it is read
(segment.py), saved as far as it goes (repair.py), and what is gone is counted (`findings`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from datetime import datetime
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from collectors.journal import findings
from collectors.journal import segment as files
from collectors.journal.advice import advice
from collectors.journal.folder import Folder, Segment
from collectors.journal.repair import unlink
from collectors.journal.segment import Damaged, Head, Row, moment
from collectors.sources import Loss

__all__ = ["LOOK_SECONDS", "SEGMENT_BYTES", "Journal", "JournalError", "Row"]

LOOK_SECONDS = 0.1  # between looks for what another process appended
SEGMENT_BYTES = 64 * 2**20  # above it a new segment begins: what has been read can go sooner
_arrivals: defaultdict[Path, threading.Condition] = defaultdict(threading.Condition)  # wakes readers of this process
T = TypeVar("T")


class JournalError(Exception):
    """The journal could not be written or read (disk full, no right to it); nothing was taken, try again."""


class Journal:
    """Appends and reads records by topic and offset. One instance serves one thread.

    `clock` gives microseconds since 1970; SQLite's own if None.
    """

    def __init__(
        self,
        folder: Path,
        topics: Sequence[str],
        *,
        segment_seconds: int = 3600,
        segment_bytes: int = SEGMENT_BYTES,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._folder = Folder(folder, topics)
        self._topics = tuple(topics)
        self._span, self._bytes, self._clock = segment_seconds * 1_000_000, segment_bytes, clock
        self._sizes: dict[Path, int] = {}
        self._arrival = _arrivals[self._folder.path]
        self._mended(self._folder.settle)

    # writing

    def append(
        self, rows: Mapping[str, Sequence[tuple[str, bytes]]], positions: Mapping[str, str] | None = None
    ) -> dict[str, int]:
        """Return each topic's first offset once all records, and the positions, are on the disk, or none is.

        Raises JournalError when they could not be written.
        """
        with self._folder.locked():
            first = self._mended(partial(self._write, rows, positions or {}))
        with self._arrival:
            self._arrival.notify_all()
        return first

    def _write(self, rows: Mapping[str, Sequence[tuple[str, bytes]]], positions: Mapping[str, str]) -> dict[str, int]:
        segment = self._writable()
        connection = self._folder.connection(segment)
        with files.reading(segment.path), connection:
            connection.execute("BEGIN IMMEDIATE")
            head = files.head(connection, segment.path)
            first = {topic: head.ends[topic] for topic in rows}
            head.time, head.number = max(head.time, self._now(connection)), head.number + 1
            for topic, added in rows.items():
                files.insert(connection, topic, first[topic], head.time, added)
                head.ends[topic] += len(added)
            files.put_positions(connection, head, positions)
            files.put_head(connection, head)
        return first

    def _writable(self) -> Segment:
        """Return the newest segment, a new one if its time is over or it is large. Call it under the lock.

        A newest segment from the future is over, too: its hour is not this one.
        """
        self._folder.scan()
        if not self._folder.segments:
            return self._roll()
        newest = self._folder.segments[-1]
        connection = self._folder.connection(newest)
        with files.reading(newest.path):
            this = self._now(connection) // self._span == newest.born // self._span
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
        fits = pages * files.PAGE_BYTES < self._bytes and not set(self._topics) - newest.starts.keys()
        return newest if this and fits else self._roll()

    def _roll(self) -> Segment:
        """Make the next segment whole under a temporary name, then give it its own."""
        head, known, number = Head({}, {}, 0), dict[str, str](), 1
        if self._folder.segments:
            newest = self._folder.segments[-1]
            connection = self._folder.connection(newest)
            head, known = files.head(connection, newest.path), self.positions()
            number = newest.number + 1
        ends = {topic: head.ends.get(topic, 0) for topic in self._topics}
        path = self._folder.path / f"{number:09}.db"
        fresh = path.with_suffix(".new")
        unlink(fresh)
        unlink(path)  # a write-ahead log that lost its segment must not find this one
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            files.create(connection, self._topics)
            born = self._now(connection)
            made = Head(ends, dict(ends), born, time=head.time, number=head.number + 1)
            connection.execute("BEGIN")
            files.put_positions(connection, made, known)
            files.put_head(connection, made)
            files.put_starts(connection, made)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        fresh.rename(path)
        findings.sync_folder(self._folder.path)
        if self._folder.segments:
            self._folder.connection(self._folder.segments[-1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._folder.scan()
        return self._folder.segments[-1]

    def _now(self, connection: sqlite3.Connection) -> int:
        return self._clock() if self._clock else int(connection.execute(f"SELECT {files.NOW}").fetchone()[0])

    # reading

    def read(self, topic: str, offset: int, limit: int) -> list[Row]:
        """Return at most `limit` records from `offset` on; the first may lie beyond it if older ones are gone.

        Raises JournalError.
        """
        rows = self._mended(partial(self._read, topic, offset, limit))
        return (
            rows
            if rows or not self._mended(self._folder.scan)
            else self._mended(partial(self._read, topic, offset, limit))
        )

    def _read(self, topic: str, offset: int, limit: int) -> list[Row]:
        """Read from the segments known now. All but the newest are final, so a missed one costs a second look."""
        rows: list[Row] = []
        for segment, following in zip_longest(self._folder.segments, self._folder.segments[1:]):
            if following is not None and following.start(topic) <= offset:
                continue
            connection = self._folder.connection(segment)
            stop = files.head(connection, segment.path).ends.get(topic, 0) if not following else following.start(topic)
            offset = max(offset, segment.start(topic))
            if offset >= stop:
                continue
            found = files.select(connection, segment.path, topic, offset, limit - len(rows))
            self._check_unbroken(segment, topic, range(offset, stop), found, limit - len(rows))
            rows += found
            if len(rows) >= limit:
                break
            offset = max(stop, found[-1].offset + 1 if found else 0)
        return rows

    def _check_unbroken(self, segment: Segment, topic: str, wanted: range, found: Sequence[Row], limit: int) -> None:
        """Raise Damaged where records are missing that nobody wrote down as gone."""
        if (
            found
            and found[-1].offset == wanted.start + len(found) - 1
            and (len(found) == limit or found[-1].offset + 1 >= wanted.stop)
        ):
            return
        gone = files.gone(self._folder.connection(segment), segment.path, topic)
        expected = wanted.start
        stops = [*(row.offset for row in found), *([wanted.stop] if len(found) < limit else [])]
        for offset in stops:
            if offset > expected and not any(one.start <= expected and offset <= one.stop for one in gone):
                raise Damaged(segment.path, f"records {expected} to {offset - 1} of {topic} are not there")
            expected = max(expected, offset + 1)

    def wait(self, seconds: float) -> None:
        """Return when something may have been appended, after `seconds` at the latest."""
        with self._arrival:
            self._arrival.wait(min(seconds, LOOK_SECONDS))

    def begin(self, topic: str) -> int:
        """Return the offset of the oldest record still kept (the end, if there is none)."""
        self._mended(self._folder.scan)
        return self._folder.segments[0].start(topic) if self._folder.segments else 0

    def end(self, topic: str) -> int:
        """Return the offset that the next record will get."""
        self._mended(self._folder.scan)
        return self._mended(self._newest_head).ends.get(topic, 0)

    def positions(self) -> dict[str, str]:
        """Return every position that was ever appended, each as last written."""
        self._mended(self._folder.scan)
        return self._mended(self._positions)

    def _newest_head(self) -> Head:
        if not self._folder.segments:
            return Head({}, {}, 0)
        return files.head(self._folder.connection(self._folder.segments[-1]), self._folder.segments[-1].path)

    def _positions(self) -> dict[str, str]:
        if not self._folder.segments:
            return {}
        newest = self._folder.segments[-1]
        return {entry.name: entry.value for entry in files.positions(self._folder.connection(newest), newest.path)}

    # keeping

    def drop(self, read_up_to: Mapping[str, int], *, older_than: datetime | None) -> int:
        """Unlink whole segments, oldest first, that all readers are past and whose time is over; return how many.

        `read_up_to`: topic -> the offset that the slowest reader will read next; a topic that is not named holds
        every segment that has its records. `older_than` None drops whatever has been read. The newest stays.
        """
        dropped = 0
        with self._folder.locked():
            self._mended(self._folder.scan)
            while len(self._folder.segments) > 1 and self._droppable(read_up_to, older_than):
                oldest = self._folder.segments.pop(0)
                self._folder.close(oldest.path)
                unlink(oldest.path)
                dropped += 1
        return dropped

    def _droppable(self, read_up_to: Mapping[str, int], older_than: datetime | None) -> bool:
        if self._unread(self._folder.segments[0], self._folder.segments[1], read_up_to):
            return False
        # Over when the earliest of those after it was begun: a clock that once ran ahead holds nothing back.
        ended = min(following.born for following in self._folder.segments[1:])
        return older_than is None or moment(ended) < older_than

    def _unread(self, segment: Segment, following: Segment, read_up_to: Mapping[str, int]) -> bool:
        ends = {topic: following.start(topic) for topic in self._topics}
        return any(end > segment.start(topic) and read_up_to.get(topic, 0) < end for topic, end in ends.items())

    def size_bytes(self, read_up_to: Mapping[str, int] | None = None) -> int:
        """Return what the segments take on the disk; only those that somebody has still to read, if it is said
        how far all topics have been read."""
        self._mended(self._folder.scan)
        segments, first = self._folder.segments, 0
        while read_up_to is not None and first + 1 < len(segments):
            if self._unread(segments[first], segments[first + 1], read_up_to):
                break
            first += 1
        if read_up_to is not None and first + 1 == len(segments):
            ends = self._mended(self._newest_head).ends
            if all(read_up_to.get(topic, 0) >= end for topic, end in ends.items()):
                return 0
        return sum(self._size(segment) for segment in segments[first:])

    def _size(self, segment: Segment) -> int:
        """Return one segment's size; only the newest one's may change."""
        if segment is self._folder.segments[-1] or segment.path not in self._sizes:
            size = 0
            for path in (segment.path, Path(f"{segment.path}-wal")):
                with suppress(OSError):
                    size += path.stat().st_size
            if segment is self._folder.segments[-1]:
                return size
            self._sizes[segment.path] = size
        return self._sizes[segment.path]

    def locked(self) -> AbstractContextManager[None]:
        """Keep all other writers out of the folder until the block ends."""
        return self._folder.locked()

    def findings(self) -> list[Loss]:
        """Return what was found to be gone, by whomever, and is not yet recorded."""
        return findings.noted(self._folder.path)

    def note(self, losses: Sequence[Loss]) -> None:
        """Add to the findings. Raises JournalError."""
        try:
            findings.note(self._folder.path, losses)
        except OSError as error:
            raise JournalError(advice(self._folder.path, error)) from error

    def recorded(self, losses: Sequence[Loss]) -> None:
        """Forget findings: they have been recorded."""
        findings.forget(self._folder.path, losses)

    def close(self) -> None:
        self._folder.shut()

    def _mended(self, work: Callable[[], T]) -> T:
        """Do the work; where it meets damage, mend that first and do it again. Raises JournalError."""
        try:
            return self._folder.mended(work)
        except (sqlite3.Error, OSError, Damaged) as error:
            self._folder.forget()
            raise JournalError(advice(self._folder.path, error)) from error
