"""Every document of one file of the embedded index, in the order in which they came, and whether its row fits it."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from datetime import datetime

import msgspec

from pipeline.indexes import Document, Found
from pipeline.indexes.rows import COLUMNS, File, decode, hit, microseconds
from rules.event import instant

_BEYOND = 2**62
_AT_ONCE = 1_000


def count(file: File, since: datetime | None, until: datetime | None) -> int:
    """Return how many rows there are; 0 for a file that cannot be read."""
    try:
        (found,) = file.connection.execute(
            "SELECT count(*) FROM hits WHERE time >= ? AND time < ?", _bounds(since, until)
        ).fetchone()
    except sqlite3.Error:
        return 0
    return int(found)


def scan(file: File, name: str, since: datetime | None, until: datetime | None) -> Iterator[Found]:
    """Yield the documents of one file. What cannot be read is yielded as that."""
    last = 0
    while True:
        try:
            rows = file.connection.execute(
                f"SELECT n, id, time, odd, {', '.join(COLUMNS.values())} FROM hits"
                " WHERE n > ? AND time >= ? AND time < ? ORDER BY n LIMIT ?",
                (last, *_bounds(since, until), _AT_ONCE),
            ).fetchall()
        except sqlite3.Error as error:
            yield Found(f"{name}.db", None, f"the file cannot be read: {error}")
            return
        if not rows:
            return
        for row in rows:
            yield _stored(file, row)
        last = rows[-1][0]


def _stored(file: File, row: tuple[int, object]) -> Found:
    n, place = row[0], str(row[1])
    try:
        value = file.document(n)
        fields = decode(value)
    except (sqlite3.Error, zlib.error, msgspec.MsgspecError, TypeError, IndexError, ValueError) as error:
        return Found(place, None, f"its document cannot be read: {error or type(error).__name__}")
    try:
        fits = hit(n, Document(place, "system", instant(str(fields["@timestamp"])), value), fields) == row
    except (KeyError, ValueError):
        fits = False
    return Found(place, fields, "" if fits else "its row in the index says otherwise than the document")


def _bounds(since: datetime | None, until: datetime | None) -> tuple[int, int]:
    return 0 if since is None else microseconds(since), _BEYOND if until is None else microseconds(until)
