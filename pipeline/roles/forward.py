"""Forward: the collector's journal -> the stream, where the stream is not the journal itself (Kafka)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.intake import FORWARD
from pipeline.pace import Pace
from pipeline.streams import EVENTS, Message, Stream, StreamUnavailable
from pipeline.streams.sqlite import SqliteStream

_LIMIT = 1000
_FIRST_AT_MOST = 20  # batches of the first priority in a row, so that a flood of log-ins starves nobody
_LOOK_EVERY = timedelta(seconds=1)  # how far the judges are


@dataclass(slots=True)
class _Batch:
    """What was read of one topic of the journal and is not yet sent."""

    topic: str
    messages: Sequence[Message]
    following: int


class Forward:
    """Sends what the journal holds, in order within a priority; a record leaves the journal once the stream has it
    for certain. All of the first priority goes before one batch of the next, and that before one of the last.

    What is not of the first priority waits while the judges are far behind: in the stream nothing can overtake.
    """

    name = "forward"

    def __init__(self, journal: SqliteStream, stream: Stream, judge: str = "detect") -> None:
        self._journal = journal
        self._stream = stream
        self._judge = judge
        self._unsent: _Batch | None = None
        self._pace = Pace()
        self._looked: datetime | None = None
        self._held = False
        self._backlog = False  # more waits than one batch of it

    def step(self, now: datetime) -> bool:
        if self._unsent is not None:
            self._send(self._unsent)
        sent = 0
        for _ in range(_FIRST_AT_MOST):
            count = self._pass_on("first")
            sent += count
            if count < _LIMIT:
                break
        if not (self._backlog and self._judges_are_behind(now)):
            counts = [self._pass_on(topic) for topic in ("normal", "last")]
            self._backlog = max(counts) == _LIMIT
            sent += sum(counts)
        if not sent:
            self._journal.journal.wait(0.2)
        return bool(sent)

    def close(self) -> None:
        """Journal and stream are the caller's."""

    def _pass_on(self, topic: str) -> int:
        """Send one batch of a topic; return how many records it had."""
        batch = self._journal.read(topic, FORWARD, _LIMIT, wait=0)
        if not batch.messages:
            return 0
        messages = [Message(stored.key, stored.value) for stored in batch.messages]
        self._send(_Batch(topic, messages, batch.messages[-1].offset + 1))
        return len(messages)

    def _send(self, batch: _Batch) -> None:
        """Send and commit. What was not taken is sent again before anything else, as the same bytes."""
        self._unsent = batch
        self._stream.append(EVENTS, batch.messages)
        self._unsent = None
        self._journal.commit(batch.topic, FORWARD, {0: batch.following})

    def _judges_are_behind(self, now: datetime) -> bool:
        """Ask now and then how far the judges are. Who may not ask need not wait for them."""
        if self._looked is None or abs(now - self._looked) >= _LOOK_EVERY:
            self._looked = now
            try:
                ends, judged = self._stream.ends(EVENTS), self._stream.committed(EVENTS, self._judge)
            except StreamUnavailable:
                self._held = False
            else:
                self._held = self._pace.holds(sum(ends.values()), sum(judged.get(p, 0) for p in ends), now)
        return self._held
