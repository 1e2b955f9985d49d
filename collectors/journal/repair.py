"""A damaged segment becomes a sound one: every good record under its offset, the file set aside, the rest counted.

The order makes it safe to die anywhere: the sound segment is made whole under a temporary name, then the loss is
noted, then the segment gets its name (which outranks that of the damaged one), then the damaged file is moved.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collectors.journal import segment as files
from collectors.journal.carve import Carver, Found
from collectors.journal.findings import note, set_aside, sync_folder
from collectors.journal.segment import GONE, HEAD, POSITION, START, Entry, Head
from collectors.sources import Loss

_NAME = re.compile(r"(\d{9})(?:r(\d+))?\.db")
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What the segments before and after know of the one between them."""

    before: Head | None = None
    positions: Sequence[Entry] = ()  # as the one before left them
    after: Mapping[str, int] | None = None  # where the next one starts; None: the damaged one is the newest


@dataclass(slots=True)
class _Carved:
    """The entries found so far: of each the latest."""

    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        known = self.entries.get((entry.kind, entry.name))
        if known is None or entry.number > known.number:
            self.entries[entry.kind, entry.name] = entry

    def of(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.kind == kind]

    def head(self) -> Head | None:
        entry = self.entries.get((HEAD, ""))
        return None if entry is None else msgspec.json.decode(entry.value, type=Head)


def order(name: str) -> tuple[int, int] | None:
    """Return (number, how often repaired) from a segment's file name, None for other files."""
    found = _NAME.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2] or 0))


def replace(path: Path, topics: Sequence[str], neighbours: Neighbours, wal: bytes | None) -> None:
    """Put a sound segment in the damaged one's place. Call it under the lock. Raises sqlite3.Error, OSError.

    `wal`: the write-ahead log as it was before SQLite opened it; None: as it is.
    """
    number, repaired = order(path.name) or (0, 0)
    sound = path.with_name(f"{number:09}r{repaired + 1}.db")
    fresh = sound.with_suffix(".new")
    unlink(fresh)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        files.create(connection, topics)
        connection.execute("BEGIN")
        losses = _fill(connection, path, _carver(path, wal), topics, neighbours)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    note(path.parent, losses)
    fresh.rename(sound)
    sync_folder(path.parent)
    if wal is not None:
        Path(f"{path}-wal").write_bytes(wal)
    retire(path)


def retire(path: Path) -> None:
    """Set a segment's files aside, its own last: as long as it is there, so is the work to be done."""
    for part in (Path(f"{path}-wal"), path):
        if part.exists():
            set_aside(part)
    Path(f"{path}-shm").unlink(missing_ok=True)
    sync_folder(path.parent)


def unlink(path: Path) -> None:
    """Remove a database and what SQLite keeps beside it."""
    for part in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal"))):
        part.unlink(missing_ok=True)


def read_log(path: Path) -> bytes:
    """Return what a segment's write-ahead log holds. SQLite may rewrite it as soon as the segment is opened."""
    try:
        return Path(f"{path}-wal").read_bytes()
    except FileNotFoundError:
        return b""


def claimed(wal: bytes) -> tuple[int, int]:
    """Return the number of the last transaction that a write-ahead log says was finished, whatever SQLite takes of
    it, and the bytes of one behind it that is torn."""
    carver = Carver(memoryview(b""), memoryview(wal))
    number, later = _last_head(carver)
    return number + later, carver.log.torn_bytes


def _last_head(carver: Carver) -> tuple[int, int]:
    """Return the number of the last transaction in the log whose head can be read, and how many came after it."""
    for later, found in carver.last_frames():
        entry = _entry(found)
        if entry is not None and entry.kind == HEAD:
            return entry.number, later
    return 0, 0


def torn(path: Path, size_bytes: int, number: int) -> Loss:
    """Return the finding: a transaction that was half written, or altered since, is cut."""
    reason = (
        f"{path}: its last transaction is torn and was cut; if that was no crash in the middle of a write, "
        "records may be gone: look at the disk's health"
    )
    return Loss(f"journal:torn:{path.name}:{number}".encode(), reason, size_bytes=size_bytes)


def _fill(
    connection: sqlite3.Connection, path: Path, carver: Carver, topics: Sequence[str], neighbours: Neighbours
) -> list[Loss]:
    """Fill a fresh segment from a damaged one; return what is lost."""
    carved = _carve(connection, carver, topics)
    stated = carved.head()
    new = Head({}, {}, born=_born(connection, stated, neighbours))
    number, later = _last_head(carver)
    new.time = (stated or neighbours.before or new).time
    new.number = max((stated or neighbours.before or new).number, number + later) + 1
    losses: list[Loss] = []
    known = {entry.name: range(int(entry.name.rpartition(":")[2]), int(entry.value)) for entry in carved.of(GONE)}
    for topic in topics:
        kept = _kept(connection, topic, carved, neighbours)
        new.starts[topic], new.ends[topic] = kept.start, kept.stop
        for lost in _holes(connection, topic, kept):
            files.put_gone(connection, topic, lost, new.number)
            if lost not in known.values():
                losses.append(_loss(path, topic, lost))
    losses += _positions(connection, new, carved, stated, path if neighbours.after is None else None, neighbours)
    if (stated is None or later) and neighbours.after is None:
        losses.append(_unknown_end(path, new.number))
    if carver.log.torn_bytes:
        losses.append(torn(path, carver.log.torn_bytes, new.number))
    files.put_head(connection, new)
    files.put_starts(connection, new)
    return losses


def _carve(connection: sqlite3.Connection, carver: Carver, topics: Sequence[str]) -> _Carved:
    """Copy every record that proves itself, and return the entries that do."""
    carved, found = _Carved(), {topic: list[tuple[int, int, int, bytes, bytes]]() for topic in topics}
    names = [(topic, topic.encode()) for topic in topics]
    for record in carver.records():
        entry = _entry(record)
        if entry is not None:
            carved.add(entry)
            continue
        for topic, name in names:
            row = _row(record, name)
            if row is not None:
                found[topic].append(row)
                if len(found[topic]) >= _CHUNK:
                    files.insert_found(connection, topic, found[topic])
                    found[topic].clear()
                break
    for topic in topics:
        files.insert_found(connection, topic, found[topic])
    return carved


def _row(found: Found, topic: bytes) -> tuple[int, int, int, bytes, bytes] | None:
    if found.rowid is None or len(found.columns) != 5:
        return None
    _, time, crc, key, value = found.columns
    if not (isinstance(time, int) and isinstance(key, bytes) and isinstance(value, bytes) and isinstance(crc, int)):
        return None
    good = files.row_crc(topic, found.rowid, time, key, value) == crc
    return (found.rowid, time, crc, key, value) if good else None


def _entry(found: Found) -> Entry | None:
    if found.rowid is not None or len(found.columns) != 5:
        return None
    kind, name, number, crc, value = found.columns
    if not (
        isinstance(kind, bytes) and isinstance(name, bytes) and isinstance(number, int) and isinstance(value, bytes)
    ):
        return None
    try:
        entry = Entry(kind.decode(), name.decode(), number, value.decode())
    except UnicodeDecodeError:
        return None
    return entry if entry.crc() == crc else None


def _kept(connection: sqlite3.Connection, topic: str, carved: _Carved, neighbours: Neighbours) -> range:
    """Return the offsets that the segment stands for; what the neighbours say goes before its own word."""
    first, last = connection.execute(f'SELECT min(offset), max(offset) FROM "{topic}"').fetchone()
    start, stop = (0, 0) if last is None else (first, last + 1)
    stated, written = carved.head(), carved.entries.get((START, topic))
    if neighbours.before is not None:
        start = neighbours.before.ends.get(topic, 0)
    elif stated is not None:
        start = stated.starts.get(topic, 0)
    elif written is not None:
        start = int(written.value)
    elif last is None and neighbours.after is not None:
        start = neighbours.after.get(topic, 0)
    if neighbours.after is not None:
        stop = neighbours.after.get(topic, 0)
    elif stated is not None:
        stop = max(stop, stated.ends.get(topic, 0))
    kept = range(start, max(start, stop))
    connection.execute(f'DELETE FROM "{topic}" WHERE offset < ? OR offset >= ?', (kept.start, kept.stop))
    return kept


def _holes(connection: sqlite3.Connection, topic: str, kept: range) -> list[range]:
    holes, expected = [], kept.start
    for (offset,) in connection.execute(f'SELECT offset FROM "{topic}" ORDER BY offset'):
        if offset != expected:
            holes.append(range(expected, offset))
        expected = offset + 1
    return [*holes, range(expected, kept.stop)] if expected < kept.stop else holes


def _positions(
    connection: sqlite3.Connection,
    new: Head,
    carved: _Carved,
    stated: Head | None,
    newest: Path | None,
    neighbours: Neighbours,
) -> list[Loss]:
    """Write the positions; where some are gone, those that the segment before ended with stand in."""
    found = carved.of(POSITION)
    whole = stated is not None and (len(found), files.digest(found)) == (stated.positions, stated.digest)
    values = {entry.name: entry.value for entry in found}
    if not whole:
        values = {entry.name: entry.value for entry in neighbours.positions} | values
    files.put_positions(connection, new, values)
    if whole or newest is None:
        return []
    reason = (
        f"{newest}: positions of sources are damaged: those sources are read again from an older position, or from "
        "their beginning; what comes twice has the same id"
    )
    return [Loss(f"journal:positions:{newest.name}:{new.number}".encode(), reason)]


def _born(connection: sqlite3.Connection, stated: Head | None, neighbours: Neighbours) -> int:
    if stated is not None:
        return stated.born
    if neighbours.before is not None:
        return neighbours.before.born
    return int(connection.execute(f"SELECT {files.NOW}").fetchone()[0])


def _unknown_end(path: Path, number: int) -> Loss:
    reason = (
        f"{path}: damaged where it says how far it goes; it goes on behind the last record that can be read, and "
        "whether there were more cannot be known. Look at the disk's health"
    )
    return Loss(f"journal:end:{path.name}:{number}".encode(), reason)


def _loss(path: Path, topic: str, lost: range) -> Loss:
    reason = (
        f"{path}: damaged; {len(lost)} records of {topic} from offset {lost.start} on cannot be read and are gone. "
        "The file is kept in the folder `damaged`; look at the disk's health (kernel log, smartctl)"
    )
    return Loss(f"journal:{topic}:{lost.start}-{lost.stop}".encode(), reason, records=len(lost))


def _carver(path: Path, wal: bytes | None) -> Carver:
    return Carver(memoryview(path.read_bytes()), memoryview(read_log(path) if wal is None else wal))
