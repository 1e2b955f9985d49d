"""One owner, with others standing by: over a real Kafka, the notifier that owns the alerts is killed."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from notifiers.channels import Unavailable
from notifiers.incident import Entry
from notifiers.policy import Policy
from notifiers.route import parse
from pipeline.roles.intents import Intents
from pipeline.roles.notify import Means, Notify
from pipeline.streams import ALERTS, INCIDENTS, Message, Stored, StreamUnavailable
from pipeline.streams.kafka import KafkaStream
from rules.alert import Alert
from tests.services.kafka import Kafka
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder

pytestmark = pytest.mark.server


class Stander:
    """A notifier in a thread of its own, until it is killed."""

    def __init__(self, servers: list[str], prefix: str, pager: Recorder) -> None:
        self._stop = threading.Event()
        self._servers, self._prefix, self._pager = servers, prefix, pager
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stream = KafkaStream(self._servers, prefix=self._prefix)
        notify = Notify(stream, Policy(parse({"receiver": "security"})), {"security": [self._pager]}, wait=0.05)
        while not self._stop.is_set():
            notify.step(NOW)
        stream.close()  # as the broker sees it when a process is gone; nothing is written any more

    def kill(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def prefix() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


@pytest.fixture
def stream(kafka: Kafka, prefix: str) -> Iterator[KafkaStream]:
    made = KafkaStream(kafka.servers, prefix=prefix)
    yield made
    made.close()


def tell(stream: KafkaStream, *alerts: Alert) -> None:
    stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])


def until_told(pagers: list[Recorder], word: str) -> None:
    """Wait until one of them has been told, at most a minute."""
    began = datetime.now(UTC)  # noqa: TID251  real servers take real time
    waiter = threading.Event()
    while not any(subject.startswith(word) for one in pagers for subject in one.subjects()):
        assert (datetime.now(UTC) - began).total_seconds() < 60  # noqa: TID251
        waiter.wait(0.05)


def test_the_stand_by_goes_on_where_the_owner_was_killed(kafka: Kafka, prefix: str, stream: KafkaStream) -> None:
    pagers = [Recorder(), Recorder()]
    tell(stream, root_login("e1"))
    standers = [Stander(kafka.servers, prefix, pager) for pager in pagers]
    until_told(pagers, "Root login")
    owner = next(number for number, pager in enumerate(pagers) if pager.sent)
    standers[owner].kill()
    tell(stream, root_login("e2"), disk("d1"), root_login("e3", source="198.51.100.4"))
    until_told([pagers[1 - owner]], "NEW VALUE")
    standers[1 - owner].kill()
    assert [one.split(":")[0] for one in pagers[owner].subjects()] == ["Root login over SSH"]
    told = [one.split(":")[0] for one in pagers[1 - owner].subjects()]
    again = [one for one in told if one.startswith("(possible repeat)")]
    assert again in ([], ["(possible repeat) Root login over SSH"])  # killed between the send and its answer
    assert [one for one in told if one not in again] == ["Disk filling on db-7 /var [production]", "NEW VALUE"]


class Owner:
    """A notifier over its own clock and stream, that goes on as `pipeline.app` makes it."""

    def __init__(self, servers: list[str], prefix: str, folder: Path, pager: Recorder) -> None:
        self._stop = threading.Event()
        self._intents = Intents(folder / "intents.ndjson")
        self._servers, self._prefix, self._pager = servers, prefix, pager
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        stream = KafkaStream(self._servers, prefix=self._prefix)
        means = Means(intents=self._intents, wait=0.05)
        notify = Notify(stream, Policy(parse({"receiver": "security"})), {"security": [self._pager]}, means)
        while not self._stop.is_set():
            with suppress(StreamUnavailable):
                notify.step(datetime.now(UTC))  # noqa: TID251  real servers take real time
        stream.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def until(done: Callable[[], bool], seconds: float = 150) -> None:
    began = datetime.now(UTC)  # noqa: TID251  real servers take real time
    waiter = threading.Event()
    while not done():
        assert (datetime.now(UTC) - began).total_seconds() < seconds  # noqa: TID251
        waiter.wait(0.1)


@pytest.mark.slow
def test_a_page_that_was_owed_goes_out_while_kafka_is_gone_and_the_log_is_whole_once_it_is_back(
    prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "kafka").mkdir()
    broker = Kafka(tmp_path / "kafka")
    pager = Recorder(*[Unavailable("down")] * 3)
    stream = KafkaStream(broker.servers, prefix=prefix)
    tell(stream, root_login("e1", time=datetime.now(UTC)))  # noqa: TID251
    owner = Owner(broker.servers, prefix, tmp_path, pager)
    try:
        until(lambda: pager.attempts >= 2)
        broker.kill()
        until(lambda: len(pager.sent) == 1)
        broker.start()

        def merged() -> bool:
            return not (tmp_path / "intents.ndjson").exists()

        until(lambda: (tmp_path / "intents.ndjson").exists() or merged())
        until(merged)
        owner.stop()
        log = [Entry.model_validate_json(one.value) for one in _all(stream)]
        assert [one.transition.what for one in log if one.transition] == ["fired"]
        assert [one.answered.done for one in log if one.answered][-1]
        assert len(pager.sent) == 1
    finally:
        owner.stop()
        stream.close()
        broker.kill()


def _all(stream: KafkaStream) -> Iterator[Stored]:
    group, end, offset = uuid.uuid4().hex, stream.ends(INCIDENTS)[0], 0
    while offset < end:
        for one in stream.read(INCIDENTS, group, 1000, 1.0).messages:
            offset = one.offset + 1
            yield one
