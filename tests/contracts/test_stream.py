"""What every Stream promises, asked of every adapter; and what only a cluster can show, asked of Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.structs import TopicPartition

from pipeline.streams import ALERTS, EVENTS, STATE, Batch, Message, Stored, Stream, StreamUnavailable
from pipeline.streams.kafka import KafkaStream
from pipeline.streams.sqlite import SqliteStream
from pipeline.streams.whole import own_group, whole
from tests.conftest import absent
from tests.services.kafka import PASSWORD, USER, Kafka
from tests.services.process import CannotServe, free_port

Open = Callable[[], Stream]
ROUNDS = 100  # of at most 0.2 s each: how long a read may take to join its group on a busy machine


def prefix_of(request: pytest.FixtureRequest) -> str:
    """A prefix for each test, so that each has topics of its own on the one broker."""
    return "t" + "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def opened() -> Iterator[list[Stream]]:
    streams: list[Stream] = []
    yield streams
    for stream in streams:
        stream.close()


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.server)])
def reopen(request: pytest.FixtureRequest, tmp_path: Path, opened: list[Stream]) -> Open:
    """Return what opens the adapter's stream: the same data each time, as after a restart."""
    servers = request.getfixturevalue("kafka").servers if request.param == "kafka" else []

    def make() -> Stream:
        stream: Stream
        if request.param == "kafka":
            stream = KafkaStream(servers, prefix=prefix_of(request))
        else:
            stream = SqliteStream(tmp_path / "stream")
        opened.append(stream)
        return stream

    return make


@pytest.fixture
def stream(reopen: Open) -> Stream:
    return reopen()


def messages(*numbers: int, key: str = "host-1") -> list[Message]:
    return [Message(key, f"{number}".encode()) for number in numbers]


def take(stream: Stream, count: int, topic: str = ALERTS, group: str = "g") -> list[Stored]:
    """Read until so many messages came."""
    found: list[Stored] = []
    for _ in range(ROUNDS):
        if len(found) >= count:
            return found
        found.extend(stream.read(topic, group, count - len(found), 0.2).messages)
    pytest.fail(f"{len(found)} of {count} messages came")


def until(stream: Stream, wanted: Callable[[Batch], bool], topic: str = ALERTS, group: str = "g") -> Batch:
    for _ in range(ROUNDS):
        batch = stream.read(topic, group, 100, 0.2)
        if wanted(batch):
            return batch
    pytest.fail("no such batch came")


def values(found: list[Stored]) -> list[bytes]:
    return [message.value for message in found]


def test_messages_come_back_in_order_with_their_offsets_and_keys(stream: Stream) -> None:
    stream.append(ALERTS, messages(1, 2))
    stream.append(ALERTS, messages(3, key="host-2"))
    found = take(stream, 3)
    assert values(found) == [b"1", b"2", b"3"]
    assert [message.offset for message in found] == [0, 1, 2]
    assert [message.key for message in found] == ["host-1", "host-1", "host-2"]
    assert {message.topic for message in found} == {ALERTS}


def test_one_key_keeps_its_order_whatever_the_partitions(stream: Stream) -> None:
    for number in range(20):
        stream.append(EVENTS, [Message(f"host-{number % 5}", f"{number}".encode())])
    found = take(stream, 20, EVENTS)
    for host in range(5):
        of_host = [int(message.value) for message in found if message.key == f"host-{host}"]
        assert of_host == list(range(host, 20, 5))
    assert len({message.partition for message in found if message.key == "host-1"}) == 1


def test_what_was_appended_survives_a_reopen(stream: Stream, reopen: Open) -> None:
    stream.append(ALERTS, messages(1))
    stream.close()
    assert values(take(reopen(), 1)) == [b"1"]


def test_a_group_goes_on_where_it_committed(stream: Stream, reopen: Open) -> None:
    stream.append(ALERTS, messages(1, 2, 3))
    take(stream, 2)
    stream.commit(ALERTS, "g", {0: 2})
    stream.close()
    again = reopen()
    assert again.committed(ALERTS, "g") == {0: 2}
    assert values(take(again, 1)) == [b"3"]


def test_what_was_read_but_not_committed_is_read_again_after_a_restart(stream: Stream, reopen: Open) -> None:
    stream.append(ALERTS, messages(1, 2))
    take(stream, 2)
    stream.close()
    assert values(take(reopen(), 2)) == [b"1", b"2"]


def test_groups_read_independently(stream: Stream) -> None:
    stream.append(ALERTS, messages(1))
    assert values(take(stream, 1, group="index")) == [b"1"]
    stream.commit(ALERTS, "index", {0: 1})
    assert values(take(stream, 1, group="notify")) == [b"1"]
    assert stream.committed(ALERTS, "notify") == {}


def test_the_whole_of_a_topic_is_read_once_whatever_its_group_read_before(stream: Stream) -> None:
    stream.append(EVENTS, [Message(f"host-{number % 5}", f"{number}".encode()) for number in range(20)])
    group = own_group("t")
    for _ in range(2):
        assert sorted(int(one.value) for one in whole(stream, EVENTS, group)) == list(range(20))


def test_the_first_read_says_which_partitions_are_gained(stream: Stream) -> None:
    assert until(stream, lambda batch: bool(batch.gained)).gained == {0}


def test_a_stateful_reader_seeks_to_its_snapshot(stream: Stream) -> None:
    stream.append(ALERTS, messages(1, 2, 3))
    stream.commit(ALERTS, "g", {0: 3})
    until(stream, lambda batch: bool(batch.gained))
    stream.seek(ALERTS, "g", {0: 1})
    assert values(take(stream, 2)) == [b"2", b"3"]


def test_a_read_gives_no_more_than_its_limit(stream: Stream) -> None:
    stream.append(ALERTS, messages(*range(10)))
    first = until(stream, lambda batch: bool(batch.messages))
    stream.seek(ALERTS, "g", {0: 0})
    assert first.messages
    assert len(stream.read(ALERTS, "g", 4, 1.0).messages) <= 4
    assert values(take(stream, 3)) != []


def test_an_empty_topic_gives_an_empty_batch(stream: Stream) -> None:
    until(stream, lambda batch: bool(batch.gained))
    batch = stream.read(ALERTS, "g", 10, 0.0)
    assert list(batch.messages) == []
    assert batch.gained == batch.lost == frozenset()
    assert batch.missing == {}


def test_ends_are_the_offsets_that_come_next(stream: Stream) -> None:
    assert stream.ends(ALERTS) == {0: 0}
    stream.append(ALERTS, messages(1, 2))
    assert stream.ends(ALERTS) == {0: 2}


def test_append_time_never_runs_backwards(stream: Stream) -> None:
    for number in range(10):
        stream.append(ALERTS, messages(number))
    times = [message.time for message in take(stream, 10)]
    assert times == sorted(times)
    assert all(time.tzinfo is UTC for time in times)


def test_append_time_is_that_of_the_append_for_every_reader(stream: Stream) -> None:
    stream.append(ALERTS, messages(1))
    (once,) = take(stream, 1, group="a")
    (again,) = take(stream, 1, group="b")
    assert once.time == again.time > datetime(2020, 1, 1, tzinfo=UTC)


def test_a_value_is_any_bytes_up_to_the_size_of_a_record(stream: Stream) -> None:
    hostile = bytes(range(256)) * 2048
    stream.append(ALERTS, [Message("", hostile), Message("schlüssel", b"")])
    found = take(stream, 2)
    assert values(found) == [hostile, b""]
    assert found[1].key == "schlüssel"


def test_the_state_topic_gives_the_last_value_of_each_key(stream: Stream) -> None:
    stream.append(STATE, [Message("a", b"1"), Message("b", b"2")])
    stream.append(STATE, [Message("a", b"3")])
    last: dict[str, bytes] = {}
    while len(last) < 2 or last["a"] != b"3":
        last |= {message.key: message.value for message in take(stream, 1, STATE)}
    assert last == {"a": b"3", "b": b"2"}


@pytest.fixture
def kafka_pair(kafka: Kafka, request: pytest.FixtureRequest, opened: list[Stream]) -> tuple[Stream, Stream]:
    pair = (
        KafkaStream(kafka.servers, prefix=prefix_of(request)),
        KafkaStream(kafka.servers, prefix=prefix_of(request)),
    )
    opened.extend(pair)
    return pair


def test_two_readers_share_the_partitions_and_hear_of_it(kafka_pair: tuple[Stream, Stream]) -> None:
    owned = {0: set(until(kafka_pair[0], lambda batch: bool(batch.gained), EVENTS).gained), 1: set[int]()}
    assert owned[0] == {0, 1, 2, 3}
    for _ in range(ROUNDS):
        for number, stream in enumerate(kafka_pair):
            batch = stream.read(EVENTS, "g", 10, 0.1)
            owned[number] = (owned[number] - batch.lost) | batch.gained
        if len(owned[0]) == len(owned[1]) == 2:
            break
    assert len(owned[0]) == len(owned[1]) == 2
    assert owned[0] | owned[1] == {0, 1, 2, 3}


def test_a_reader_that_leaves_hands_over_at_the_committed_offset(kafka_pair: tuple[Stream, Stream]) -> None:
    first, second = kafka_pair
    first.append(ALERTS, messages(1, 2))
    take(first, 2)
    first.commit(ALERTS, "g", {0: 1})
    second.read(ALERTS, "g", 10, 0.1)
    first.close()
    assert values(take(second, 1)) == [b"2"]


def test_what_retention_took_before_it_was_read_is_counted(kafka: Kafka, kafka_pair: tuple[Stream, Stream]) -> None:
    first, second = kafka_pair
    first.append(ALERTS, messages(1, 2, 3, 4))
    take(first, 1)
    first.commit(ALERTS, "g", {0: 1})
    first.close()
    forget(kafka, second, before=3)
    assert until(second, lambda batch: bool(batch.missing)).missing == {0: 2}
    assert values(take(second, 1)) == [b"4"]


def test_to_a_new_group_nothing_is_missing(kafka: Kafka, kafka_pair: tuple[Stream, Stream]) -> None:
    stream, _ = kafka_pair
    stream.append(ALERTS, messages(1, 2))
    forget(kafka, stream, before=1)
    assert values(take(stream, 1)) == [b"2"]
    assert stream.read(ALERTS, "g", 10, 0.1).missing == {}


def forget(kafka: Kafka, stream: Stream, *, before: int) -> None:
    """Do at once what retention does in time."""
    assert isinstance(stream, KafkaStream)
    admin = KafkaAdminClient(bootstrap_servers=kafka.servers)
    admin.delete_records({TopicPartition(stream._name(ALERTS), 0): before})
    admin.close()


@pytest.mark.slow
def test_a_broker_that_is_away_is_unavailable_not_an_answer() -> None:
    stream = KafkaStream([f"127.0.0.1:{free_port()}"])
    with pytest.raises(StreamUnavailable):
        stream.append(ALERTS, messages(1))
    with pytest.raises(StreamUnavailable):
        stream.read(ALERTS, "g", 1, 0.0)
    stream.close()


def test_topics_are_made_with_their_partitions_and_their_time_to_keep(
    kafka: Kafka, request: pytest.FixtureRequest, opened: list[Stream]
) -> None:
    prefix = prefix_of(request)
    stream = KafkaStream(kafka.servers, prefix=prefix, partitions=3, keep=timedelta(hours=2))
    opened.append(stream)
    assert stream.ends(EVENTS) == {0: 0, 1: 0, 2: 0}
    assert stream.ends(ALERTS) == stream.ends(STATE) == {0: 0}
    admin = KafkaAdminClient(bootstrap_servers=kafka.servers)
    asked = [ConfigResource(ConfigResourceType.TOPIC, f"{prefix}.{name}") for name in ("events", "state")]
    (told,) = admin.describe_configs(asked).values()
    admin.close()
    events, state = told[f"{prefix}.events"], told[f"{prefix}.state"]
    assert events["retention.ms"]["value"] == "7200000"
    assert events["message.timestamp.type"]["value"] == "LogAppendTime"
    assert state["cleanup.policy"]["value"] == "compact"


@pytest.mark.server
def test_a_broker_that_dies_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    try:
        broker = Kafka(tmp_path)
    except CannotServe as fault:
        absent("kafka", fault)
    stream = KafkaStream(broker.servers)
    try:
        stream.append(ALERTS, messages(1))
        assert values(take(stream, 1)) == [b"1"]
        stream.commit(ALERTS, "g", {0: 1})
        broker.kill()
        with pytest.raises(StreamUnavailable):
            stream.append(ALERTS, messages(2))
        broker.start()
        append_until_taken(stream, messages(2))
        found = {message.value for message in take(stream, 1)}
        assert found == {b"2"}  # at least once: a message that the failed append did bring is the same one again
    finally:
        stream.close()
        broker.stop()


def append_until_taken(stream: Stream, what: list[Message]) -> None:
    for _ in range(ROUNDS):
        try:
            return stream.append(ALERTS, what)
        except StreamUnavailable:
            continue
    pytest.fail("the broker did not come back")


def test_the_broker_is_spoken_to_with_a_password(kafka: Kafka, request: pytest.FixtureRequest) -> None:
    security = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": USER}
    stream = KafkaStream(
        kafka.sasl_servers, security={**security, "sasl_plain_password": PASSWORD}, prefix=prefix_of(request)
    )
    stream.append(ALERTS, messages(1))
    assert values(take(stream, 1)) == [b"1"]
    stream.close()
    wrong = KafkaStream(kafka.sasl_servers, security={**security, "sasl_plain_password": "no"})
    with pytest.raises(StreamUnavailable):
        wrong.append(ALERTS, messages(1))
    wrong.close()
