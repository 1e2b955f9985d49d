"""One segment file: tables, and a checksum in every row, so that what comes back is what went in, or is known not to.

SQLite checks its pages for shape only; a bit that flips within a value, or hides a row, is not its business. So each
record carries a CRC over topic, offset, time, key and value. Records of a topic follow each other without a gap,
from the segment's start to the end that its head states; what is known to be gone is written down. Positions are
counted and summed up in the head, which is written with each transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
from crc32c import crc32c

PAGE_BYTES = 4096
HEAD, POSITION, GONE, START = "head", "position", "gone", "start"  # kinds of entries
NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"  # microseconds: the store's own clock
# What SQLite says when the file is not what it wrote; all else (full, busy, read-only, I/O) may pass.
_DAMAGE = ("CORRUPT", "NOTADB", "FORMAT", "ERROR", "SCHEMA", "MISMATCH", "CONSTRAINT", "TOOBIG", "INTERNAL", "RANGE")
_UPSERT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)"


class Damaged(Exception):
    """This file does not hold what was written to it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `time` is when it was appended, by the journal's clock, never earlier than the one before."""

    offset: int
    time: datetime
    key: str
    value: bytes


class Head(msgspec.Struct):
    """What a segment says of itself, written anew with each transaction."""

    starts: dict[str, int]  # topic -> the offset of its first record here
    ends: dict[str, int]  # topic -> the offset that comes next
    born: int  # microseconds
    time: int = 0  # of the last record
    number: int = 0  # of the last transaction, counted through all segments
    positions: int = 0
    digest: int = 0  # over all positions

    def covers(self, topic: str) -> range:
        return range(self.starts.get(topic, 0), self.ends.get(topic, 0))


@dataclass(frozen=True, slots=True)
class Entry:
    """A named text; of two with the same kind and name the one of the later transaction holds."""

    kind: str
    name: str
    number: int
    value: str

    def crc(self) -> int:
        return crc32c(f"{self.kind}\0{self.name}\0{self.number}\0{self.value}".encode())


def row_crc(topic: bytes, offset: int, time: int, key: bytes, value: bytes) -> int:
    return crc32c(value, crc32c(b"%b\0%d\0%d\0%b\0" % (topic, offset, time, key)))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn SQLite's word for a broken file into Damaged; its other errors go on as they are."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_")
        if code.startswith(_DAMAGE) and path.exists():
            raise Damaged(path, str(error)) from error
        raise
    except (msgspec.MsgspecError, TypeError, ValueError, MemoryError) as error:  # a value of another type or size
        raise Damaged(path, f"a row cannot be read ({error})") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a segment that is there; one that is not is never made by looking. Raises Damaged."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=30, isolation_level=None)
    connection.text_factory = bytes
    try:
        with reading(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection, topics: Sequence[str]) -> None:
    """Make the tables of a fresh segment. Sums stand before what they cover: a scan of them reads no long value."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA synchronous = FULL")
    for topic in topics:
        connection.execute(
            f'CREATE TABLE "{topic}" (offset INTEGER PRIMARY KEY, time INTEGER, crc INTEGER, key TEXT, value BLOB)'
        )
    for table in ("entries", "starts"):  # where topics start is stated twice, on two pages
        connection.execute(
            f"CREATE TABLE {table} (kind TEXT, name TEXT, number INTEGER, crc INTEGER, value TEXT,"
            " PRIMARY KEY (kind, name)) WITHOUT ROWID"
        )


# records


def insert(
    connection: sqlite3.Connection, topic: str, first: int, time: int, rows: Sequence[tuple[str, bytes]]
) -> None:
    """Add records from offset `first` on. Raises sqlite3.IntegrityError where there are some already."""
    name, keys = topic.encode(), {key: key.encode("utf-8", "surrogatepass") for key, _ in rows}
    connection.executemany(
        f'INSERT INTO "{topic}" VALUES (?, ?, ?, CAST(? AS TEXT), ?)',
        [
            (offset, time, row_crc(name, offset, time, keys[key], value), keys[key], value)
            for offset, (key, value) in enumerate(rows, first)
        ],
    )


def insert_found(
    connection: sqlite3.Connection, topic: str, found: Sequence[tuple[int, int, int, bytes, bytes]]
) -> None:
    """Add records with the sums that they had; one that is there already stays."""
    connection.executemany(
        f'INSERT OR IGNORE INTO "{topic}" VALUES (?, ?, ?, CAST(? AS TEXT), ?)',
        found,
    )


def select(connection: sqlite3.Connection, path: Path, topic: str, offset: int, limit: int) -> list[Row]:
    """Return records from `offset` on, each as it was written. Raises Damaged."""
    name, rows = topic.encode(), []
    with reading(path):
        found = connection.execute(
            f'SELECT offset, time, crc, key, value FROM "{topic}" WHERE offset >= ? ORDER BY offset LIMIT ?',
            (offset, limit),
        )
        for at, time, crc, key, value in found:
            if row_crc(name, at, time, key, value) != crc:
                raise Damaged(path, f"record {at} of {topic} is not what was written")
            rows.append(Row(at, moment(time), key.decode("utf-8", "surrogatepass"), value))
    return rows


# entries


def put(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.execute(_UPSERT, (entry.kind, entry.name, entry.number, entry.crc(), entry.value))


def entries(connection: sqlite3.Connection, path: Path, kind: str) -> list[Entry]:
    """Return the entries of one kind, each as it was written. Raises Damaged."""
    with reading(path):
        found = connection.execute("SELECT name, number, crc, value FROM entries WHERE kind = ?", (kind,)).fetchall()
        read = [(Entry(kind, name.decode(), number, value.decode()), crc) for name, number, crc, value in found]
    for entry, crc in read:
        if entry.crc() != crc:
            raise Damaged(path, f"the entry {entry.kind} {entry.name} is not what was written")
    return [entry for entry, _ in read]


def head(connection: sqlite3.Connection, path: Path) -> Head:
    """Return what the segment says of itself. Raises Damaged."""
    found = entries(connection, path, HEAD)
    if not found:
        raise Damaged(path, "it does not say what it holds")
    with reading(path):
        return msgspec.json.decode(found[0].value, type=Head)


def put_starts(connection: sqlite3.Connection, stated: Head) -> None:
    """Write once where topics start, for when the head is lost."""
    entries = [Entry(START, topic, stated.number, str(start)) for topic, start in stated.starts.items()]
    connection.executemany(
        "INSERT INTO starts VALUES (?, ?, ?, ?, ?)",
        [(entry.kind, entry.name, entry.number, entry.crc(), entry.value) for entry in entries],
    )


def put_head(connection: sqlite3.Connection, stated: Head) -> None:
    put(connection, Entry(HEAD, "", stated.number, msgspec.json.encode(stated).decode()))


def put_positions(connection: sqlite3.Connection, stated: Head, positions: Mapping[str, str]) -> None:
    """Write positions under the head's transaction, and what they sum up to into the head.

    The sum goes by what is replaced, never by what is there: a row that damage hid must stay missed.
    """
    for name, value in positions.items():
        entry = Entry(POSITION, name, stated.number, value)
        old = connection.execute("SELECT crc FROM entries WHERE kind = ? AND name = ?", (POSITION, name)).fetchone()
        stated.positions += old is None
        stated.digest ^= entry.crc() ^ (0 if old is None else old[0])
        put(connection, entry)


def positions(connection: sqlite3.Connection, path: Path) -> list[Entry]:
    """Return all positions as one transaction left them. Raises Damaged where one is missing or not as written."""
    with reading(path):
        connection.execute("BEGIN")
    try:
        stated, found = head(connection, path), entries(connection, path, POSITION)
    finally:
        connection.rollback()
    if (len(found), digest(found)) != (stated.positions, stated.digest):
        raise Damaged(path, f"{stated.positions} positions were written and {len(found)} are there, or others")
    return found


def digest(found: Sequence[Entry]) -> int:
    """Return what the head keeps of the positions."""
    total = 0
    for entry in found:
        total ^= entry.crc()
    return total


def gone(connection: sqlite3.Connection, path: Path, topic: str) -> list[range]:
    """Return the offsets that are known to be lost. Raises Damaged."""
    ranges = []
    for entry in entries(connection, path, GONE):
        name, _, first = entry.name.rpartition(":")
        if name == topic:
            ranges.append(range(int(first), int(entry.value)))
    return ranges


def put_gone(connection: sqlite3.Connection, topic: str, lost: range, number: int) -> None:
    put(connection, Entry(GONE, f"{topic}:{lost.start}", number, str(lost.stop)))


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
