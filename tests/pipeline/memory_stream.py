"""A Stream in memory with partitions, groups, rebalances and a clock that the test sets: for whole fleets in a test."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from pipeline.streams import EVENTS, STATE, Batch, Message, Stored

_COMPACTED = 50  # records of the state between two compactions


class Killed(BaseException):
    """The process died here."""


class Log:
    """What is durable, and who belongs to which group."""

    def __init__(self, partitions: int, now: datetime) -> None:
        self.now = now
        self._partitions = partitions
        self.records: dict[str, list[list[Stored]]] = {}
        self.offsets: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        self.members: dict[tuple[str, str], list[MemoryStream]] = defaultdict(list)

    def topic(self, name: str) -> list[list[Stored]]:
        count = self._partitions if name == EVENTS else 1
        return self.records.setdefault(name, [[] for _ in range(count)])

    def put(self, topic: str, place: int, message: Message) -> None:
        """Append; now and then the state is compacted: the last of each key stays, if it has a value."""
        log = self.topic(topic)[place]
        end = log[-1].offset + 1 if log else 0
        log.append(Stored(topic, place, end, self.now, message.key, message.value))
        if topic == STATE and end % _COMPACTED == 0:
            last = {one.key: one for one in log}
            log[:-1] = [one for one in log[:-1] if last[one.key] is one and one.value]

    def since(self, topic: str, place: int, offset: int, limit: int) -> Sequence[Stored]:
        log = self.topic(topic)[place]
        whole = not log or log[-1].offset == len(log) - 1
        start = offset if whole else bisect_left(log, offset, key=lambda one: one.offset)
        return log[start : start + limit]

    def owned(self, topic: str, group: str, member: MemoryStream) -> set[int]:
        members = self.members[topic, group]
        return {p for p in range(len(self.topic(topic))) if members[p % len(members)] is member}


class MemoryStream:
    """One process's view of the log. `dies_at` is the write (append or commit) at which it is killed."""

    def __init__(self, log: Log, dies_at: int | None = None, *, after: bool = False) -> None:
        self._log = log
        self._owned: dict[tuple[str, str], set[int]] = {}
        self._next: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        self.writes = 0
        self._dies_at = dies_at
        self._after = after

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """A process that dies within an append leaves some of the messages, as Kafka does."""
        dies = self._strike()
        kept = messages if not dies or self._after else messages[: len(messages) // 2]
        partitions = self._log.topic(topic)
        for message in kept:
            place = zlib.crc32(message.key.encode()) % len(partitions)
            self._log.put(topic, place, message)
        if dies:
            raise Killed

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        if self._strike() and not self._after:
            raise Killed
        self._log.offsets[topic, group].update(offsets)
        if self._dies_at is not None and self.writes > self._dies_at:
            raise Killed

    def _strike(self) -> bool:
        self.writes += 1
        return self._dies_at is not None and self.writes > self._dies_at

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        place = (topic, group)
        if self not in self._log.members[place]:
            self._log.members[place].append(self)
        before, owned = self._owned.get(place, set()), self._log.owned(topic, group, self)
        self._owned[place] = owned
        gained, lost = frozenset(owned - before), frozenset(before - owned)
        for partition in gained:
            self._next[place].setdefault(partition, self._log.offsets[place].get(partition, 0))
        for partition in lost:
            self._next[place].pop(partition, None)
        out: list[Stored] = []
        for partition in sorted(owned):
            found = self._log.since(topic, partition, self._next[place][partition], limit - len(out))
            out += found
            if found:
                self._next[place][partition] = found[-1].offset + 1
        return Batch(out, gained=gained, lost=lost)

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._next[topic, group].update(offsets)

    def ends(self, topic: str) -> Mapping[int, int]:
        return {place: log[-1].offset + 1 if log else 0 for place, log in enumerate(self._log.topic(topic))}

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return dict(self._log.offsets[topic, group])

    def close(self) -> None:
        """Leave every group, as a process that ends or dies does in time."""
        for members in self._log.members.values():
            if self in members:
                members.remove(self)
