"""The embedded stream: the journal's segment files with every topic in them, one partition each.

`audit.state` is compacted: it lives in `offsets.db`, one row a key, beside what each group has read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from math import ceil
from pathlib import Path

from collectors.journal import LOOK_SECONDS, SEGMENT_BYTES, Journal, JournalError
from collectors.journal.advice import advice
from collectors.journal.segment import moment
from collectors.sources import Loss
from pipeline.streams import STATE, TOPICS, Batch, Message, Stored, StreamUnavailable
from pipeline.streams.offsets import Offsets, Place

_LOGGED = tuple(topic for topic in TOPICS if topic != STATE)
_SEGMENTS = 16  # what the limit is made of: what has been read goes in pieces of this size


class SqliteStream:
    """A Stream in files below one folder. Whoever opens it owns its partitions: a role's lock keeps others out.

    `topics` are those of the stream, or a journal's own. Raises StreamUnavailable.
    """

    def __init__(
        self,
        folder: Path,
        *,
        topics: Sequence[str] = _LOGGED,
        segment_seconds: int = 3600,
        limit_bytes: int | None = None,
    ) -> None:
        size = SEGMENT_BYTES if limit_bytes is None else min(SEGMENT_BYTES, max(limit_bytes // _SEGMENTS, 2**16))
        self._folder, self._topics, self._limit = folder, tuple(topics), limit_bytes
        self._next: dict[tuple[str, str], int] = {}
        with self._mapped():
            self.journal = Journal(folder, topics, segment_seconds=segment_seconds, segment_bytes=size)
            self._offsets = Offsets(folder / "offsets.db", self.journal.locked, self.journal.note, self._reached)
            self._set_back(self._offsets.places())

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        with self._mapped():
            if topic == STATE:
                self._offsets.put_state([(message.key, message.value) for message in messages])
            else:
                self.journal.append({topic: [(message.key, message.value) for message in messages]})

    def append_all(self, rows: Mapping[str, Sequence[tuple[str, bytes]]], positions: Mapping[str, str]) -> None:
        """Append to several topics, and the positions behind it, all or nothing. Raises StreamUnavailable."""
        with self._mapped():
            self.journal.append(rows, positions)

    def positions(self) -> dict[str, str]:
        """Return every position as last written. Raises StreamUnavailable."""
        with self._mapped():
            return self.journal.positions()

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        with self._mapped():
            return self._read((topic, group), limit, wait)

    def _read(self, place: tuple[str, str], limit: int, wait: float) -> Batch:
        topic, gained = place[0], frozenset[int]()
        if place not in self._next:
            begin = 0 if topic == STATE else self.journal.begin(topic)
            self._next[place] = self.committed(*place).get(0, begin)
            gained = frozenset({0})
        asked = self._next[place]
        found = self._from(topic, asked, limit)
        looks = 0 if found or gained else ceil(wait / LOOK_SECONDS)
        while looks and not found:
            self.journal.wait(min(wait, LOOK_SECONDS))
            found = self._from(topic, asked, limit)
            looks -= 1
        if found:
            self._next[place] = found[-1].offset + 1
        if topic == STATE:  # a compacted topic has gaps by nature
            return Batch(found, gained=gained)
        if not found:
            self._next[place] = self._within(topic, place[1], max(asked, self.journal.begin(topic)))
        missing = max(self._next[place] - asked, 0) - len(found)
        return Batch(found, gained=gained, missing={0: missing} if missing > 0 else {})

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        with self._mapped():
            self._offsets.put([(topic, group, offset, 1) for offset in offsets.values()])

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        with self._mapped():
            for offset in offsets.values():
                self._next[topic, group] = offset if topic == STATE else self._within(topic, group, offset)

    def register(self, topics: Sequence[str], group: str) -> None:
        """Keep from now on what this group has not read, though it never said how far it is."""
        with self._mapped():
            known = {place[:2] for place in self._offsets.places()}
            fresh = [topic for topic in topics if (topic, group) not in known]
            self._offsets.put([(topic, group, self.journal.begin(topic), 0) for topic in fresh])

    def ends(self, topic: str) -> Mapping[int, int]:
        with self._mapped():
            return {0: self._offsets.state_end() if topic == STATE else self.journal.end(topic)}

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        with self._mapped():
            said = [place[2] for place in self._offsets.places() if place[:2] == (topic, group) and place[3]]
            return dict(enumerate(said))

    def trim(self, keep_from: datetime) -> int:
        """Unlink segments that every group has read and that ended before `keep_from`, or, over the size limit,
        whatever every group has read; return how many went. What was not read is never dropped."""
        with self._mapped():
            read = self._read_up_to()
            dropped = self.journal.drop(read, older_than=keep_from)
            if self._limit is not None and self.journal.size_bytes() > self._limit:
                dropped += self.journal.drop(read, older_than=None)
            return dropped

    def share_used(self) -> float:
        """Return how much of the limit is taken by what somebody has still to read, 0 to 1 and above.

        What all have read goes first, where the files together are above the limit.
        """
        if self._limit is None:
            return 0.0
        with self._mapped():
            if self.journal.size_bytes() <= self._limit / 2:
                return self.journal.size_bytes() / self._limit
            read = self._read_up_to()
            unread = self.journal.size_bytes(read)
            if self.journal.size_bytes() > self._limit:
                self.journal.drop(read, older_than=None)
            return unread / self._limit

    def close(self) -> None:
        self.journal.close()
        self._offsets.close()

    def _read_up_to(self) -> dict[str, int]:
        """Return how far everybody has read. Topics that are kept for people, not read by a group, hold nothing."""
        read: dict[str, int] = {}
        for topic, _, following, _ in self._offsets.places():
            read[topic] = min(following, read.get(topic, following))
        return {topic: self.journal.end(topic) for topic in self._topics if topic not in read} | read

    def _reached(self) -> int:
        """Return a number that is 0 as long as nothing was ever appended, and grows with what is."""
        return sum(self.journal.end(topic) for topic in self._topics)

    def _set_back(self, places: Sequence[Place]) -> None:
        """Readers cannot stand where nothing is: records that they had read are gone, and others will come there."""
        ends = {topic: self.journal.end(topic) for topic in self._topics}
        beyond = [place for place in places if place[2] > ends.get(place[0], place[2])]
        if beyond:
            self._note_back([(topic, reader, following) for topic, reader, following, _ in beyond], ends)
            self._offsets.put([(topic, reader, ends[topic], committed) for topic, reader, _, committed in beyond])

    def _within(self, topic: str, reader: str, offset: int) -> int:
        end = self.journal.end(topic)
        if offset <= end:
            return offset
        self._note_back([(topic, reader, offset)], {topic: end})
        return end

    def _note_back(self, beyond: Sequence[tuple[str, str, int]], ends: Mapping[str, int]) -> None:
        """Tell that the journal went back. What its readers had read is not lost to them, and nobody knows of more."""
        stood = ", ".join(
            f"{reader} had read {topic} up to {at}, and it ends at {ends[topic]}" for topic, reader, at in beyond
        )
        reason = (
            f"{self._folder}: the journal went back: {stood}. Its end was cut, or an older copy put in its place. "
            "Reading goes on at the end; what is read again has the same id"
        )
        origin = blake2b(stood.encode(), digest_size=12).hexdigest()
        self.journal.note([Loss(f"journal:beyond:{origin}".encode(), reason, records=0)])

    def _from(self, topic: str, offset: int, limit: int) -> list[Stored]:
        if topic != STATE:
            rows = self.journal.read(topic, offset, limit)
            return [Stored(topic, 0, row.offset, row.time, row.key, row.value) for row in rows]
        found = self._offsets.state(offset, limit)
        return [Stored(topic, 0, o, moment(time), key, value) for o, time, key, value in found]

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except JournalError as error:
            raise StreamUnavailable(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            raise StreamUnavailable(advice(self._folder / "offsets.db", error)) from error
