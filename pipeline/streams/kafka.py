"""The stream on Kafka, for a fleet: acknowledged by all replicas, offsets our own, never a silent reset.

Each (topic, group) is a consumer group of its own in Kafka, named `<prefix>.<group>.<topic>`, so that a worker
that comes to one topic does not rebalance the others. Partitions move cooperatively (KIP-429): a worker keeps
what it owns while others come and go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.consumer.fetcher import ConsumerRecord
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    KafkaConfigurationError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from pipeline.streams import SINGLE, STATE, TOPICS, Batch, Message, Stored, StreamUnavailable

_MAX_MESSAGE_BYTES: Final = 1024 * 1024  # records stay below 512 KiB; this leaves room for headers
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "audit."  # what topics are called in the code; `prefix` takes its place on the broker

_CLIENT: Final = {
    "bootstrap_timeout_ms": 5_000,
    "reconnect_backoff_max_ms": 1_000,
}
_TALKER: Final = {"allow_auto_create_topics": False, "metrics_enabled": False}  # producer and consumer, not admin
_PRODUCER: Final = {
    **_TALKER,
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 2,
    "batch_size": 256 * 1024,
    "max_request_size": _MAX_MESSAGE_BYTES,
    "max_block_ms": 5_000,
    "request_timeout_ms": 8_000,
    "delivery_timeout_ms": 10_000,
}
_CONSUMER: Final = {
    **_TALKER,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "partition_assignment_strategy": [CooperativeStickyAssignor],
    "session_timeout_ms": 10_000,  # how soon a stand-by takes over from a worker that died
    "heartbeat_interval_ms": 2_000,
    "request_timeout_ms": 15_000,
    "fetch_max_wait_ms": 100,
    "max_partition_fetch_bytes": 4 * _MAX_MESSAGE_BYTES,
}
_ASKED_MS: Final = 5_000  # where a partition has no leader, nobody answers
_JOIN_SECONDS: Final = 0.5  # given to joining a group, however little the reader would wait


class KafkaStream:
    """A Stream on a Kafka cluster. It connects when first used, and again after each failure.

    `security` holds kafka-python's own names (`security_protocol`, `ssl_cafile`, `sasl_mechanism`, ...).
    Topics that are missing are created, those of many partitions with `partitions`, kept for `keep` (the broker's own
    rule if None); what exists is left as it is.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        security: Mapping[str, str | int | bool] | None = None,
        prefix: str = "audit",
        partitions: int = 4,
        keep: timedelta | None = None,
    ) -> None:
        self._settings = {"bootstrap_servers": list(servers), **_CLIENT, **(security or {})}
        self._prefix = prefix
        self._partition_count = partitions
        self._keep = keep
        self._producer: KafkaProducer | None = None
        self._plain: KafkaConsumer | None = None  # asks of offsets; in no group
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._checked = False

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        name = self._name(topic)
        try:
            with _mapped(f"append to {name}"):
                self._check_topics()
                producer = self._connected_producer()
                sent = [producer.send(name, value=m.value, key=m.key.encode()) for m in messages]
                producer.flush()
                for future in sent:
                    future.get(timeout=0)
        except StreamUnavailable:
            self._drop_producer()
            raise

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        with _mapped(f"read {self._name(topic)}"):
            self._check_topics()
            return self._reader(topic, group).read(topic, limit, wait)

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        name = self._name(topic)
        marks = {TopicPartition(name, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()}
        with _mapped(f"commit {name}"):
            self._check_topics()
            self._reader(topic, group).consumer.commit(marks)

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        with _mapped(f"seek in {self._name(topic)}"):
            self._reader(topic, group).seek(offsets)

    def ends(self, topic: str) -> Mapping[int, int]:
        with _mapped(f"ends of {self._name(topic)}"):
            self._check_topics()
            ends = self._asking().end_offsets(self._partitions(topic), timeout_ms=_ASKED_MS)
            return {place.partition: offset for place, offset in ends.items()}

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        with _mapped(f"committed offsets of {self._name(topic)}"):
            self._check_topics()
            consumer = self._reader(topic, group).consumer
            known = {place.partition: consumer.committed(place) for place in self._partitions(topic)}
            return {partition: offset for partition, offset in known.items() if offset is not None}

    def close(self) -> None:
        """Leave the groups, so that others take over at once, and close every connection."""
        for reader in self._readers.values():
            with suppress(KafkaError, OSError):
                reader.consumer.close()
        self._readers.clear()
        self._drop_producer()
        if self._plain is not None:
            self._plain.close()
            self._plain = None

    def _name(self, topic: str) -> str:
        return f"{self._prefix}.{topic.removeprefix(_PREFIX)}"

    def _connected_producer(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = KafkaProducer(**self._settings, **_PRODUCER)
        return self._producer

    def _drop_producer(self) -> None:
        """An idempotent producer that failed once may refuse everything after; the next append makes a new one."""
        if self._producer is not None:
            with suppress(KafkaError, OSError):
                self._producer.close(timeout=0)
            self._producer = None

    def _reader(self, topic: str, group: str) -> _Reader:
        reader = self._readers.get((topic, group))
        if reader is None:
            name = self._name(topic)
            settings = {**self._settings, **_CONSUMER, "group_id": f"{self._prefix}.{group}.{name}"}
            reader = self._readers[topic, group] = _Reader(KafkaConsumer(**settings), name)
        return reader

    def _asking(self) -> KafkaConsumer:
        if self._plain is None:
            self._plain = KafkaConsumer(**self._settings, **_TALKER, group_id=None)
        return self._plain

    def _partitions(self, topic: str) -> list[TopicPartition]:
        name = self._name(topic)
        return [
            TopicPartition(name, partition) for partition in sorted(self._asking().partitions_for_topic(name) or ())
        ]

    def _check_topics(self) -> None:
        """Create what is missing, once; another process may do so at the same time."""
        if self._checked:
            return
        admin = KafkaAdminClient(**self._settings)
        try:
            there = set(admin.list_topics())
            for topic in TOPICS:
                if self._name(topic) not in there:
                    with suppress(TopicAlreadyExistsError):
                        admin.create_topics([self._new_topic(topic)])
            admin.wait_for_topics([self._name(topic) for topic in TOPICS])
        finally:
            admin.close()
        self._checked = True

    def _new_topic(self, topic: str) -> NewTopic:
        settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(_MAX_MESSAGE_BYTES)}
        if topic == STATE:
            settings["cleanup.policy"] = "compact"
        elif self._keep is not None:
            settings["retention.ms"] = str(self._keep // timedelta(milliseconds=1))
        partitions = 1 if topic in SINGLE else self._partition_count
        return NewTopic(self._name(topic), num_partitions=partitions, topic_configs=settings)


class _Reader(ConsumerRebalanceListener):  # type: ignore[misc]
    """One topic read by one group: the consumer, and what changed in its ownership since the last read."""

    def __init__(self, consumer: KafkaConsumer, name: str) -> None:
        self.consumer = consumer
        self._name = name
        self._joined = False
        self._gained: set[int] = set()
        self._lost: set[int] = set()
        self._missing: dict[int, int] = {}
        self._wanted: dict[int, int] = {}  # sought before the partition was ours

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._gained |= {place.partition for place in assigned}

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        gone = {place.partition for place in revoked}
        self._lost |= gone - self._gained
        self._gained -= gone

    def read(self, topic: str, limit: int, wait: float) -> Batch:
        """Return messages, or a change of ownership alone: what is gained may first have to be sought."""
        if not self._joined:
            self.consumer.subscribe([self._name], listener=self)
            self._joined = True
        fetched = self._poll(limit, max(wait, _JOIN_SECONDS) if self._joining() else wait)
        gained, lost, self._gained, self._lost = frozenset(self._gained), frozenset(self._lost), set(), set()
        if gained or lost:
            self._unread(fetched)
            self._seek_wanted(gained)
            fetched = {}
        missing, self._missing = self._missing, {}
        messages = [_stored(topic, record) for records in fetched.values() for record in records]
        return Batch(messages, gained=gained, lost=lost, missing=missing)

    def _joining(self) -> bool:
        """Say whether the group is being joined: a poll that is shorter than the joining begins it anew each time."""
        return bool(self.consumer._coordinator.need_rejoin())

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read on from there; for a partition that is not (yet) ours, once it is."""
        owned = {place.partition for place in self.consumer.assignment()}
        for partition, offset in offsets.items():
            if partition in owned:
                self.consumer.seek(TopicPartition(self._name, partition), offset)
            else:
                self._wanted[partition] = offset

    def _poll(self, limit: int, wait: float) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            fetched: dict[TopicPartition, list[ConsumerRecord]] = self.consumer.poll(
                timeout_ms=max(int(wait * 1000), 1), max_records=limit
            )
        except NoOffsetForPartitionError as fault:
            self._start(fault.args[0])
            return {}
        except OffsetOutOfRangeError as fault:
            self._go_on_at_earliest(fault.args[0])
            return {}
        return fetched

    def _start(self, places: set[TopicPartition]) -> None:
        """The group never committed these: begin at their beginning."""
        for place, offset in self.consumer.beginning_offsets(list(places)).items():
            self.consumer.seek(place, offset)

    def _go_on_at_earliest(self, asked: Mapping[TopicPartition, int]) -> None:
        """What stood between the offset asked for and what is still there is gone: count it, and go on."""
        earliest = self.consumer.beginning_offsets(list(asked))
        ends = self.consumer.end_offsets(list(asked))
        for place, offset in asked.items():
            # Beyond the end, the log itself was cut: what it once held past its end is what is gone.
            gone = earliest[place] - offset if offset < earliest[place] else offset - ends[place]
            self._missing[place.partition] = self._missing.get(place.partition, 0) + gone
            self.consumer.seek(place, earliest[place])

    def _unread(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> None:
        owned = self.consumer.assignment()
        for place, records in fetched.items():
            if place in owned:
                self.consumer.seek(place, records[0].offset)

    def _seek_wanted(self, gained: frozenset[int]) -> None:
        for partition in gained & self._wanted.keys():
            self.consumer.seek(TopicPartition(self._name, partition), self._wanted.pop(partition))


def _stored(topic: str, record: ConsumerRecord) -> Stored:
    time = _EPOCH + timedelta(milliseconds=record.timestamp)
    key = "" if record.key is None else record.key.decode("utf-8", "replace")
    return Stored(topic, record.partition, record.offset, time, key, record.value or b"")


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    try:
        yield
    except KafkaConfigurationError:
        raise  # no retry mends it
    except (KafkaError, OSError) as fault:
        raise StreamUnavailable(f"{what}: {type(fault).__name__}: {fault}") from fault
