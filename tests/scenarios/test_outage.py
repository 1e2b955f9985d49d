"""Kafka goes away under load and comes back: the journal waits for it, and what matters goes first."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.installation import Heard, Installation, people, until
from tests.services.kafka import Kafka

pytestmark = [pytest.mark.slow, pytest.mark.server]

LINES_A_SECOND = 300
AWAY_SECONDS = 20.0
BEFORE, DURING, AFTER = "203.0.113.1", "203.0.113.2", "203.0.113.3"  # where root comes from


class Load:
    """A web server's log of many lines and an auth log of few, each line with a number of its own."""

    def __init__(self, folder: Path) -> None:
        self.noise, self.auth = folder / "app.log", folder / "auth.log"
        self.written = 0
        for path in (self.noise, self.auth):
            path.touch()

    @contextmanager
    def running(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._write, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _write(self, stop: threading.Event) -> None:
        with self.noise.open("a", buffering=1) as file:
            while not stop.wait(0.1):
                for _ in range(LINES_A_SECOND // 10):
                    file.write(f'{{"message": "request number {self.written} was served", "level": "info"}}\n')
                    self.written += 1

    def root_login(self, address: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        with self.auth.open("a") as file:
            file.write(f"{stamp} web-1 sshd[7]: Accepted password for root from {address} port 40007 ssh2\n")


def test_an_outage_under_load_loses_nothing_and_pages_once(tmp_path: Path, heard: Heard) -> None:
    (tmp_path / "kafka").mkdir()
    broker = Kafka(tmp_path / "kafka")  # its own: it is killed
    load = Load(tmp_path)
    settings = {
        **people(heard, tmp_path),
        "sources": [
            {"kind": "file", "paths": [str(load.auth)], "format": "syslog"},
            {"kind": "file", "paths": [str(load.noise)], "format": "json"},
        ],
    }
    installation = Installation(tmp_path, {"stream": {"kind": "kafka", "servers": broker.servers}}, settings)
    try:
        installation.start()
        load.root_login(BEFORE)
        until(lambda: heard.everywhere(BEFORE), "the login before the outage told", installation)
        with load.running():
            broker.kill()
            began = time.monotonic()
            load.root_login(DURING)
            time.sleep(AWAY_SECONDS / 2)
            installation.kill("collect")
            installation.start("collect")
            time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - began)))
            broker.start()
            load.root_login(AFTER)
            until(lambda: heard.everywhere(DURING), "the login of the outage told", installation)
            until(lambda: heard.everywhere(AFTER), "the login after it told", installation)
        until(lambda: len(_served(installation)) >= load.written, "every line in the index", installation, 180)
        numbers = Counter(_served(installation))
        assert len(numbers) == load.written
        assert set(numbers.values()) == {1}
        assert sorted(_logins(installation)) == [BEFORE, DURING, AFTER]
        for address in (BEFORE, DURING, AFTER):
            told = [text for text in heard.mails(f"from {address} ") if "possible repeat" not in text.lower()]
            assert len(told) == 1, told
    finally:
        installation.stop()
        broker.stop()


def _logins(installation: Installation) -> list[str]:
    return [str(hit["source.ip"]) for hit in installation.search("event.action:ssh_login AND user.name:root")]


def _served(installation: Installation) -> list[str]:
    done = installation.call("search", "message:*served*", "--format", "csv", "--limit", "100000")
    return [word for line in done.stdout.splitlines() for word in line.split() if word.isdigit()]
