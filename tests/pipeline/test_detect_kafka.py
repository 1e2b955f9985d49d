"""The settled alerts of a fleet on a real Kafka are those of one process on SQLite, though its correlator is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from pipeline.roles.detect import Detect
from pipeline.streams import ALERTS, EVENTS, MATCHES, Batch, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert
from rules.event import Value, rfc3339
from rules.match import Marker, decode
from rules.ruleset import load
from tests.pipeline.detect_worker import Quick, QuickStream, moment
from tests.services.kafka import Kafka

RULES = """
title: Root login
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b01
logsource: {product: linux}
detection: {it: {event.outcome: success, user.name: root}, condition: it}
level: high
alert: {key: [host.id]}
---
title: Refused login
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b02
name: refused
logsource: {product: linux}
detection: {it: {event.outcome: failure}, condition: it}
level: low
---
title: Refused often
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b03
name: often
correlation: {type: event_count, rules: [refused], group-by: [host.id, user.name], timespan: 10s, condition: {gte: 3}}
level: high
---
title: Refused on many hosts
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b04
name: spray
correlation:
    {type: value_count, rules: [refused], group-by: [source.ip], timespan: 5s, condition: {field: host.id, gte: 4}}
level: high
---
title: Much was sent
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b05
correlation:
    {type: value_sum, rules: [refused], group-by: [host.id], timespan: 10s, condition: {field: source.bytes, gt: 250}}
level: high
---
title: Sprayed, then often
id: 9c2e4a60-1f3b-4c5d-8e7f-4d6e8f0a1b06
correlation: {type: temporal, rules: [often, spray], group-by: [source.ip], timespan: 20s, generate: true}
level: critical
"""
SECONDS = 60
SETTLING = timedelta(seconds=60 + 60)  # lateness, and more than the longest chain of windows
Told = dict[tuple[str, str], tuple[str, ...]]


def generated(began: datetime, seed: int) -> tuple[list[Message], list[Message]]:
    """Two halves of a minute on eight hosts; one event in five of the first half comes with the second."""
    chance = random.Random(seed)
    halves: tuple[list[Message], list[Message]] = ([], [])
    for number in range(360):
        second = number * SECONDS / 360
        stamp = rfc3339(began + timedelta(seconds=second))
        host = f"h{chance.randrange(8)}"
        fields: dict[str, Value] = {
            "event.id": f"e{number:04}",
            "@timestamp": stamp,
            "event.created": stamp,
            "host.id": host,
            "event.category": ["authentication"],
            "event.outcome": "success" if chance.random() < 0.1 else "failure",
            "user.name": chance.choice(["root", "ada"]),
            "source.ip": f"203.0.113.{chance.randrange(6)}",
            "source.bytes": chance.randrange(100),
        }
        late = second >= SECONDS / 2 or chance.random() < 0.2
        halves[late].append(Message(host, msgspec.json.encode(fields)))
    chance.shuffle(halves[1])
    return halves


def told(values: Iterable[bytes]) -> Told:
    """Return the evidence of what was told in the end: of episodes only what settled and was not taken back."""
    out: Told = {}
    for value in values:
        alert = Alert.model_validate_json(value)
        for gone in alert.replaces:
            out.pop((gone, "settled"), None)
        if alert.step == "resolved" and not alert.proof.digest:
            out.pop((alert.id, "settled"), None)
        elif not alert.proof.digest or alert.step == "settled":
            out[alert.id, alert.step] = alert.proof.events
    return out


class Alone(SqliteStream):
    """One process's stream, its append times those that the test sets."""

    def __init__(self, folder: Path, now: datetime) -> None:
        super().__init__(folder)
        self.now = now
        self._times: dict[int, datetime] = {}

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        before = self.ends(topic).get(0, 0)
        super().append(topic, messages)
        if topic == EVENTS:
            self._times.update(dict.fromkeys(range(before, self.ends(topic)[0]), self.now))

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        found = super().read(topic, group, limit, 0)
        if topic != EVENTS:
            return found
        return replace(found, messages=[replace(one, time=self._times[one.offset]) for one in found.messages])


def alone(folder: Path, began: datetime, halves: tuple[list[Message], list[Message]]) -> Told:
    stream = Alone(folder, began)
    role = Detect(stream, load([("rules.yml", RULES)], {}), engine="test")
    for second in range(0, SECONDS + 300):
        stream.now = began + timedelta(seconds=second)
        if second in (SECONDS // 2, SECONDS):
            stream.append(EVENTS, halves[second == SECONDS])
        for _ in range(3):
            role.step(stream.now)
    found = told(one.value for one in stream.read(ALERTS, "test", 10_000, 0).messages)
    stream.close()
    return found


class Fleet:
    """Workers of one prefix on Kafka, each a process."""

    def __init__(self, servers: list[str], folder: Path, began: datetime, rules: str = RULES) -> None:
        self.stream = QuickStream(servers, f"t{uuid.uuid4().hex[:8]}", Quick(began))
        self._servers, self._began = servers, began
        self._rules, self._owner = folder / "rules.yml", folder / "owner"
        self._rules.write_text(rules, "utf-8")
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._marks: dict[int, datetime] = {}
        self._seen = 0
        self._due = began

    def publish(self, messages: Sequence[Message]) -> None:
        self.stream.append(EVENTS, messages)
        self._due = Quick(self._began)(moment()) + SETTLING

    def start(self) -> None:
        program = [sys.executable, "-m", "tests.pipeline.detect_worker", ",".join(self._servers), self.stream._prefix]
        worker = subprocess.Popen(
            [*program, self._began.isoformat(), str(self._rules), str(self._owner)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
        )
        self._workers[worker.pid] = worker

    def correlates(self) -> bool:
        """Whether some worker has the matches, and has told something of them."""
        return self._owner.exists() and self.stream.ends(ALERTS)[0] > 0

    def kill_owner(self) -> None:
        worker = self._workers.pop(int(self._owner.read_text("utf-8")))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    def pause_owner(self) -> int:
        """Stop the owner where it stands; its session runs out while it knows nothing of it."""
        pid = int(self._owner.read_text("utf-8"))
        os.kill(pid, signal.SIGSTOP)
        return pid

    def taken_over(self, pid: int) -> bool:
        """Whether another correlates."""
        return int(self._owner.read_text("utf-8")) != pid

    def settled(self) -> bool:
        """Whether every partition is judged up to the end, and all that was matched is correlated."""
        for message in self.stream.read(MATCHES, "test", 5000, 0.1).messages:
            record = decode(message.value)
            if isinstance(record, Marker):
                self._marks[record.partition] = record.up_to
            self._seen = message.offset + 1
            if len(self._marks) == 4 and min(self._marks.values()) > self._due:
                return self._correlated()
        return False

    def _correlated(self) -> bool:
        until(lambda: self.stream.committed(MATCHES, "correlate").get(0, 0) >= self._seen)
        return True

    def told(self) -> Told:
        out: list[bytes] = []
        end = self.stream.ends(ALERTS)[0]
        while len(out) < end:
            out += [one.value for one in self.stream.read(ALERTS, "test", 5000, 0.1).messages]
        return told(out)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.kill()
            worker.wait()
        self.stream.close()


def until(done: Callable[[], bool]) -> None:
    """Wait for real servers, at most a minute."""
    began, waiter = moment(), threading.Event()
    while not done():
        assert (moment() - began).total_seconds() < 60
        waiter.wait(0.05)


@contextmanager
def fleets(servers: list[str], folder: Path, began: datetime, rules: str = RULES) -> Iterator[Mapping[int, Fleet]]:
    """Fleets of one, two and four workers, side by side."""
    out: dict[int, Fleet] = {}
    try:
        for size in (1, 2, 4):
            place = folder / str(size)
            place.mkdir()
            out[size] = Fleet(servers, place, began, rules)
            for _ in range(size):
                out[size].start()
        yield out
    finally:
        for fleet in out.values():
            fleet.stop()


def test_a_fleet_whose_correlator_is_killed_settles_what_one_process_does(kafka: Kafka, tmp_path: Path) -> None:
    began = moment()
    halves = generated(began, 7)
    expected = alone(tmp_path / "alone", began, halves)
    assert len(expected) > 60
    with fleets(kafka.servers, tmp_path, began) as running:
        for fleet in running.values():
            fleet.publish(halves[0])
        for fleet in running.values():
            until(fleet.correlates)
            fleet.start()  # a rebalance, and then another
            fleet.kill_owner()
            fleet.publish(halves[1])
        for fleet in running.values():
            until(fleet.settled)
        assert {size: fleet.told() for size, fleet in running.items()} == dict.fromkeys((1, 2, 4), expected)


def test_a_worker_that_was_stopped_and_comes_back_spoils_nothing_of_its_successor_s(
    kafka: Kafka, tmp_path: Path
) -> None:
    """Twice: what the first successor restores is the stopped one's state, what the second does is the first's, though
    the stopped one came back in between. Alerts that were told when their snapshot was not yet safe are told again, by
    the same ids: whoever is stopped just then leaves some."""
    began = moment()
    halves = generated(began, 11)
    expected = alone(tmp_path / "alone", began, halves)
    assert len(expected) > 60
    fleet = Fleet(kafka.servers, tmp_path, began)
    try:
        fleet.start()
        fleet.start()
        fleet.publish(halves[0])
        until(fleet.correlates)
        stopped = fleet.pause_owner()
        fleet.publish(halves[1][: len(halves[1]) // 2])
        until(lambda: fleet.taken_over(stopped))
        os.kill(stopped, signal.SIGCONT)
        fleet.publish(halves[1][len(halves[1]) // 2 :])
        until(lambda: fleet.stream.ends(ALERTS)[0] > 20)
        again = fleet.pause_owner()
        until(lambda: fleet.taken_over(again))
        os.kill(again, signal.SIGCONT)
        until(fleet.settled)
        assert fleet.told() == expected
    finally:
        fleet.stop()
