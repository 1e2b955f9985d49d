"""The embedded stream: the journal's segment files with every topic in them, one partition each.

`audit.state` is compacted: it lives in `offsets.db`, one row a key, beside what each group has read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

from collectors.journal import LOOK_SECONDS, Journal, JournalError
from pipeline.streams import STATE, TOPICS, Batch, Message, Stored, StreamUnavailable

_LOGGED = tuple(topic for topic in TOPICS if topic != STATE)
_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS offsets (topic TEXT, reader TEXT, next INTEGER, PRIMARY KEY (topic, reader)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (offset INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER, key TEXT UNIQUE, value BLOB);
"""


class SqliteStream:
    """A Stream in files below one folder. Whoever opens it owns its partitions: a role's lock keeps others out."""

    def __init__(self, folder: Path, *, segment_seconds: int = 3600, limit_bytes: int | None = None) -> None:
        self.journal = Journal(folder, _LOGGED, segment_seconds=segment_seconds)
        self._limit = limit_bytes
        self._offsets = sqlite3.connect(folder / "offsets.db", timeout=30, isolation_level=None)
        self._offsets.execute("PRAGMA journal_mode = WAL")
        self._offsets.execute("PRAGMA synchronous = FULL")
        self._offsets.executescript(_SCHEMA)
        self._next: dict[tuple[str, str], int] = {}

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if topic == STATE:
            self._put_state(messages)
            return
        try:
            self.journal.append(topic, [(message.key, message.value) for message in messages])
        except JournalError as error:
            raise StreamUnavailable(str(error)) from error

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        gained: frozenset[int] = frozenset()
        place = (topic, group)
        if place not in self._next:
            committed = self.committed(topic, group)
            begin = 0 if topic == STATE else self.journal.begin(topic)
            self._next[place] = committed.get(0, begin)
            gained = frozenset({0})
        found = self._from(topic, self._next[place], limit)
        looks = 0 if found or gained else ceil(wait / LOOK_SECONDS)
        while looks and not found:
            self.journal.wait(min(wait, LOOK_SECONDS))
            found = self._from(topic, self._next[place], limit)
            looks -= 1
        missing: dict[int, int] = {}
        if topic != STATE:  # a compacted topic has gaps by nature
            first = found[0].offset if found else self.journal.begin(topic)
            if first > self._next[place]:
                missing[0] = first - self._next[place]
                self._next[place] = first
        if found:
            self._next[place] = found[-1].offset + 1
        return Batch(found, gained=gained, missing=missing)

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        with _mapped():
            self._offsets.executemany(
                "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)",
                [(topic, group, offset) for offset in offsets.values()],
            )

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        for offset in offsets.values():
            self._next[topic, group] = offset

    def ends(self, topic: str) -> Mapping[int, int]:
        if topic == STATE:
            (last,) = self._offsets.execute("SELECT max(offset) FROM state").fetchone()
            return {0: 0 if last is None else last + 1}
        return {0: self.journal.end(topic)}

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        row = self._offsets.execute(
            "SELECT next FROM offsets WHERE topic = ? AND reader = ?", (topic, group)
        ).fetchone()
        return {} if row is None else {0: row[0]}

    def trim(self, keep_from: datetime) -> int:
        """Unlink segments that every group has read and that ended before `keep_from`, or, over the size limit,
        whatever every group has read; return how many went. What was not read is never dropped."""
        read = dict(self._offsets.execute("SELECT topic, min(next) FROM offsets GROUP BY topic").fetchall())
        # Topics that are kept for people, not read by a group, go by age alone.
        unread = {topic: self.journal.end(topic) for topic in _LOGGED if topic not in read}
        dropped = self.journal.drop(read | unread, older_than=keep_from)
        if self._limit is not None and self.journal.size_bytes() > self._limit:
            dropped += self.journal.drop(read | unread, older_than=None)
        return dropped

    def close(self) -> None:
        self.journal.close()
        self._offsets.close()

    def _from(self, topic: str, offset: int, limit: int) -> list[Stored]:
        if topic != STATE:
            rows = self.journal.read(topic, offset, limit)
            return [Stored(topic, 0, row.offset, row.time, row.key, row.value) for row in rows]
        found = self._offsets.execute(
            "SELECT offset, time, key, value FROM state WHERE offset >= ? ORDER BY offset LIMIT ?", (offset, limit)
        )
        return [Stored(topic, 0, o, datetime.fromtimestamp(t / 1e6, UTC), key, value) for o, t, key, value in found]

    def _put_state(self, messages: Sequence[Message]) -> None:
        with _mapped(), self._offsets:
            self._offsets.execute("BEGIN IMMEDIATE")
            self._offsets.executemany(
                f"INSERT OR REPLACE INTO state (time, key, value) VALUES ({_NOW}, ?, ?)",
                [(message.key, message.value) for message in messages],
            )


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StreamUnavailable(f"offsets.db: {error}") from error
