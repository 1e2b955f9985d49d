"""`offsets.db`: what each group has read of the embedded stream, and its compacted topic, one row a key.

Every row carries a checksum. A file that is damaged is made anew of what can still be read: a reader whose place is
lost begins at the oldest kept record, which repeats things and loses none. So it is where the file itself is gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import TypeVar

from crc32c import crc32c

from collectors.journal import repair
from collectors.journal.carve import Carver, Found
from collectors.journal.segment import NOW, Damaged, reading
from collectors.sources import Loss

_SCHEMA = """
CREATE TABLE IF NOT EXISTS offsets
    (topic TEXT, reader TEXT, next INTEGER, committed INTEGER, crc INTEGER, PRIMARY KEY (topic, reader)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state
    (offset INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER, key TEXT UNIQUE, value BLOB, crc INTEGER);
"""
_PUT = "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?, ?)"
_MENDS = 3
T = TypeVar("T")
Place = tuple[str, str, int, int]  # topic, reader, the offset it reads next, whether it said so itself
Kept = tuple[int, int, str, bytes]  # offset, time, key, value
_StateRow = tuple[int, int, bytes, bytes, int]


class Offsets:
    """One instance serves one thread. `locked` keeps others from rebuilding the file at the same time.

    `reached` says how far the journal is, 0 if nothing was appended yet: the file is there before the first record.
    """

    def __init__(
        self,
        path: Path,
        locked: Callable[[], AbstractContextManager[None]],
        note: Callable[[Sequence[Loss]], None],
        reached: Callable[[], int],
    ) -> None:
        self._path, self._locked, self._note, self._reached = path, locked, note, reached
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def places(self) -> list[Place]:
        """Return where every reader stands."""
        return self._mended(_places)

    def put(self, places: Sequence[Place]) -> None:
        """Store where readers stand."""
        rows = [(*place, _place_crc(place)) for place in places]
        self._mended(lambda connection: connection.executemany(_PUT, rows))

    def put_state(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """Store the last value of each key, in one transaction."""
        self._mended(lambda connection: _put_state(connection, pairs))

    def state(self, offset: int, limit: int) -> list[Kept]:
        """Return what was stored from `offset` on, in order."""
        return self._mended(lambda connection: _state(connection, offset, limit))

    def state_end(self) -> int:
        (last,) = self._mended(lambda connection: connection.execute("SELECT max(offset) FROM state").fetchone())
        return 0 if last is None else int(last) + 1

    def close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _mended(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work; where the file is damaged, make it anew first."""
        for _ in range(_MENDS):
            try:
                with reading(self._path):
                    return work(self._opened())
            except Damaged:
                self._rebuild()
            except sqlite3.Error:
                self.close()
                raise
        return work(self._opened())

    def _opened(self) -> sqlite3.Connection:
        """Return the connection to the file that bears the name now: another may have made it anew."""
        if not self._path.exists():
            self._remake()
        inode = self._path.stat().st_ino if self._path.exists() else 0
        if self._connection is None or inode != self._inode:
            self.close()
            self._connection = _connect(self._path)
            self._inode = self._path.stat().st_ino
        return self._connection

    def _remake(self) -> None:
        """Make a file where there is none; that there was one before is told."""
        with self._locked():
            reached = self._reached()
            if reached and not self._path.exists():  # looked at in this order: another may be the first to append
                self._note([_gone(self._path, reached)])
                repair.unlink(self._path)  # a write-ahead log that lost its file must not find this one
                _connect(self._path).close()

    def _rebuild(self) -> None:
        inode = self._inode
        self.close()
        with self._locked():
            if inode and self._path.exists() and self._path.stat().st_ino != inode:
                return  # another has done it
            file = self._path.read_bytes() if self._path.exists() else b""
            carver = Carver(memoryview(file), memoryview(repair.read_log(self._path)))
            fresh = self._path.with_suffix(".new")
            repair.unlink(fresh)
            with closing(_connect(fresh)) as connection:
                readers = _refill(connection, carver)
            self._note([_loss(self._path, file, readers)])
            repair.retire(self._path)
            fresh.rename(self._path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _places(connection: sqlite3.Connection) -> list[Place]:
    found: list[Place] = []
    for topic, reader, following, committed, crc in connection.execute("SELECT * FROM offsets"):
        place = (topic, reader, following, committed)
        if _place_crc(place) != crc:
            raise ValueError(f"the place of {reader}")
        found.append(place)
    return found


def _put_state(connection: sqlite3.Connection, pairs: Sequence[tuple[str, bytes]]) -> None:
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        (time,) = connection.execute(f"SELECT {NOW}").fetchone()
        connection.executemany(
            "INSERT OR REPLACE INTO state (time, key, value, crc) VALUES (?, ?, ?, ?)",
            [(time, key, value, _state_crc(time, key.encode(), value)) for key, value in pairs],
        )


def _state(connection: sqlite3.Connection, offset: int, limit: int) -> list[Kept]:
    found: list[Kept] = []
    asked = "SELECT offset, time, key, value, crc FROM state WHERE offset >= ? ORDER BY offset LIMIT ?"
    for at, time, key, value, crc in connection.execute(asked, (offset, limit)):
        if _state_crc(time, key.encode(), value) != crc:
            raise ValueError(f"the state {key}")
        found.append((at, time, key, value))
    return found


def _refill(connection: sqlite3.Connection, carver: Carver) -> list[str]:
    """Copy what proves itself, of each row the newest; return the readers whose places were found."""
    places: dict[tuple[str, str], Place] = {}
    state: dict[bytes, _StateRow] = {}
    for found in carver.records():
        place = _place(found)
        if place is not None and place[2] >= places.get(place[:2], place)[2]:
            places[place[:2]] = place
        row = _state_row(found)
        if row is not None and row[0] >= state.get(row[2], row)[0]:
            state[row[2]] = row
    with connection:
        connection.execute("BEGIN")
        connection.executemany(_PUT, [(*place, _place_crc(place)) for place in places.values()])
        connection.executemany("INSERT INTO state VALUES (?, ?, CAST(? AS TEXT), ?, ?)", sorted(state.values()))
    return [f"{reader} of {topic}" for topic, reader in sorted(places)]


def _place(found: Found) -> Place | None:
    if found.rowid is not None or len(found.columns) != 5:
        return None
    topic, reader, following, committed, crc = found.columns
    if not (isinstance(topic, bytes) and isinstance(reader, bytes)):
        return None
    if not (isinstance(following, int) and isinstance(committed, int)):
        return None
    place = (topic.decode("utf-8", "replace"), reader.decode("utf-8", "replace"), following, committed)
    return place if _place_crc(place) == crc else None


def _state_row(found: Found) -> _StateRow | None:
    if found.rowid is None or len(found.columns) != 5:
        return None
    _, time, key, value, crc = found.columns
    if not (isinstance(time, int) and isinstance(key, bytes) and isinstance(value, bytes) and isinstance(crc, int)):
        return None
    return (found.rowid, time, key, value, crc) if _state_crc(time, key, value) == crc else None


def _place_crc(place: Place) -> int:
    return crc32c("\0".join(map(str, place)).encode("utf-8", "replace"))


def _state_crc(time: int, key: bytes, value: bytes) -> int:
    return crc32c(value, crc32c(b"%d\0%b\0" % (time, key)))


def _loss(path: Path, file: bytes, readers: Sequence[str]) -> Loss:
    known = ", ".join(readers) or "none"
    reason = (
        f"{path}: damaged, and made anew of what could be read; places known: {known}. A reader that is not named "
        "starts at the oldest kept record; what comes twice has the same id. Look at the disk's health"
    )
    return Loss(b"offsets:%d" % crc32c(file), reason)


def _gone(path: Path, reached: int) -> Loss:
    reason = (
        f"{path}: the file is gone, and with it where every reader stood and what rules had counted. Readers begin at "
        "the oldest kept record; what comes twice has the same id. Find out who removed it"
    )
    return Loss(b"offsets:gone:%d" % reached, reason, records=0)
