"""Record bytes -> text -> records -> Parsed: what `tocsin parse` and the collecting role share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError
from collectors.formats.registry import decode
from collectors.framing import LIMIT, Frame

__all__ = ["Joiner", "decode", "understand"]
_JOINED: Final = 4096  # lines in one record, at most: a file of blanks is not one record


class Joiner:
    """Puts lines together to records, as a format's `continues` has it. Holds one record at a time.

    A record ends where a line that does not continue it begins, or at `flush`, or where it would pass the limits
    (16 MiB, 4,096 lines). Pieces of an over-long line are never joined.
    """

    def __init__(self, format_: Format, limit: int = LIMIT) -> None:
        self._continues = format_.continues
        self._quoting = format_.quoting or (lambda _first: format_.quote)
        self._leads = format_.leads
        self._quote: bytes | None = None
        self._open = False  # the record holds an odd number of quotes
        self._limit = limit
        self._lines: list[Frame] = []
        self._first = ""
        self._size = 0

    def feed(self, frames: Iterable[Frame]) -> list[Frame]:
        """Return the records that are complete now, in order. A record's frame spans all of its lines."""
        if self._continues is None:
            return list(frames)
        out: list[Frame] = []
        for frame in frames:
            text = decode(frame.raw[:65536])
            if self._joins(frame, text):
                self._lines.append(frame)
                self._size += len(frame.raw)
                if self._leads is not None and self._first.startswith(self._leads):
                    self._first = text
            else:
                out += self.flush()
                self._lines, self._first, self._size, self._open = [frame], text, len(frame.raw), False
                mark = self._quoting(text)
                self._quote = mark.encode() if mark else None
            if self._quote is not None:
                self._open ^= frame.raw.count(self._quote) % 2 == 1
        return out

    def _joins(self, frame: Frame, text: str) -> bool:
        if not self._lines or self._continues is None or frame.more or frame.part > 1 or self._lines[-1].more:
            return False
        if self._size + len(frame.raw) > self._limit or len(self._lines) >= _JOINED:
            return False
        return self._open if self._quote is not None else self._continues(self._first, text)

    def flush(self) -> list[Frame]:
        """Return the record that is held, as one frame in a list; an empty list if there is none."""
        lines, self._lines = self._lines, []
        if len(lines) < 2:
            return lines
        raw = b"\n".join(line.raw for line in lines)
        return [lines[0]._replace(raw=raw, end=lines[-1].end, terminated=lines[-1].terminated)]


def understand(text: str, format_: Format, ctx: Context) -> Parsed:
    """Return what the format makes of a record, or the record as an event that nobody understood.

    A record is never refused: `tocsin.parse_error` says why it was not understood.
    """
    try:
        return format_.parse(text, ctx)
    except ParseError as error:
        return Parsed(None, {"event.kind": "event", "message": text, "tocsin.parse_error": str(error)})
