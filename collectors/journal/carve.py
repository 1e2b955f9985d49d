"""What can still be had of a damaged SQLite file: rows, read off its pages one by one, without SQLite. Pure.

The layout is that of sqlite.org/fileformat2.html: leaf pages hold cells, a cell holds a record, long records go on
in overflow pages; the write-ahead log holds newer pages. Nothing that is read here is believed: rows prove
themselves by their checksum, so this may be as blind as it likes to what the pages were once linked into.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PAGE = 4096
LONGEST = 64 * 2**20  # bytes of one record; what claims more is damage
_FRAME = PAGE + 24
_WAL_HEADER = 32
_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR = 13, 10, 2
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type -> bytes
Cell = int | bytes | None
Buffer = memoryview


@dataclass(frozen=True, slots=True)
class Found:
    """One record of some table: the row id where the table has one, and the columns."""

    rowid: int | None
    columns: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """A write-ahead log up to the end of its last transaction."""

    frames: list[tuple[int, Buffer, bool]]  # page number, page, whether a transaction ends with it
    torn_bytes: int = 0  # of a transaction that has an end, which does not check: half written, or altered since


def log(wal: Buffer) -> Log:
    """Return the frames of finished transactions in order. Frames of an older round have another salt.

    Only those of the last transaction are checked, which a power cut may have torn: rows have sums of their own.
    """
    whole = range(_WAL_HEADER, len(wal) - _FRAME + 1, _FRAME)
    if not whole:
        return Log([])
    salts = {bytes(wal[16:24]), bytes(wal[_WAL_HEADER + 8 : _WAL_HEADER + 16])}  # the header may be what is damaged
    ours = [at for at in whole if bytes(wal[at + 8 : at + 16]) in salts]
    ends = [n for n, at in enumerate(ours) if _number(wal[at + 4 : at + 8])]
    ours, torn = ours[: ends[-1] + 1] if ends else [], 0
    before = ends[-2] + 1 if len(ends) > 1 else 0
    if not all(_checks(wal, at) for at in ours[before:]):  # those before it were on the disk before it was begun
        ours, torn = ours[:before], (len(ours) - before) * _FRAME
    pages = [(_number(wal[at : at + 4]), wal[at + 24 : at + _FRAME], _number(wal[at + 4 : at + 8]) > 0) for at in ours]
    return Log(pages, torn)


def _checks(wal: Buffer, at: int) -> bool:
    """Say whether a frame's checksum is right, going on from what the frame before it states (section 4.2)."""
    before = wal[24:32] if at == _WAL_HEADER else wal[at - _FRAME + 16 : at - _FRAME + 24]
    one, two = struct.unpack(">II", before)
    order = "<" if _number(wal[:4]) & 1 == 0 else ">"
    words = struct.unpack(f"{order}{(8 + PAGE) // 4}I", bytes(wal[at : at + 8]) + bytes(wal[at + 24 : at + _FRAME]))
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return (one, two) == struct.unpack(">II", wal[at + 16 : at + 24])


class Carver:
    """Reads every record that a damaged file and its write-ahead log still hold, newest pages first."""

    def __init__(self, file: Buffer, wal: Buffer) -> None:
        self._file = file
        self.log = log(wal)
        self._frames = self.log.frames
        self._newest: Mapping[int, Buffer] = {number: page for number, page, _ in self._frames}

    def records(self) -> Iterator[Found]:
        """Yield what the pages hold; the same row may come several times."""
        for _, found in self.last_frames():
            yield found
        for number in range(1, len(self._file) // PAGE + 1):
            yield from self._page(number, self._of_file(number))

    def last_frames(self) -> Iterator[tuple[int, Found]]:
        """Yield what the write-ahead log holds, newest first, and how many transactions came after it."""
        later = -1
        for number, page, ends in reversed(self._frames):
            later += ends
            for found in self._page(number, page):
                yield later, found

    def _of_file(self, number: int) -> Buffer:
        return self._file[(number - 1) * PAGE : number * PAGE]

    def _page(self, number: int, page: Buffer) -> Iterator[Found]:
        at = 100 if number == 1 else 0
        kind = page[at]
        if kind not in (_TABLE_LEAF, _INDEX_LEAF, _INDEX_INTERIOR):
            return
        pointers = at + (12 if kind == _INDEX_INTERIOR else 8)
        count = min(_number(page[at + 3 : at + 5]), (PAGE - pointers) // 2)
        for place in range(pointers, pointers + 2 * count, 2):
            try:
                yield self._cell(page, _number(page[place : place + 2]), kind)
            except (IndexError, ValueError):  # whatever stands there is no cell
                continue

    def _cell(self, page: Buffer, at: int, kind: int) -> Found:
        if kind == _INDEX_INTERIOR:
            at += 4
        length, at = _varint(page, at)
        rowid = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
        if not 0 < length <= LONGEST:
            raise ValueError(length)
        return Found(rowid, _columns(self._payload(page, at, length, kind)))

    def _payload(self, page: Buffer, at: int, length: int, kind: int) -> Buffer:
        most = PAGE - 35 if kind == _TABLE_LEAF else (PAGE - 12) * 64 // 255 - 23
        if length <= most:
            return page[at : at + length]
        least = (PAGE - 12) * 32 // 255 - 23
        local = least + (length - least) % (PAGE - 4)
        local = local if local <= most else least
        parts = [bytes(page[at : at + local])]
        missing, following = length - local, _number(page[at + local : at + local + 4])
        while missing > 0:
            further = self._newest.get(following) or self._of_file(following)
            if following < 1 or len(further) < PAGE:
                raise ValueError(following)
            parts.append(bytes(further[4 : 4 + min(missing, PAGE - 4)]))
            missing, following = missing - (PAGE - 4), _number(further[:4])
        return memoryview(b"".join(parts))


def _columns(record: Buffer) -> tuple[Cell, ...]:
    """Decode one record: its header states each column's type, the body follows."""
    body, at = _varint(record, 0)
    if body > len(record):
        raise ValueError(body)
    columns: list[Cell] = []
    end = body
    while at < body:
        kind, at = _varint(record, at)
        size = (kind - 12) // 2 if kind >= 12 else _INTEGERS.get(kind, 0)
        part = bytes(record[end : end + size])
        if len(part) < size or kind in (7, 10, 11):
            raise ValueError(kind)
        end += size
        if kind >= 12:
            columns.append(part)
        else:
            columns.append(None if kind == 0 else kind - 8 if kind >= 8 else int.from_bytes(part, "big", signed=True))
    return tuple(columns)


def _varint(data: Buffer, at: int) -> tuple[int, int]:
    value = 0
    for n in range(8):
        byte = data[at + n]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    return value << 8 | data[at + 8], at + 9


def _number(data: Buffer) -> int:
    return int.from_bytes(data, "big")
