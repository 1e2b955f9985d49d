"""kill -9 of a real collector, again and again, under a table that grows and a device that sends."""

from __future__ import annotations

import random
import socket
import sys
from collections import Counter
from pathlib import Path

import msgspec
import psycopg
import pytest

from pipeline.streams import EVENTS
from pipeline.streams.sqlite import SqliteStream
from tests.services.postgres import Postgres
from tests.services.process import Process, free_port

pytestmark = pytest.mark.server
ROUNDS = 4
CONFIG = """
state: {folder}/state
sources:
  - kind: table
    name: audit
    connect: {{host: 127.0.0.1, port: {port}, user: developer, dbname: acme_production}}
    password_file: {folder}/password
    query: SELECT id, who FROM kill_log
    position: id
    overlap: 50
    every: 50ms
  - {{kind: syslog, listen: "tcp://127.0.0.1:{syslog}"}}
"""


class Collector:
    """A real `tocsin collect`, and what it has kept."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.folder, self.port = folder, free_port()
        self.device = f"syslog:tcp://127.0.0.1:{self.port}"
        (folder / "password").write_text(postgres.passwords["developer"], "utf-8")
        text = CONFIG.format(folder=folder, port=postgres.port, syslog=self.port)
        (folder / "tocsin.yml").write_text(text, "utf-8")

    def start(self) -> Process:
        command = [str(Path(sys.executable).with_name("tocsin")), "collect", "-c", str(self.folder / "tocsin.yml")]
        process = Process(command, self.folder / "collect.log")
        process.wait_until(self._listens, "the collector")
        return process

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def kept(self, source: str) -> list[dict[str, object]]:
        if not (self.folder / "state" / "stream").exists():
            return []
        stream = SqliteStream(self.folder / "state" / "stream")
        try:
            rows = stream.journal.read(EVENTS, 0, 1_000_000)
            events = [msgspec.json.decode(row.value, type=dict[str, object]) for row in rows]
        finally:
            stream.close()
        return [one for one in events if one.get("tocsin.source") == source and one["tocsin.record"] == "event"]


class Load:
    """Rows into the table and messages from the device, the same numbers to both."""

    def __init__(self, database: psycopg.Connection[tuple[object, ...]], seed: int) -> None:
        self._database, self.choose = database, random.Random(seed)
        self.number = 0
        database.execute(b"DROP TABLE IF EXISTS kill_log")
        database.execute(b"CREATE TABLE kill_log (id bigint PRIMARY KEY, who text)")
        database.execute(b"GRANT SELECT ON kill_log TO developer")

    def turns(self, device: socket.socket) -> None:
        for _ in range(self.choose.randrange(5, 30)):
            new = range(self.number + 1, self.number + 1 + self.choose.randrange(1, 30))
            self.number = new[-1]
            rows = b", ".join(b"(%d, 'mallory')" % n for n in new)
            self._database.execute(b"INSERT INTO kill_log VALUES " + rows)
            device.sendall(b"".join(b"<38>1 - fw-1 app - - - %d\n" % n for n in new))


def _round(collector: Collector, load: Load) -> None:
    """Start it, and kill it in the middle of its work."""
    process = collector.start()
    before = len(collector.kept(collector.device))
    with socket.create_connection(("127.0.0.1", collector.port), timeout=10) as device:
        load.turns(device)
        process.wait_until(lambda: len(collector.kept(collector.device)) > before, "the first messages")
        load.turns(device)
        process.kill()


def test_through_every_kill_each_row_is_kept_once_and_no_message_has_two_ids(
    tmp_path: Path, postgres: Postgres
) -> None:
    collector = Collector(tmp_path, postgres)
    with postgres.connect("dba", "acme_production") as database:
        load = Load(database, seed=11)
        for _ in range(ROUNDS):
            _round(collector, load)
        process = collector.start()
        process.wait_until(lambda: len(collector.kept("table:audit")) >= load.number, "the last rows", limit=30)
        process.stop()
    table, device = collector.kept("table:audit"), collector.kept(collector.device)
    ids = [msgspec.json.decode(str(one["event.original"]), type=dict[str, int | str])["id"] for one in table]
    assert Counter(ids) == Counter(range(1, load.number + 1))
    told = Counter(str(one["event.original"]) for one in device)
    assert max(told.values()) == 1
    assert len({one["event.id"] for one in [*table, *device]}) == len(table) + len(device)
    assert ROUNDS < len(told) <= load.number
