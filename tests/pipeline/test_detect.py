"""The detecting role over the embedded stream: what goes in as events comes out as alerts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipeline import rulesets
from pipeline.roles.detect import Detect
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, MATCHES, Batch, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert
from rules.event import Value, rfc3339
from rules.ruleset import RuleSet, load
from tests.standins.prompt import PromptStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
ROOT: dict[str, Value] = {
    "event.module": "sshd",
    "event.category": ["authentication"],
    "event.action": "ssh_login",
    "event.outcome": "success",
    "user.name": "root",
    "source.ip": "203.0.113.7",
    "host.id": "h1",
}
WRONG = ROOT | {"event.outcome": "failure"}


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[SqliteStream]:
    stream = PromptStream(tmp_path)
    yield stream
    stream.close()


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    ruleset = load(rulesets.sources(["builtin"], []), {"dbas": ("dba_ann",), "anchored_hosts": ()})
    assert not ruleset.faults
    return ruleset


class Passing:
    """A Stream that passes everything on."""

    def __init__(self, inner: SqliteStream) -> None:
        self.inner = inner

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        self.inner.append(topic, messages)

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        return self.inner.read(topic, group, limit, wait)

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self.inner.commit(topic, group, offsets)

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self.inner.seek(topic, group, offsets)

    def ends(self, topic: str) -> Mapping[int, int]:
        return self.inner.ends(topic)

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return self.inner.committed(topic, group)

    def close(self) -> None: ...


def event(number: int, fields: Mapping[str, Value], after: float = 0) -> Message:
    stamp = rfc3339(NOW + timedelta(seconds=after))
    own: dict[str, Value] = {"event.id": f"e{number}", "@timestamp": stamp, "event.created": stamp}
    return Message("h1", msgspec.json.encode(own | dict(fields)))


def alerts(stream: SqliteStream) -> list[Alert]:
    batch = stream.read(ALERTS, "test", 1000, 0)
    return [Alert.model_validate_json(message.value) for message in batch.messages]


def settle(role: Detect, now: datetime = NOW) -> None:
    while role.step(now):
        pass


def test_a_root_login_is_one_alert_with_who_and_where_from(stream: SqliteStream, shipped: RuleSet) -> None:
    stream.append(EVENTS, [event(1, ROOT)])
    settle(Detect(stream, shipped, engine="test"))
    (alert,) = alerts(stream)
    assert (alert.step, alert.rule.title, alert.rule.urgency) == ("fired", "Root login over SSH", "page")
    assert (alert.key, alert.fields["user.name"], alert.fields["source.ip"]) == (
        {"host.id": "h1"},
        "root",
        "203.0.113.7",
    )


def test_three_wrong_passwords_for_root_are_one_alert_of_the_correlation(
    stream: SqliteStream, shipped: RuleSet
) -> None:
    stream.append(EVENTS, [event(number, WRONG, number) for number in range(1, 5)])
    settle(Detect(stream, shipped, engine="test"))
    (alert,) = alerts(stream)
    assert alert.rule.title == "Failed root login in number"
    assert (alert.proof.events, alert.proof.values["value"]) == (("e1", "e2", "e3"), 3)


def test_a_disk_that_fills_fires_once_and_resolves_once(stream: SqliteStream, shipped: RuleSet) -> None:
    def disk(used: float) -> dict[str, Value]:
        return {
            "event.kind": "metric",
            "event.module": "host_metrics",
            "event.dataset": "system.filesystem",
            "system.filesystem.mount_point": "/",
            "system.filesystem.used.pct": used,
            "host.id": "h1",
        }

    readings = [0.5, 0.91, 0.95, 0.88, 0.93, 0.84, 0.5]
    stream.append(EVENTS, [event(number, disk(used), number) for number, used in enumerate(readings)])
    settle(Detect(stream, shipped, engine="test"))
    fired, resolved = alerts(stream)
    assert (fired.step, fired.proof.events, resolved.step, resolved.proof.events) == (
        "fired",
        ("e1",),
        "resolved",
        ("e5",),
    )
    assert fired.id == resolved.id


def test_a_restart_goes_on_where_the_state_stands(stream: SqliteStream, shipped: RuleSet, tmp_path: Path) -> None:
    stream.append(EVENTS, [event(1, WRONG, 1), event(2, WRONG, 2)])
    settle(Detect(stream, shipped, engine="test"))
    again = PromptStream(tmp_path)
    again.append(EVENTS, [event(3, WRONG, 3)])
    settle(Detect(again, shipped, engine="test"))
    (alert,) = alerts(again)
    assert alert.proof.events == ("e1", "e2", "e3")
    again.close()


def test_what_cannot_be_judged_is_set_aside_whole_and_the_rest_goes_on(stream: SqliteStream, shipped: RuleSet) -> None:
    stream.append(EVENTS, [Message("h1", b"{not json"), event(1, ROOT)])
    settle(Detect(stream, shipped, engine="test"))
    (letter,) = stream.read(DEADLETTER, "test", 10, 0).messages
    assert b"{not json" in letter.value
    assert len(alerts(stream)) == 1


def test_an_idle_partition_is_given_a_tick_each_second(stream: SqliteStream, shipped: RuleSet) -> None:
    role = Detect(stream, shipped, engine="test")
    for second in range(4):
        settle(role, NOW + timedelta(seconds=second))
    ticks = [one for one in stream.read(EVENTS, "test", 100, 0).messages if b'"tick"' in one.value]
    assert len(ticks) == 3
    assert any(b"marker" in one.value for one in stream.read(MATCHES, "test", 100, 0).messages)


def test_what_left_the_stream_before_it_was_judged_is_a_number(stream: SqliteStream, shipped: RuleSet) -> None:
    class Late(Passing):
        def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
            found = self.inner.read(topic, group, limit, wait)
            return replace(found, missing={0: 7}) if topic == EVENTS and found.gained else found

    role = Detect(Late(stream), shipped, engine="test")
    settle(role)
    (letter,) = stream.read(DEADLETTER, "test", 10, 0).messages
    assert b"7 records left the stream before they were judged" in letter.value
    assert role.lost == 7
