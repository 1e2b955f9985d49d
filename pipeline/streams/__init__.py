"""Streams: the truth for as long as it is kept. Two adapters behind one port: SQLite files and Kafka."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

EVENTS = "audit.events"
MATCHES = "audit.matches"
ALERTS = "audit.alerts"
COMMANDS = "audit.commands"
INCIDENTS = "audit.incidents"
STATE = "audit.state"
DEADLETTER = "audit.deadletter"
TOPICS = (EVENTS, MATCHES, ALERTS, COMMANDS, INCIDENTS, STATE, DEADLETTER)
SINGLE = (MATCHES, ALERTS, COMMANDS, INCIDENTS, STATE)  # one partition: what keeps state has one owner


class StreamUnavailable(Exception):
    """The stream could not be reached or did not take the messages; nothing is lost, try again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is appended: a key that chooses the partition, and the value's bytes."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as read back. `time` is the stream's own append time (UTC), never a host's clock."""

    topic: str
    partition: int
    offset: int
    time: datetime
    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What one read gave: messages in order within each partition, and how ownership changed before them."""

    messages: Sequence[Stored] = ()
    gained: frozenset[int] = frozenset()  # partitions newly owned; reading goes on at the group's committed offset
    lost: frozenset[int] = frozenset()
    missing: Mapping[int, int] = field(default_factory=dict)  # partition -> messages gone before they were read


class Stream(Protocol):
    """An ordered log by topic and partition. One instance serves one thread."""

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        """Return once the messages are durable (SQLite: synced; Kafka: acks=all). Raises StreamUnavailable."""
        ...

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        """Return at most `limit` messages, waiting up to `wait` seconds for the first.

        The first read joins the group; a partition that the group never committed starts at its beginning.
        """
        ...

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        """Record, for each partition, the offset to read next: what lag is counted from, and where a reader
        that keeps no snapshot goes on."""
        ...

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        """Read on from these offsets (a stateful reader's snapshot, not the group, says where it stands)."""
        ...

    def ends(self, topic: str) -> Mapping[int, int]:
        """Return, for each partition, the offset that the next message will get."""
        ...

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        """Return what `commit` recorded; a partition never committed is absent."""
        ...

    def close(self) -> None: ...
