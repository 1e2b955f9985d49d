"""The indexing role over the embedded stream and index: at least once in, exactly once found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipeline.indexes import Document, IndexUnavailable, Page, Query, Refused
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.records import DeadLetter, heartbeat, tick
from pipeline.roles.index import Indexer
from pipeline.search.language import parse
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert, Proof, Rule
from rules.event import Value
from tests.standins.prompt import PromptStream

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALERT = Alert(
    step="fired",
    id="a" * 32,
    rule=Rule(id="r-1", title="Root login", level="high"),
    key={"host.id": "h-1", "user.name": "root"},
    time=NOW,
    since=NOW,
    received=NOW,
    fields={"user.name": "root", "source.ip": "10.0.0.7", "event.outcome": "success", "host.name": "db-7"},
    proof=Proof(rule_hash="x", engine="0", count=1),
)


class Flaky:
    """An index that is away for a number of puts."""

    def __init__(self, index: SqliteIndex, away: int) -> None:
        self.index = index
        self.away = away

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        if self.away:
            self.away -= 1
            raise IndexUnavailable("away")
        return self.index.put(documents)

    def search(self, query: Query) -> Page:
        return self.index.search(query)

    def close(self) -> None:
        self.index.close()


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[SqliteStream]:
    stream = PromptStream(tmp_path / "stream")
    yield stream
    stream.close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqliteIndex]:
    index = SqliteIndex(tmp_path / "index")
    yield index
    index.close()


def event(number: int, **fields: Value) -> Message:
    base = {"@timestamp": "2026-11-22T11:59:00.000000Z", "event.id": f"{number:032x}", "tocsin.class": "auth"}
    named = {name.replace("_", "."): value for name, value in fields.items()}
    return Message("h-1", msgspec.json.encode(base | {"tocsin.record": "event"} | named))


def found(index: SqliteIndex, query: str) -> list[dict[str, Value]]:
    return [dict(one.fields) for one in index.search(Query(parse(query))).hits]


def drain(role: Indexer) -> None:
    while role.step(NOW):
        pass


def test_events_are_found_and_heartbeats_and_ticks_are_not(stream: SqliteStream, index: SqliteIndex) -> None:
    beat = msgspec.json.encode(heartbeat("h-1", "auth.log", NOW))
    stream.append(EVENTS, [event(1, user_name="root"), Message("h-1", beat), Message("", tick(NOW))])
    drain(Indexer(stream, index))
    assert [hit["event.id"] for hit in found(index, "")] == [f"{1:032x}"]
    assert stream.ends(DEADLETTER) == {0: 0}


def test_what_could_not_be_put_is_put_by_the_next_step(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(EVENTS, [event(1)])
    role = Indexer(stream, Flaky(index, away=2))
    for _ in range(2):
        with pytest.raises(IndexUnavailable):
            role.step(NOW)
    assert stream.committed(EVENTS, "index") == {}
    drain(role)
    assert len(found(index, "")) == 1
    assert stream.committed(EVENTS, "index") == {0: 1}


def test_a_crash_between_put_and_commit_indexes_nothing_twice(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(EVENTS, [event(1), event(2)])
    drain(Indexer(stream, index))
    stream.seek(EVENTS, "index", {0: 0})
    drain(Indexer(stream, index))
    assert len(found(index, "")) == 2


def test_a_record_that_is_no_event_costs_itself(stream: SqliteStream, index: SqliteIndex) -> None:
    hostile = [b"\xff", b"[]", b'{"event.id": 1}', b'{"event.id": "x", "@timestamp": "yesterday"}', b""]
    stream.append(EVENTS, [event(1), *(Message("h-1", value) for value in hostile), event(2)])
    drain(Indexer(stream, index))
    assert len(found(index, "")) == 2
    assert [letter.offset for letter in letters(stream)] == [1, 2, 3, 4, 5]


def test_a_dead_letter_holds_the_record_and_where_it_stood(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(EVENTS, [Message("h-1", b"no json \xff")])
    drain(Indexer(stream, index))
    (letter,) = letters(stream)
    assert (letter.stage, letter.topic, letter.offset, letter.value) == ("index", EVENTS, 0, "no json \\xff")


def letters(stream: SqliteStream) -> list[DeadLetter]:
    found = stream.read(DEADLETTER, "people", 100, 0.0).messages
    return [DeadLetter.model_validate_json(one.value) for one in found]


def test_an_alert_is_found_by_its_rule_and_by_whom_it_is_about(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(ALERTS, [Message("", ALERT.model_dump_json().encode())])
    drain(Indexer(stream, index))
    (hit,) = found(index, "rule.id:r-1 related.user:root related.ip:10.0.0.7 tocsin.alert.step:fired")
    assert (hit["event.module"], hit["event.kind"], hit["tocsin.class"]) == ("tocsin", "alert", "tocsin")
    assert hit["tocsin.alert.key"] == ["host.id=h-1", "user.name=root"]


def test_a_search_for_the_login_does_not_find_what_was_said_of_it(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(EVENTS, [event(1, user_name="root", event_outcome="success")])
    stream.append(ALERTS, [Message("", ALERT.model_dump_json().encode())])
    drain(Indexer(stream, index))
    assert len(found(index, "user.name:root AND event.outcome:success")) == 1


def test_the_same_alert_appended_twice_is_one_document(stream: SqliteStream, index: SqliteIndex) -> None:
    stream.append(ALERTS, [Message("", ALERT.model_dump_json().encode())] * 2)
    drain(Indexer(stream, index))
    assert len(found(index, "event.kind:alert")) == 1


def test_what_is_no_longer_kept_goes_at_intervals(stream: SqliteStream, index: SqliteIndex) -> None:
    told: list[datetime] = []
    role = Indexer(stream, index, lambda now: told.append(now) or 0)
    for minutes in (0, 1, 4, 5, 6, 10):
        role.step(NOW + timedelta(minutes=minutes))
    assert told == [NOW + timedelta(minutes=minutes) for minutes in (0, 5, 10)]
