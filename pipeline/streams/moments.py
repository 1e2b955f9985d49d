"""Finding a moment in a topic of one partition, without reading all that stands before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pipeline.streams import Stored, Stream

_TRIES: Final = 20
_WAIT: Final = 0.2
_AT_ONCE: Final = 5_000


def from_moment(stream: Stream, topic: str, group: str, moment: datetime) -> Iterator[Stored]:
    """Yield what the topic took from this moment on, up to where it ends now. `group` is the caller's own.

    A topic that begins later than that yields from its beginning: see the first one's time. Raises StreamUnavailable.
    """
    end = stream.ends(topic).get(0, 0)
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        found = _first(stream, topic, group, middle)
        if found is None or found.time >= moment:
            high = middle
        else:
            low = found.offset + 1
    yield from _upto(stream, topic, group, low, end)


def _first(stream: Stream, topic: str, group: str, offset: int) -> Stored | None:
    """Return the first record at this offset or behind it."""
    stream.seek(topic, group, {0: offset})
    for _ in range(_TRIES):
        batch = stream.read(topic, group, 1, _WAIT)
        if batch.messages:
            return batch.messages[0]
    return None


def _upto(stream: Stream, topic: str, group: str, offset: int, end: int) -> Iterator[Stored]:
    stream.seek(topic, group, {0: offset})
    empty = 0
    while offset < end and empty < _TRIES:
        batch = stream.read(topic, group, _AT_ONCE, _WAIT)
        empty = 0 if batch.messages else empty + 1
        for stored in batch.messages:
            if offset <= stored.offset < end:
                yield stored
                offset = stored.offset + 1
