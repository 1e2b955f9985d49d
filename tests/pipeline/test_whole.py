"""The whole of a topic, or a refusal: never a part of it taken for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.streams import ALERTS, EVENTS, Batch, Message, Stored, StreamUnavailable
from pipeline.streams.sqlite import SqliteStream
from pipeline.streams.whole import own_group, whole
from tests.pipeline.memory_stream import Log, MemoryStream

T0 = datetime(2026, 11, 22, 9, tzinfo=UTC)


def numbered(count: int) -> list[Message]:
    return [Message(f"host-{number % 7}", f"{number}".encode()) for number in range(count)]


def test_every_partition_is_read_to_its_end_and_each_record_once() -> None:
    log = Log(4, T0)
    MemoryStream(log).append(EVENTS, numbered(200))
    found = [int(one.value) for one in whole(MemoryStream(log), EVENTS, own_group("t"))]
    assert sorted(found) == list(range(200))


def test_reading_begins_at_the_offsets_given_and_one_that_is_not_given_at_its_beginning() -> None:
    log = Log(4, T0)
    MemoryStream(log).append(EVENTS, numbered(200))
    skipped = {0: 10, 2: 3}
    found = [(one.partition, one.offset) for one in whole(MemoryStream(log), EVENTS, own_group("t"), skipped)]
    ends = MemoryStream(log).ends(EVENTS)
    assert sorted(found) == [(p, o) for p, end in sorted(ends.items()) for o in range(skipped.get(p, 0), end)]


def test_a_group_that_was_used_before_is_given_everything_again(tmp_path: Path) -> None:
    stream = SqliteStream(tmp_path / "stream")
    stream.append(ALERTS, numbered(3))
    group = own_group("t")
    assert [[one.value for one in whole(stream, ALERTS, group)] for _ in range(2)] == [[b"0", b"1", b"2"]] * 2
    stream.close()


def test_an_empty_topic_is_whole(tmp_path: Path) -> None:
    stream = SqliteStream(tmp_path / "stream")
    assert list(whole(stream, ALERTS, own_group("t"))) == []
    stream.close()


class Scripted(MemoryStream):
    """A stream of one record, whose end and whose reads are said."""

    def __init__(self, end: int, *batches: Batch) -> None:
        super().__init__(Log(1, T0))
        self._end, self._batches = end, list(batches)

    def ends(self, topic: str) -> Mapping[int, int]:
        return {0: self._end}

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        return self._batches.pop(0) if self._batches else Batch()


def stored(offset: int) -> Stored:
    return Stored(ALERTS, 0, offset, T0, "", b"%d" % offset)


def test_an_end_that_stays_out_of_reach_is_said_with_how_far_it_came() -> None:
    stream = Scripted(5, Batch([stored(0), stored(1)]))
    with pytest.raises(StreamUnavailable, match=r"partition 0 up to 2 of 5"):
        list(whole(stream, ALERTS, "g"))


def test_what_retention_took_before_it_was_read_is_not_waited_for() -> None:
    stream = Scripted(5, Batch(missing={0: 3}), Batch([stored(3), stored(4)]))
    assert [one.offset for one in whole(stream, ALERTS, "g")] == [3, 4]


def test_what_is_missing_between_two_records_hides_neither() -> None:
    stream = Scripted(7, Batch([stored(0), stored(1), stored(5), stored(6)], missing={0: 3}))
    assert [one.offset for one in whole(stream, ALERTS, "g")] == [0, 1, 5, 6]


def test_a_topic_that_retention_emptied_is_whole() -> None:
    assert list(whole(Scripted(5, Batch(missing={0: 5})), ALERTS, "g")) == []


def test_what_a_rebalance_reads_again_is_given_once() -> None:
    stream = Scripted(4, Batch([stored(0), stored(1)]), Batch([stored(0), stored(1), stored(2)]), Batch([stored(3)]))
    assert [one.offset for one in whole(stream, ALERTS, "g")] == [0, 1, 2, 3]


def test_what_is_appended_meanwhile_is_not_part_of_it() -> None:
    stream = Scripted(1, Batch([stored(0), stored(1)]))
    assert [one.offset for one in whole(stream, ALERTS, "g")] == [0]
