"""What a file that nobody follows is to those that are followed, or were: going by what they hold, not by names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from collectors.sources import Loss, Record
from collectors.sources.content import Content
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

