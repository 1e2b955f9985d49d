"""The journal: what its commit costs, how fast an outage is made up for, and whether a backlog holds up a log-in.

`cost` compares with a bare executemany of the same rows (same pragmas, same batches) and with the whole of collecting;
`outage` sends what an hour without Kafka left in the journal; `backlog` measures from a root login in a log to its
alert while eight hours of another source are being read (embedded) or sent (Kafka).
Usage: journal.py [cost|outage|embedded|kafka ...] [--records N]
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.path import lines
from collectors.assemble import Host, assemble
from collectors.chain import Chain, Key
from collectors.environments import Environments
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.journal import Journal, segment
from collectors.sources import Record
from pipeline.intake import FORWARD, PRIORITIES
from pipeline.roles.forward import Forward
from pipeline.streams import ALERTS, Stream
from pipeline.streams.kafka import KafkaStream
from pipeline.streams.sqlite import SqliteStream
from tests.scenarios.installation import Installation, until
from tests.services.kafka import Kafka

BATCH = 2000
HOUR = 20 * 3600  # records at 20 a second
EIGHT_HOURS = 8 * HOUR
ROOT = "{} web-1 sshd[7]: Accepted password for root from 203.0.113.{} port 40007 ssh2\n"


def events(count: int) -> tuple[list[bytes], float]:
    """Return events as collect makes them of lines, and the CPU seconds of making them."""
    written, received = lines(count), datetime.now(UTC)
    parse, host, nowhere = FORMATS["syslog"].parse, Host("h", "web-1", b"k" * 32), Environments.of([], "unknown")
    chain = Chain("h/collect", Key(0, b"s" * 32), "epoch")
    began, made = time.process_time(), []
    for n, line in enumerate(written):
        fields = assemble(
            Record(line.encode(), b"%d" % n, "", n), parse(line, Context(received)), host, nowhere, received
        )
        made.append(chain.seal("first/auth", fields))
    return made, time.process_time() - began


def batches(values: Sequence[bytes]) -> Iterator[list[tuple[str, bytes]]]:
    for start in range(0, len(values), BATCH):
        yield [("host-1", value) for value in values[start : start + BATCH]]


def bare(folder: Path, values: Sequence[bytes]) -> float:
    """Return the CPU seconds of the same rows in one plain table."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (offset INTEGER PRIMARY KEY, time INTEGER, key TEXT, value BLOB)")
    began, n = time.process_time(), 0
    for rows in batches(values):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO t VALUES (?, 1, ?, ?)", ((n + i, *row) for i, row in enumerate(rows)))
        n += len(rows)
    return time.process_time() - began


def journalled(folder: Path, values: Sequence[bytes]) -> float:
    journal, began = Journal(folder / "journal", PRIORITIES), time.process_time()
    for n, rows in enumerate(batches(values)):
        journal.append({"first": rows}, {"source:file": str(n), "count:file": str(n)})
    return time.process_time() - began


def summed(values: Sequence[bytes]) -> float:
    began = time.process_time()
    for n, value in enumerate(values):
        segment.row_crc(b"first", n, 1_700_000_000_000_000, b"host-1", value)
    return time.process_time() - began


def cost(count: int) -> None:
    values, making = events(min(count, 100_000))
    with tempfile.TemporaryDirectory() as name:
        plain, ours, sums = (
            sorted(measure() for _ in range(3))[1]
            for measure in (
                lambda: bare(Path(tempfile.mkdtemp(dir=name)), values),
                lambda: journalled(Path(tempfile.mkdtemp(dir=name)), values),
                lambda: summed(values),
            )
        )
    whole = making + ours
    print(
        f"cost: {len(values) / ours:,.0f} records a CPU second, {ours / plain:.2f} of bare executemany; of collecting "
        f"(parse, assemble, seal, journal; {len(values) / whole:,.0f}/s) the journal is {100 * ours / whole:.1f} %, "
        f"above bare {100 * (ours - plain) / whole:.1f} %, checksums {100 * sums / whole:.1f} %"
    )


def outage(count: int) -> None:
    """An hour's records, each third of a priority, and a Kafka that is back; nobody judges, so nobody is waited for."""
    values, _ = events(min(count, HOUR))
    with tempfile.TemporaryDirectory() as name, kafka() as broker:
        journal = SqliteStream(Path(name) / "journal", topics=PRIORITIES)
        for n, rows in enumerate(batches(values)):
            journal.journal.append({PRIORITIES[n % 3]: rows})
        stream = KafkaStream(broker.servers, prefix="outage")
        forward, began = Forward(journal, stream, judge="nobody"), time.monotonic()
        forward._pace.ahead = count
        while any(journal.ends(t)[0] > journal.committed(t, FORWARD).get(0, 0) for t in PRIORITIES):
            forward.step(datetime.now(UTC))
        took = time.monotonic() - began
        stream.close()
    print(f"outage: {len(values):,} records (an hour at 20/s) sent in {took:.1f} s, {len(values) / took:,.0f} a second")


@contextmanager
def kafka() -> Iterator[Kafka]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        broker = Kafka(Path(name))
        try:
            yield broker
        finally:
            broker.stop()


def installed(folder: Path, engine: Mapping[str, object], count: int) -> tuple[Installation, Path]:
    """Return an installation whose application log has a backlog, and its auth.log."""
    auth, app = folder / "auth.log", folder / "app.log"
    auth.touch()
    with app.open("w") as file:
        for start in range(0, count, 50_000):
            file.writelines(line + "\n" for line in lines(min(50_000, count - start)) if "root" not in line)
    sources = [
        {"kind": "file", "paths": [str(auth)], "format": "syslog"},
        {"kind": "file", "paths": [str(app)], "format": "syslog", "priority": "normal"},
    ]
    return Installation(folder, engine, {"sources": sources}), auth


def login(installation: Installation, auth: Path, stream: Stream, address: int) -> float:
    """Return the seconds from a root login to its alert."""
    began = time.monotonic()
    with auth.open("a") as file:
        file.write(ROOT.format(datetime.now(UTC).isoformat(), address))
        file.flush()
        os.fsync(file.fileno())
    while time.monotonic() - began < 300:
        for message in stream.read(ALERTS, "bench", 100, 0.05).messages:
            if b"203.0.113.%d" % address in message.value:
                return time.monotonic() - began
    raise AssertionError(installation.output())


def journal_of(installation: Installation) -> int:
    """Return how many records wait in the collector's journal."""
    said = installation.call("status", "--format", "ndjson").stdout
    return sum(int(row["lag"]) for line in said.splitlines() if "journal" in (row := msgspec.json.decode(line)))


def backlog(engine: str, count: int) -> None:
    """Log in as root 5 and 10 seconds into the catching up."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        if engine == "embedded":
            installation, auth = installed(Path(name), {}, count)
            installation.start()
            _measure(engine, count, installation, auth, lambda: SqliteStream(Path(name) / "state" / "stream"))
            return
        with kafka() as broker:
            settings = {"kind": "kafka", "servers": broker.servers, "topic_prefix": "bench", "journal_limit": "4GiB"}
            installation, auth = installed(Path(name), {"stream": settings}, count)
            broker.stop()
            installation.start("collect")
            size = (Path(name) / "app.log").stat().st_size
            until(lambda: _read(Path(name)) >= size, "the backlog journalled", installation, 600)
            broker.start()
            installation.start("detect")
            _measure(engine, count, installation, auth, lambda: KafkaStream(broker.servers, prefix="bench"))


def _read(folder: Path) -> int:
    """Return how many bytes of the backlog the journal has."""
    try:
        files = SqliteStream(folder / "state" / "journal", topics=PRIORITIES)
        counts = [value for name, value in files.positions().items() if name.startswith("count:") and "app.log" in name]
        files.close()
    except OSError:
        return 0
    time.sleep(1)
    return sum(msgspec.json.decode(value)["bytes"] + msgspec.json.decode(value)["records"] for value in counts)


def _measure(
    engine: str, count: int, installation: Installation, auth: Path, open_stream: Callable[[], Stream]
) -> None:
    try:
        stream = open_stream()
        for seconds in (5, 10):
            time.sleep(seconds)
            took = login(installation, auth, stream, seconds)
            print(f"backlog, {engine}: {count:,} records; a root login {seconds} s on is an alert after {took:.2f} s")
    finally:
        installation.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="*", default=["cost", "outage", "embedded", "kafka"])
    parser.add_argument("--records", type=int, default=EIGHT_HOURS)
    options = parser.parse_args()
    print(machine.line())
    for what in options.what:
        if what in ("cost", "outage"):
            {"cost": cost, "outage": outage}[what](options.records)
        else:
            backlog(what, options.records)


if __name__ == "__main__":
    main()
