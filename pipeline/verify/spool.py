"""Rows sorted by chain and number, in bounded memory: runs go to a temporary file and are merged there."""

from __future__ import annotations

import heapq
import struct
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import IO, Final

SOUND, UNCHECKED, REPEAT, LETTER, ALTERED = range(5)
# sound, but kept elsewhere: REPEAT beside the same event under another number, LETTER in the dead letters
_ROW: Final = struct.Struct(">IQB16s16sIB")
_RUN: Final = 400_000  # rows in memory


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its chain, its number, what its seal is worth, the seal, the event's id, and where it is kept."""

    chain: int
    number: int
    worth: int
    mac: bytes
    id: bytes
    day: int = 0  # of the event, as a proleptic ordinal: retention drops whole days
    old: bool = False  # it stood in a log before the log was first read


class Spool:
    """Takes rows in any order, then gives those of one chain by number. Close it: it holds a temporary file."""

    def __init__(self, run: int = _RUN) -> None:
        self._run = run
        self._rows: list[bytes] = []
        self._files: list[IO[bytes]] = []
        self._sorted: Sequence[bytes] = ()

    def add(self, row: Row) -> None:
        self._rows.append(_ROW.pack(row.chain, row.number, row.worth, row.mac, row.id, row.day, row.old))
        if len(self._rows) >= self._run:
            self._rows.sort()
            self._files.append(_written(iter(self._rows)))
            self._rows = []

    def sort(self) -> None:
        """Call it once, when every row is there."""
        self._rows.sort()
        self._sorted = self._rows
        if self._files:
            merged = _written(heapq.merge(self._rows, *map(_read, self._files)))
            for file in self._files:
                file.close()
            self._files = [merged]
            self._sorted = _Mapped(merged)
            self._rows = []

    def of(self, chain: int) -> Iterator[Row]:
        """Yield the chain's rows by number."""
        at = bisect_left(self._sorted, struct.pack(">I", chain))
        while at < len(self._sorted):
            number_of, number, worth, mac, name, day, old = _ROW.unpack(self._sorted[at])
            if number_of != chain:
                return
            yield Row(chain, number, worth, mac, name, day, bool(old))
            at += 1

    def close(self) -> None:
        for file in self._files:
            file.close()


class _Mapped(Sequence[bytes]):
    """A file of rows, as a sequence."""

    def __init__(self, file: IO[bytes]) -> None:
        self._data = mmap(file.fileno(), 0, access=ACCESS_READ)

    def __len__(self) -> int:
        return len(self._data) // _ROW.size

    def __getitem__(self, at: object) -> bytes:  # type: ignore[override]
        assert isinstance(at, int)
        return self._data[at * _ROW.size : (at + 1) * _ROW.size]


def _written(rows: Iterator[bytes]) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
    for row in rows:
        file.write(row)
    file.flush()
    return file


def _read(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while row := file.read(_ROW.size):
        yield row
