"""One owner, with others standing by: over a real Kafka, the notifier that owns the alerts is killed."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from notifiers.policy import Policy
from notifiers.route import parse
from pipeline.roles.notify import Notify
from pipeline.streams import ALERTS, Message
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
