"""What a trail goes by when it judges a file: how long it has been quiet, and how far looking the same tells."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from collectors.sources import Loss, Record
from collectors.sources.content import HEAD, Content
from collectors.sources.tail import Relation, Tail

LINGER: Final = 60.0  # seconds without growth after which a file that was rotated away counts as read out


class Found(msgspec.Struct):
    """What came of one look at a path."""

    records: list[Record]
    losses: list[Loss]
    more: bool = False  # there is more to be read at once


def rested(tail: Tail, now: datetime) -> bool:
    """Whether nothing came for long enough. The clock may be set either way meanwhile."""
    moment = now.timestamp()
    if tail.quiet_since is None or moment < tail.quiet_since:
        tail.quiet_since = moment
    return moment - tail.quiet_since > LINGER


def same_for_long(inode: int | None, size: int, content: Content) -> bool:
    """Whether a file under the path's own name may be one that was read: short ones may begin the same by chance."""
    return inode == content.node[1] or size > HEAD


def only_part(relation: Relation) -> Relation:
    return relation if relation is Relation.PART else Relation.OTHER
