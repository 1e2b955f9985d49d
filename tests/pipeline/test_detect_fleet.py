"""The settled alerts are the same for one worker or many, through kills at any write and rebalances."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline import rulesets
from pipeline.roles.detect import Detect
from pipeline.streams import ALERTS, EVENTS, STATE, Message, StreamUnavailable
from rules.alert import Alert
from rules.event import Value, rfc3339
from rules.ruleset import RuleSet, load
from tests.pipeline.memory_stream import Killed, Log, MemoryStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
CHAIN = """
title: Root came in after refused attempts
id: 2f4e6a8c-0b1d-4f3a-9c5e-7b9d1f3a5c12
correlation:
    type: temporal_ordered
    rules: [9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b04, 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a01]
    group-by: [host.id, source.ip]
    timespan: 10m
    generate: true
level: critical
"""
Told = dict[tuple[str, str], tuple[str, ...]]


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    ruleset = load([*rulesets.sources(["builtin"], []), ("chain.yml", CHAIN)], {"dbas": ("dba_ann",)})
    assert not ruleset.errors
    return ruleset


def day(seed: int, seconds: int = 120) -> list[list[Message]]:
    """Each second's events: logins good and bad, a disk that comes and goes, noise; some seen late."""
    chance = random.Random(seed)
    out: list[list[Message]] = [[] for _ in range(seconds)]
    number = 0
    for second in range(seconds):
        for _ in range(chance.randrange(4)):
            number += 1
            host, user = f"h{chance.randrange(5)}", chance.choice(["root", "root", "ada"])
            fields: dict[str, Value] = {
                "event.module": "sshd",
                "event.category": ["authentication"],
                "event.action": "ssh_login",
                "event.outcome": "success" if chance.random() < 0.1 else "failure",
                "user.name": user,
                "source.ip": f"203.0.113.{chance.randrange(2)}",
                "host.id": host,
            }
            if chance.random() < 0.3:
                fields = {
                    "event.kind": "metric",
                    "event.module": "host_metrics",
                    "event.dataset": "system.filesystem",
                    "system.filesystem.mount_point": "/",
                    "system.filesystem.used.pct": chance.choice([0.5, 0.88, 0.95]),
                    "host.id": host,
                }
            stamp = rfc3339(NOW + timedelta(seconds=second))
            own: dict[str, Value] = {"event.id": f"e{number:04}", "@timestamp": stamp, "event.created": stamp}
            seen = min(seconds - 1, second + (chance.randrange(30) if "user.name" in fields else 0))
            out[seen].append(Message(host, msgspec.json.encode(own | fields)))
    return out


def alerts(log: Log) -> list[Alert]:
    return [Alert.model_validate_json(one.value) for one in log.topic(ALERTS)[0]]


def told(log: Log) -> Told:
    """What was told in the end: for episodes the last settled evidence, for all else what fired and resolved."""
    out: Told = {}
    for alert in alerts(log):
        for replaced in alert.replaces:
            out.pop((replaced, "settled"), None)
        if alert.proof.digest and alert.step != "settled":
            continue
        out[alert.id, alert.step] = alert.proof.events
    return out


def run(log: Log, events: Sequence[Sequence[Message]], fleet: Callable[[int], None]) -> None:
    """Live through the events second by second, and long enough after for everything to settle."""
    source = MemoryStream(log)
    for second in range(len(events) + 900):
        log.now = NOW + timedelta(seconds=second)
        if second < len(events) and events[second]:
            source.append(EVENTS, events[second])
        fleet(second)


def settled_by(roles: list[Detect], log: Log) -> Callable[[int], None]:
    def fleet(second: int) -> None:
        for _ in range(3):
            for role in roles:
                role.step(log.now)

    return fleet


def alone(ruleset: RuleSet, events: Sequence[Sequence[Message]]) -> Told:
    """Return what one worker tells that nothing happens to."""
    log = Log(1, NOW)
    run(log, events, settled_by([Detect(MemoryStream(log), ruleset, engine="test")], log))
    return told(log)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_one_worker_or_many_tell_the_same_in_the_end(shipped: RuleSet, workers: int) -> None:
    events = day(7)
    log = Log(4, NOW)
    roles = [Detect(MemoryStream(log), shipped, engine="test") for _ in range(workers)]
    run(log, events, settled_by(roles, log))
    found = told(log)
    assert found == alone(shipped, events)
    assert len(found) > 20


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_a_kill_at_any_write_and_the_rebalance_that_follows_change_nothing(
    shipped: RuleSet, seed: int, *, after: bool
) -> None:
    events = day(seed, 60)
    chance = random.Random(seed)
    log = Log(4, NOW)
    streams: list[MemoryStream] = []
    roles: list[Detect] = []

    def start() -> None:
        streams.append(MemoryStream(log, chance.randrange(40), after=after))
        roles.append(Detect(streams[-1], shipped, engine="test"))

    def fleet(second: int) -> None:
        for place in range(len(roles) - 1, -1, -1):
            try:
                roles[place].step(log.now)
                roles[place].step(log.now)
            except Killed:
                streams.pop(place).close()
                del roles[place]
        while len(roles) < 2 and second < 400:
            start()
        if not roles:
            streams.append(MemoryStream(log))
            roles.append(Detect(streams[-1], shipped, engine="test"))

    run(log, events, fleet)
    assert told(log) == alone(shipped, events)


class Flaky(MemoryStream):
    """A stream that is away at every third write."""

    calls = 0

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        self._maybe()
        super().append(topic, messages)

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._maybe()
        super().commit(topic, group, offsets)

    def _maybe(self) -> None:
        self.calls += 1
        if self.calls % 3 == 0:
            raise StreamUnavailable("away")


def test_a_stream_that_is_away_for_moments_costs_nothing(shipped: RuleSet) -> None:
    events = day(3, 60)
    log = Log(2, NOW)
    role = Detect(Flaky(log), shipped, engine="test")

    def fleet(second: int) -> None:
        for _ in range(5):
            with contextlib.suppress(StreamUnavailable):
                role.step(log.now)

    run(log, events, fleet)
    assert told(log) == alone(shipped, events)


def test_state_too_long_for_one_record_is_kept_in_parts(shipped: RuleSet) -> None:
    log = Log(1, NOW)
    source, role = MemoryStream(log), Detect(MemoryStream(log), shipped, engine="test")
    fields: dict[str, Value] = {
        "event.module": "sshd",
        "event.category": ["authentication"],
        "event.outcome": "failure",
        "user.name": "root",
        "source.ip": "203.0.113.7",
        "host.id": "h",
        "@timestamp": rfc3339(NOW),
    }
    source.append(EVENTS, [Message("h", msgspec.json.encode(fields | {"event.id": f"e{n:05}"})) for n in range(4000)])
    for _ in range(5):
        role.step(NOW)
    assert max(len(one.value) for one in log.topic(STATE)[0]) < 512 * 1024
    successor = Detect(MemoryStream(log), shipped, engine="test")
    log.members.clear()
    source.append(EVENTS, [Message("h", msgspec.json.encode(fields | {"event.id": "last"}))])
    for second in range(900):
        log.now = NOW + timedelta(seconds=second)
        successor.step(log.now)
    settled = [one for one in alerts(log) if one.step == "settled" and one.rule.title == "Failed root login in number"]
    assert [one.proof.count for one in settled] == [4001]
