"""What a file that nobody follows is to those that are followed, or were: going by what they hold, not by names."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from collectors.sources import Loss, Record
from collectors.sources.content import HEAD, Content, Node, digest, head_size
from collectors.sources.folders import Place
from collectors.sources.marks import Prefix
from collectors.sources.tail import Known, Tail

LINGER: Final = 60.0  # seconds without growth after which a file that was rotated away counts as read out


class Found(msgspec.Struct):
    """What came of one look at a path."""

    records: list[Record]
    losses: list[Loss]
    more: bool = False  # there is more to be read at once


class Missed(NamedTuple):
    """A file that is not where it lay: one whose rest is sought (`tail`), or one that was read out."""

    known: Known
    tail: Tail | None


def rested(tail: Tail, now: datetime) -> bool:
    """Whether nothing came for long enough. The clock may be set either way meanwhile."""
    moment = now.timestamp()
    if tail.quiet_since is None or moment < tail.quiet_since:
        tail.quiet_since = moment
    return moment - tail.quiet_since > LINGER


def fitting(missed: Sequence[Missed], content: Content) -> list[Missed]:
    """Return those that a content holds all of, the longest first, then the one that lay there. Raises OSError."""
    found = [one for one in missed if one.known.fits(content)]
    return sorted(found, key=lambda one: (-one.known.offset, one.known.node[1] != content.node[1], one.tail is None))


def shared(missed: Sequence[Missed], content: Content) -> int:
    """Return how far a content is what was read of one of them, though it does not hold all. Raises OSError."""
    return max((one.known.shared(content) for one in missed), default=0)


def noted(place: Place, content: Content, size: int) -> Known:
    """Return a file as known up to `size`, or (-1) only by how it lies there. Raises OSError."""
    data = content.at(0, HEAD)
    head = head_size(data) or len(data)
    marks = [(size, Prefix.of(content, size).mark())] if size > 0 else []
    packed = place[1:] if content.packed else None
    return Known(digest(data[:head]), head, -1, size, marks, node=place.node, packed=packed)


class Unfinished:
    """Gzip'd files without an end: they are being written, or will never have one."""

    def __init__(self) -> None:
        self._since: dict[Node, tuple[int, float]] = {}  # their size, and since when

    def keep(self, nodes: Container[Node]) -> None:
        """Forget those that are gone."""
        self._since = {node: since for node, since in self._since.items() if node in nodes}

    def ended(self, place: Place, content: Content, now: datetime) -> bool:
        """Say whether a file has its end, or did not grow for so long that it will not have it. Raises OSError."""
        content.size()
        size, since = self._since.get(place.node, (-1, 0.0))
        if size != place.size:
            self._since[place.node] = (place.size, now.timestamp())
        return content.final or (size == place.size and now.timestamp() - since > LINGER)


def rest_lost(path: str, tail: Tail, packed: Sequence[str]) -> Loss:
    """Return the loss of what followed in a file that nothing holds any more."""
    size = tail.size - tail.at
    what = f"{size} bytes that were seen there" if size > 0 else "what was written after that, if anything,"
    unread = f" ({', '.join(packed)} cannot; let rotation use gzip)" if packed else ""
    reason = (
        f"{path}: cut or replaced when {tail.at} bytes of it had been read, and no copy is here that can be "
        f"read{unread}: {what} are lost"
    )
    return Loss(_origin(path, tail), reason, size_bytes=size if size > 0 else None)


def end_lost(path: str, tail: Tail) -> Loss:
    """Return the loss of what followed in a gzip'd file that was cut."""
    reason = f"{tail.path}: this gzip file has no end; what followed {tail.at} bytes (unpacked) is lost"
    return Loss(_origin(path, tail), reason)


def _origin(path: str, tail: Tail) -> bytes:
    """The same for the same loss: a file has but one end."""
    return f"{path}:{tail.lane}:{'' if tail.identity else tail.size}".encode()
