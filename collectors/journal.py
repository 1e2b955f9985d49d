"""The journal: segment files in SQLite, append-only, where what was read becomes durable (law 2).

A folder holds numbered segments, one for each hour. A segment has one table for each topic (its row id is the
offset, which goes on from segment to segment) and the table `positions`: how far each source has been read,
written in the same transaction as the records that were read. A new segment starts with a copy of the
positions, so the newest one always knows them all, and older ones can be unlinked whole.

The embedded stream is the same files with more topics; there the journal is the stream's segment.

Any number of threads and processes may write: a file lock orders them, and a commit is synced to the disk
before `append` returns. A process that dies at any instruction leaves whole transactions, or a half-made
segment under a temporary name, which the next writer replaces.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"  # microseconds: the store's own clock
LOOK_SECONDS = 0.1  # between looks for what another process appended
_arrivals: defaultdict[Path, threading.Condition] = defaultdict(threading.Condition)  # wakes readers of this process


class JournalError(Exception):
    """The journal could not be written (disk full, no right to write); nothing was taken, try again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `time` is when it was appended, by the journal's clock, never earlier than the one before."""

    offset: int
    time: datetime
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Segment:
    number: int
    path: Path
    starts: Mapping[str, int]  # topic -> the offset of its first record here


class Journal:
    """Appends and reads records by topic and offset. One instance serves one thread."""

    def __init__(self, folder: Path, topics: Sequence[str], *, segment_seconds: int = 3600) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._topics = tuple(topics)
        self._span = segment_seconds
        self._lock_file = (self._folder / "lock").open("ab")
        self._segments: list[_Segment] = []
        self._open: dict[Path, sqlite3.Connection] = {}
        self._arrival = _arrivals[self._folder]
        self._scan()

    # writing

    def append(self, topic: str, rows: Sequence[tuple[str, bytes]], positions: Mapping[str, str] | None = None) -> int:
        """Return the first record's offset once all of them, and the positions, are on the disk, or none is.

        Raises JournalError when they could not be written.
        """
        try:
            with self._locked():
                first = self._write(topic, rows, positions or {})
        except (sqlite3.Error, OSError) as error:
            self._forget()
            raise JournalError(f"{self._folder}: {error}") from error
        with self._arrival:
            self._arrival.notify_all()
        return first

    def _write(self, topic: str, rows: Sequence[tuple[str, bytes]], positions: Mapping[str, str]) -> int:
        segment = self._writable()
        connection = self._connection(segment)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            last, newest = connection.execute(
                f'SELECT offset, time FROM "{topic}" ORDER BY offset DESC LIMIT 1'
            ).fetchone() or (segment.starts[topic] - 1, 0)
            first = last + 1
            time = max(newest, connection.execute(f"SELECT {_NOW}").fetchone()[0])
            connection.executemany(
                f'INSERT INTO "{topic}" VALUES (?, ?, ?, ?)',
                ((first + n, time, key, value) for n, (key, value) in enumerate(rows)),
            )
            connection.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?)", positions.items())
        return first

    def _writable(self) -> _Segment:
        """Return the newest segment, a new one if its time is over. Call it under the lock."""
        self._scan()
        if self._segments:
            newest = self._segments[-1]
            now, born = (
                self._connection(newest).execute(f"SELECT {_NOW}, value FROM meta WHERE name = 'born'").fetchone()
            )
            if now // 1_000_000 // self._span <= int(born) // 1_000_000 // self._span:
                return newest
        return self._roll()

    def _roll(self) -> _Segment:
        """Make the next segment whole under a temporary name, then give it its own."""
        number = self._segments[-1].number + 1 if self._segments else 1
        starts, positions = {topic: self.end(topic) for topic in self._topics}, self.positions()
        path = self._folder / f"{number:09}.db"
        fresh = path.with_suffix(".new")
        for leftover in (fresh, Path(f"{fresh}-wal"), Path(f"{fresh}-shm"), Path(f"{fresh}-journal")):
            leftover.unlink(missing_ok=True)
        with closing(sqlite3.connect(fresh)) as connection, connection:
            connection.execute("PRAGMA synchronous = FULL")
            _create(connection, self._topics, starts, positions)
        fresh.rename(path)
        if self._segments:
            self._connection(self._segments[-1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._scan()
        return self._segments[-1]

    # reading

    def read(self, topic: str, offset: int, limit: int) -> list[Row]:
        """Return at most `limit` records from `offset` on; the first may lie beyond it if older ones are gone."""
        rows = self._read(topic, offset, limit)
        return rows if rows or not self._scan() else self._read(topic, offset, limit)

    def _read(self, topic: str, offset: int, limit: int) -> list[Row]:
        """Read from the segments known now. All but the newest are final, so a missed one costs a second look."""
        rows: list[Row] = []
        for segment, following in zip_longest(self._segments, self._segments[1:]):
            if following is not None and following.starts[topic] <= offset:
                continue
            found = self._connection(segment).execute(
                f'SELECT offset, time, key, value FROM "{topic}" WHERE offset >= ? ORDER BY offset LIMIT ?',
                (offset, limit - len(rows)),
            )
            rows += [Row(o, _moment(t), key, value) for o, t, key, value in found]
            if len(rows) >= limit:
                break
            offset = rows[-1].offset + 1 if rows else offset
        return rows

    def wait(self, seconds: float) -> None:
        """Return when something may have been appended, after `seconds` at the latest."""
        with self._arrival:
            self._arrival.wait(min(seconds, LOOK_SECONDS))

    def begin(self, topic: str) -> int:
        """Return the offset of the oldest record still kept (the end, if there is none)."""
        self._scan()
        return self._segments[0].starts[topic] if self._segments else 0

    def end(self, topic: str) -> int:
        """Return the offset that the next record will get."""
        self._scan()
        if not self._segments:
            return 0
        newest = self._segments[-1]
        (last,) = self._connection(newest).execute(f'SELECT max(offset) FROM "{topic}"').fetchone()
        return newest.starts[topic] if last is None else int(last) + 1

    def positions(self) -> dict[str, str]:
        """Return every position that was ever appended, each as last written."""
        self._scan()
        if not self._segments:
            return {}
        return dict(self._connection(self._segments[-1]).execute("SELECT name, value FROM positions").fetchall())

    # keeping

    def drop(self, read_up_to: Mapping[str, int], *, older_than: datetime | None) -> int:
        """Unlink whole segments, oldest first, that all readers are past and whose time is over; return how many.

        `read_up_to`: topic -> the offset that the slowest reader will read next; a topic that is not named holds
        every segment that has its records. `older_than` None drops whatever has been read. The newest stays.
        """
        dropped = 0
        with self._locked():
            self._scan()
            while len(self._segments) > 1 and self._droppable(read_up_to, older_than):
                oldest = self._segments.pop(0)
                self._close(oldest.path)
                for path in (oldest.path, Path(f"{oldest.path}-wal"), Path(f"{oldest.path}-shm")):
                    path.unlink(missing_ok=True)
                dropped += 1
        return dropped

    def _droppable(self, read_up_to: Mapping[str, int], older_than: datetime | None) -> bool:
        oldest, following = self._segments[0], self._segments[1]
        for topic in self._topics:
            ends = following.starts[topic]
            if ends > oldest.starts[topic] and read_up_to.get(topic, 0) < ends:
                return False
        ended = self._connection(following).execute("SELECT value FROM meta WHERE name = 'born'").fetchone()[0]
        return older_than is None or _moment(int(ended)) < older_than

    def size_bytes(self) -> int:
        """Return what the segments take on the disk."""
        return sum(path.stat().st_size for path in self._folder.glob("*.db*") if path.exists())

    def close(self) -> None:
        for path in list(self._open):
            self._close(path)
        self._lock_file.close()

    # plumbing

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _scan(self) -> bool:
        """Look for segments made or unlinked by others; return whether anything changed."""
        paths = sorted(path for path in self._folder.iterdir() if path.suffix == ".db" and path.stem.isdigit())
        if paths == [segment.path for segment in self._segments]:
            return False
        known = {segment.path: segment for segment in self._segments}
        self._segments = [known.get(path) or self._describe(path) for path in paths]
        for path in set(self._open) - set(paths):
            self._close(path)
        return True

    def _describe(self, path: Path) -> _Segment:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name, value FROM meta WHERE name LIKE 'start:%'").fetchall()
        return _Segment(int(path.stem), path, {name.removeprefix("start:"): int(value) for name, value in rows})

    def _connection(self, segment: _Segment) -> sqlite3.Connection:
        if segment.path not in self._open:
            if len(self._open) >= 4:  # the newest, and where slow readers stand
                self._close(next(iter(self._open)))
            connection = sqlite3.connect(segment.path, timeout=30, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._open[segment.path] = connection
        return self._open[segment.path]

    def _close(self, path: Path) -> None:
        connection = self._open.pop(path, None)
        if connection is not None:
            connection.close()

    def _forget(self) -> None:
        """Drop every connection: after an error none of them is to be trusted."""
        for path in list(self._open):
            self._close(path)


def _create(
    connection: sqlite3.Connection, topics: Sequence[str], starts: Mapping[str, int], positions: Mapping[str, str]
) -> None:
    for topic in topics:
        connection.execute(f'CREATE TABLE "{topic}" (offset INTEGER PRIMARY KEY, time INTEGER, key TEXT, value BLOB)')
    connection.execute("CREATE TABLE positions (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    connection.executemany("INSERT INTO meta VALUES (?, ?)", [(f"start:{t}", str(s)) for t, s in starts.items()])
    connection.execute(f"INSERT INTO meta VALUES ('born', {_NOW})")
    connection.executemany("INSERT INTO positions VALUES (?, ?)", positions.items())


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
