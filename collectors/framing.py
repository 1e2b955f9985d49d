"""Framing: bytes -> frames. Pure; any chunking of the same bytes gives the same frames."""

from __future__ import annotations

import re
from itertools import accumulate
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
    """Cuts a stream of bytes at a delimiter (newline, NUL, UTF-16's newline). Holds what has not ended yet.

    A frame longer than `limit` comes in pieces of exactly `limit` bytes (the last one shorter), so that nothing is
    lost and no memory is without bound. A delimiter of two bytes counts only at an even distance from `start`.
    """

    def __init__(self, start: int = 0, limit: int = LIMIT, delimiter: bytes = b"\n") -> None:
        self._start = start  # where the frame, or its next piece, begins
        self._width = len(delimiter)
        self._limit = max(limit - limit % self._width, self._width)
        self._delimiter = delimiter
        self._held: list[bytes] = []
        self._size = 0
        self._odd = b""  # half a character
        self._part = 1

    @property
    def pending(self) -> int:
        """How many bytes wait for their delimiter."""
        return self._size + len(self._odd)

    @property
    def start(self) -> int:
        """Where the first byte that waits stands, or will stand."""
        return self._start

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes, in order."""
        part, frames = self._part, []
        raws, edges = self.cut(chunk)
        for raw, start, end in zip(raws, edges, edges[1:], strict=False):
            more = end - start == len(raw)
            frames.append(Frame(raw, start, end, part, more))
            part = part + 1 if more else 1
        return frames

    def cut(self, chunk: bytes) -> tuple[list[bytes], list[int]]:
        """As `feed`, for many lines at once: what the frames hold, and the edges between them (one more).

        This is the whole cost of tailing a file, so each step runs over all lines within the interpreter's C.
        """
        *raws, rest = self._split(chunk)
        if raws:
            raws[0] = self._take(raws[0])
            self._part = 1
        if len(chunk) <= self._limit and (not raws or len(raws[0]) <= self._limit):
            edges = list(accumulate(map(self._width.__add__, map(len, raws)), initial=self._start))
        else:
            raws, edges = self._pieces(raws)
        self._start = edges[-1]
        self._hold(rest)
        if self._size > self._limit:
            self._overflow(raws, edges)
        return raws, edges

    def flush(self) -> Frame | None:
        """Return what has not been terminated, as the last frame; None if there is nothing."""
        raw, part = self._take(b"") + self._odd, self._part
        start, self._start, self._odd, self._part = self._start, self._start + len(raw), b"", 1
        return Frame(raw, start, self._start, part, False, False) if raw or part > 1 else None

    def _split(self, chunk: bytes) -> list[bytes]:
        """Split at delimiters; the last one is unfinished."""
        if self._width == 1:
            return chunk.split(self._delimiter)
        chunk = self._odd + chunk
        whole = len(chunk) - len(chunk) % self._width
        self._odd, pieces, start, found = chunk[whole:], [], 0, chunk.find(self._delimiter, 0, whole)
        while found >= 0:
            step = 1 if found % self._width else self._width
            if step > 1:
                pieces.append(chunk[start:found])
                start = found + step
            found = chunk.find(self._delimiter, found + step, whole)
        return [*pieces, chunk[start:whole]]

    def _pieces(self, ended: list[bytes]) -> tuple[list[bytes], list[int]]:
        """Cut frames that are too long."""
        raws, edges = [], [self._start]
        for raw in ended:
            cuts = range(0, max(len(raw), 1), self._limit)
            raws += [raw[at : at + self._limit] for at in cuts]
            edges += [edges[-1] + at for at in cuts[1:]] + [edges[-1] + len(raw) + self._width]
        return raws, edges

    def _overflow(self, raws: list[bytes], edges: list[int]) -> None:
        """Give out what is held in pieces, but for the last one, which may yet end."""
        held = self._take(b"")
        cuts = range(0, len(held), self._limit)
        *full, rest = [held[at : at + self._limit] for at in cuts]
        raws += full
        edges += [self._start + at for at in cuts[1:]]
        self._part += len(full)
        self._start = edges[-1]
        self._hold(rest)

    def _take(self, piece: bytes) -> bytes:
        if self._held:
            piece = b"".join([*self._held, piece])
            self._held, self._size = [], 0
        return piece

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._size += len(piece)


class SyslogFrames:
    """Cuts what a syslog sender writes to a TCP or TLS connection, deciding for each frame anew (RFC 6587 section 3.4).

    A frame that begins with MSG-LEN and a space is counted (section 3.4.1, RFC 5425 section 4.3); any other ends at
    the first LF or NUL (section 3.4.2). No more than `limit` bytes are held (or a count's nine digits); a longer frame
    comes in pieces of `limit`, so that nothing is lost. What only looks like a count (none, negative, ten digits) is a
    line like others.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = b""  # from where the frame, or its next piece, begins
        self._start = 0
        self._counted: int | None = None  # bytes of a counted frame still to come
        self._line = False
        self._searched = 0  # bytes of the held ones that have no delimiter
        self._part = 1

    @property
    def pending(self) -> int:
        """How many bytes wait for the end of their frame."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames that `chunk` completes, in order. Empty ones, as between LF and NUL, are left out."""
        held, at = self._held + chunk, 0
        frames: list[Frame] = []
        while at < len(held):
            found = self._next(held, at)
            if found is None:
                break
            frame, size = found
            at += size
            self._start += size
            if frame is not None and frame.raw:
                frames.append(frame)
        self._held = held[at:]
        return frames

    def flush(self) -> Frame | None:
        """Return what has not ended, as the last frame; None if there is nothing."""
        if not self._held:
            return None
        end = self._start + len(self._held)
        frame = Frame(self._held, self._start, end, self._part, False, False)
        self._held, self._start, self._counted, self._line, self._part = b"", end, None, False, 1
        return frame

    def _next(self, held: bytes, at: int) -> tuple[Frame | None, int] | None:
        """Return the next frame (None: its header alone) and the bytes that it took; None if it is not all there."""
        if self._counted is not None:
            return self._take_counted(held, at, self._counted)
        if not self._line:
            found = _MSG_LEN.match(held, at)
            if found is not None:
                self._counted = int(found[1])
                return None, found.end() - at
            if _MAY_BE_MSG_LEN.fullmatch(held, at):
                return None
            self._line, self._searched = True, 0
        return self._take_line(held, at)

    def _take_counted(self, held: bytes, at: int, left: int) -> tuple[Frame, int] | None:
        size = min(left, self._limit)
        if len(held) - at < size:
            return None
        self._counted = left - size or None
        return self._frame(held[at : at + size], size, more=left > size), size

    def _take_line(self, held: bytes, at: int) -> tuple[Frame, int] | None:
        found = _TRAILER.search(held, at + self._searched, at + self._limit + 1)
        if found is not None:
            self._line = False
            return self._frame(held[at : found.start()], found.end() - at, more=False), found.end() - at
        if len(held) - at > self._limit:
            self._searched = 0
            return self._frame(held[at : at + self._limit], self._limit, more=True), self._limit
        self._searched = len(held) - at
        return None

    def _frame(self, raw: bytes, size: int, *, more: bool) -> Frame:
        frame = Frame(raw, self._start, self._start + size, self._part, more)
        self._part = self._part + 1 if more else 1
        return frame


_MSG_LEN: Final = re.compile(rb"([1-9][0-9]{0,8}) ")
_MAY_BE_MSG_LEN: Final = re.compile(rb"[1-9][0-9]{0,8}")
_TRAILER: Final = re.compile(rb"[\n\0]")
