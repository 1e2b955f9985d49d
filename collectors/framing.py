"""Framing: bytes -> frames. Pure; any chunking of the same bytes gives the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

LIMIT: Final = 16 * 1024 * 1024


class Frame(NamedTuple):
    """Bytes between two delimiters, where they began, and the offset behind them (the delimiter's too)."""

    raw: bytes
    start: int
    end: int
    part: int = 1  # a frame longer than the limit comes in pieces: 1, 2, 3 ...
    more: bool = False  # another piece follows
    terminated: bool = True  # False: the input ended before a delimiter did


class Lines:
    """Cuts a stream of bytes at a delimiter (newline, or NUL). Holds what has not ended yet, at most `limit` bytes.

    A frame longer than `limit` comes in pieces of exactly `limit` bytes (the last one shorter), so that nothing is
    lost and no memory is without bound.
    """

    def __init__(self, start: int = 0, limit: int = LIMIT, delimiter: bytes = b"\n") -> None:
        self._start = start  # where the frame, or its next piece, begins
        self._limit = limit
        self._delimiter = delimiter
        self._held: list[bytes] = []
        self._size = 0
        self._part = 1

    @property
    def pending(self) -> int:
        """How many bytes wait for their delimiter."""
        return self._size

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes, in order."""
        *ended, rest = chunk.split(self._delimiter)
        frames: list[Frame] = []
        for piece in ended:
            frames += self._grow(piece)
            frames.append(self._close(terminated=True))
        if rest:
            frames += self._grow(rest)
        return frames

    def flush(self) -> Frame | None:
        """Return what has not been terminated, as the last frame; None if there is nothing."""
        return self._close(terminated=False) if self._size or self._part > 1 else None

    def _grow(self, piece: bytes) -> Iterator[Frame]:
        if self._size + len(piece) <= self._limit:
            self._hold(piece)
            return
        at = 0
        while self._size + len(piece) - at > self._limit:
            room = self._limit - self._size
            self._hold(piece[at : at + room])
            at += room
            yield self._cut()
        self._hold(piece[at:])

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._size += len(piece)

    def _cut(self) -> Frame:
        frame = Frame(b"".join(self._held), self._start, self._start + self._size, self._part, True)
        self._reset(frame.end, self._part + 1)
        return frame

    def _close(self, *, terminated: bool) -> Frame:
        held = self._held
        raw = held[0] if len(held) == 1 else b"".join(held)
        end = self._start + self._size + (len(self._delimiter) if terminated else 0)
        frame = Frame(raw, self._start, end, self._part, False, terminated)
        self._reset(end, 1)
        return frame

    def _reset(self, start: int, part: int) -> None:
        self._start, self._part, self._size, self._held = start, part, 0, []
