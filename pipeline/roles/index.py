"""The indexing role: what the stream holds, into the archive. Put first, commit after, so that nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from pipeline.indexes import Document, Index, Refused
from pipeline.indexes.documents import document
from pipeline.indexes.repeats import repeat
from pipeline.records import DeadLetter
from pipeline.roles.sound import Sound
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, INCIDENTS, Message, Stored, Stream

GROUP: Final = "index"
BATCH: Final = 2_000
WAIT_SECONDS: Final = 0.2  # how long an idle round waits for events before it looks for alerts and incidents
EXPIRE_EVERY: Final = timedelta(minutes=5)
_TOPICS: Final = (EVENTS, ALERTS, INCIDENTS)


class Indexer:
    """A Role. What was read and could not be put is put again by the next step; the index knows a repeat by its id."""

    name = "index"

    def __init__(
        self,
        stream: Stream,
        index: Index,
        expire: Callable[[datetime], int] | None = None,
        sound: Sound | None = None,
    ) -> None:
        """`expire` drops what is no longer kept; it is called here, where nothing else writes to the index.

        An event that is not `sound` is left out; detect keeps it in the dead letters.
        """
        self._sound = sound
        self._stream = stream
        self._index = index
        self._expire = expire
        self._expired: datetime | None = None
        self._pending: list[Stored] = []
        self.lost = 0  # records gone from the stream before they were indexed

    def step(self, now: datetime) -> bool:
        self._keep(now)
        if not self._pending:
            self._read()
        if not self._pending:
            return False
        if self._sound is not None:
            self._sound.renew()
        letters: list[Message] = []
        documents: list[Document] = []
        origins: dict[str, Stored] = {}
        for record in self._pending:
            try:
                found = document(record) if self._taken(record) else None
            except Exception as error:  # the top of the loop: the record goes to the dead letters, the stage goes on
                letters.append(_letter(record, f"{type(error).__name__}: {error}", None, now))
                continue
            if found is not None:
                documents.append(found)
                origins[found.id] = record
        letters += [_letter_of(refused, origins, now) for refused in self._put(documents, origins)]
        if letters:
            self._stream.append(DEADLETTER, letters)
        self._commit()
        return True

    def close(self) -> None:
        """The stream and the index are the caller's."""

    def _put(self, documents: Sequence[Document], origins: dict[str, Stored]) -> Iterator[Refused]:
        """Put, and yield what is refused. What was read again under another number is kept beside what is there."""
        beside: list[Document] = []
        for one in self._index.put(documents):
            if one.repeats:
                beside.append(repeat(one.document))
                origins[beside[-1].id] = origins[one.document.id]
            else:
                yield one
        yield from self._index.put(beside) if beside else ()

    def _taken(self, record: Stored) -> bool:
        return self._sound is None or record.topic != EVENTS or self._sound(record)

    def _keep(self, now: datetime) -> None:
        if self._expire is not None and (self._expired is None or now - self._expired >= EXPIRE_EVERY):
            self._expired = now
            self._expire(now)

    def _read(self) -> None:
        for topic in _TOPICS:
            batch = self._stream.read(topic, GROUP, BATCH, WAIT_SECONDS if topic == EVENTS else 0.0)
            self.lost += sum(batch.missing.values())
            self._pending += batch.messages

    def _commit(self) -> None:
        """A commit that fails costs a repeat after a restart; what is indexed need not be put again."""
        done, self._pending = self._pending, []
        for topic in _TOPICS:
            offsets = {one.partition: one.offset + 1 for one in done if one.topic == topic}
            if offsets:
                self._stream.commit(topic, GROUP, offsets)


def _letter_of(refused: Refused, origins: dict[str, Stored], now: datetime) -> Message:
    id_ = refused.document.id
    return _letter(origins[id_], refused.reason, id_, now)


def _letter(record: Stored, reason: str, event_id: str | None, now: datetime) -> Message:
    letter = DeadLetter(
        stage="index",
        reason=reason[:2000],
        time=now,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=event_id,
        value=record.value.decode("utf-8", "backslashreplace"),
    )
    return Message(record.key, letter.model_dump_json().encode())
