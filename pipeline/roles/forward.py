"""Forward: the collector's journal -> the stream, where the stream is not the journal itself (Kafka)."""

from __future__ import annotations

from datetime import datetime

from pipeline.streams import EVENTS, Message, Stream
from pipeline.streams.sqlite import SqliteStream

_GROUP = "forward"
_LIMIT = 1000


class Forward:
    """Sends what the journal holds, in order; a record leaves the journal once the stream has it for certain."""

    name = "forward"

    def __init__(self, journal: SqliteStream, stream: Stream) -> None:
        self._journal = journal
        self._stream = stream
        self._unsent: list[Message] = []
        self._next = 0

    def step(self, now: datetime) -> bool:
        if not self._unsent:
            batch = self._journal.read(EVENTS, _GROUP, _LIMIT, wait=0.2)
            if not batch.messages:
                return False
            self._unsent = [Message(stored.key, stored.value) for stored in batch.messages]
            self._next = batch.messages[-1].offset + 1
        self._stream.append(EVENTS, self._unsent)
        self._unsent = []
        self._journal.commit(EVENTS, _GROUP, {0: self._next})
        return True

    def close(self) -> None:
        """Journal and stream are the caller's."""
