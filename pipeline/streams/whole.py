"""Reading a whole topic, by one reader alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from pipeline.streams import Stored, Stream, StreamUnavailable

_AT_ONCE: Final = 5_000
_WAIT: Final = 1.0  # seconds that one read waits for its first message
_PATIENCE: Final = 60  # reads without a message, until the topic counts as out of reach


def own_group(name: str) -> str:
    """Return a group for one reader alone: whoever needs the whole of a topic asks no other for it."""
    return f"{name}-{uuid.uuid4().hex}"


def whole(stream: Stream, topic: str, group: str, start: Mapping[int, int] | None = None) -> Iterator[Stored]:
    """Yield the topic as it ends now, from its beginning or the offsets given, in order within each partition.

    `group` is the caller's own. A part is never taken for the whole: raises StreamUnavailable where the end is out of
    reach.
    """
    ends = stream.ends(topic)
    at = {partition: (start or {}).get(partition, 0) for partition in ends}
    if all(at[one] >= end for one, end in ends.items()):
        return
    stream.seek(topic, group, at)
    empty = 0
    while any(at[one] < end for one, end in ends.items()):
        batch = stream.read(topic, group, _AT_ONCE, _WAIT)
        empty = 0 if batch.messages or batch.missing else empty + 1
        if empty > _PATIENCE:
            raise StreamUnavailable(f"{topic} could not be read to its end: {_behind(at, ends)}")
        for message in batch.messages:
            if at[message.partition] <= message.offset < ends[message.partition]:  # a rebalance reads some again
                yield message
            at[message.partition] = max(at[message.partition], message.offset + 1)
        for partition in batch.missing.keys() - {message.partition for message in batch.messages}:
            at[partition] += batch.missing[partition]  # where messages came, they say how far it is


def _behind(at: Mapping[int, int], ends: Mapping[int, int]) -> str:
    return ", ".join(f"partition {one} up to {at[one]} of {end}" for one, end in ends.items() if at[one] < end)
