"""Standard input: `some-command | tocsin collect`. What comes from a pipe is nowhere else: it is held until journalled.

An Input lives as long as the process and has an epoch of its own; a source that is opened anew over it, as after a
fault of its role, goes on without a gap. What a killed process had read and not journalled is lost.
"""

from __future__ import annotations

import os
import secrets
import select
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from collectors.framing import LIMIT, Frame, Lines
from collectors.sources import Batch, Record

_CHUNK: Final = 256 * 1024
_HELD: Final = 2 * LIMIT  # above it nothing is read until something is journalled; the longest line fits


class Input:
    """A file descriptor's bytes from the first one that is not journalled; never waits for more."""

    def __init__(self, fd: int = 0) -> None:
        self.epoch = secrets.token_hex(8)
        self.base = 0  # offset of the first byte held
        self.ended = False
        self.fault: str | None = None
        self._fd = fd
        self._held = bytearray()

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self.base + len(self._held)

    def after(self, offset: int) -> bytes:
        """Return a chunk of what follows an offset; empty if there is nothing now, or if `ended`."""
        if offset >= self.size and not self.ended and len(self._held) < _HELD:
            self._fetch()
        at = offset - self.base
        return bytes(self._held[at : at + _CHUNK])

    def forget(self, offset: int) -> None:
        """Let go of what stands before the offset."""
        del self._held[: offset - self.base]
        self.base = offset

    def _fetch(self) -> None:
        try:
            if select.select([self._fd], [], [], 0)[0]:
                chunk = os.read(self._fd, _CHUNK)
                self._held += chunk
                self.ended = not chunk
        except (OSError, ValueError) as error:  # closed before we began, or a terminal that is gone
            self.fault, self.ended = str(error), True


class _Position(msgspec.Struct):
    epoch: str
    offset: int = 0


class StdinSource:
    """Reads lines of an Input. Identity: its epoch, and the offset of the line."""

    def __init__(self, name: str, format_name: str, source: Input) -> None:
        self.name = name
        self.format: str | None = format_name
        self._input = source
        self._lines = Lines()
        self._at = self._durable = 0
        self._told = False

    def open(self, position: str | None, now: datetime) -> None:
        saved = _restored(position)
        self._at = saved.offset if saved.epoch == self._input.epoch else self._input.base
        self._durable = self._at
        self._lines = Lines(self._at)

    def read(self, now: datetime, limit: int) -> Batch:
        chunk = self._input.after(self._at)
        self._at += len(chunk)
        frames = self._lines.feed(chunk)
        at_end = self._input.ended and self._at >= self._input.size
        if at_end and (last := self._lines.flush()) is not None:
            frames.append(last)
        records = list(self._records(frames))
        return Batch(records, None if chunk else now, self._end() if at_end else ())

    def position(self, journalled: Sequence[Record]) -> str:
        self._durable = max([self._durable, *(record.end for record in journalled)])
        self._input.forget(self._durable)
        return msgspec.json.encode(_Position(self._input.epoch, self._durable)).decode()

    def written(self) -> int | None:
        return self._input.size

    def close(self) -> None:
        """Leave the input open: it is the process's own."""

    @property
    def ended(self) -> bool:
        """Whether the input has ended, and all that it held is journalled."""
        return self._input.ended and self._at >= self._input.size and not self._lines.pending

    def _records(self, frames: Sequence[Frame]) -> Iterator[Record]:
        for frame in frames:
            if frame.raw:
                yield Record(frame.raw, self._input.epoch.encode(), "", frame.end, start=frame.start)

    def _end(self) -> list[str]:
        if self._told:
            return []
        self._told = True
        if self._input.fault:
            return [f"{self.name}: cannot be read: {self._input.fault}; start it as `some-command | tocsin collect`"]
        return [f"{self.name}: has ended after {self._input.size} bytes; all of it has been read"]


def _restored(position: str | None) -> _Position:
    try:
        return msgspec.json.decode(position or "", type=_Position)
    except msgspec.MsgspecError:
        return _Position("")
