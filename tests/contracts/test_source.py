"""What every Source promises, asked of each: nothing twice, nothing left out, the same record known by the same place.

A bench is one kind of source with what writes into it. `puts` writes a few more records; `opens` returns the source as
after a restart, over the same world. Sources that are `once` hold what nobody can give again (a socket): of them is
asked that they go on, and never make one place twice.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Record, Source
from collectors.sources.command import CommandSource, Schedule
from collectors.sources.database import Access
from collectors.sources.file import FileSource
from collectors.sources.host_metrics import HostMetricsSource
from collectors.sources.journald import JournaldSource
from collectors.sources.stdin import Input, StdinSource
from collectors.sources.syslog_listener import Listen, SyslogSource
from collectors.sources.table import TableSource
from collectors.sources.tls_server import Tls
from tests.services.process import free_port
from tests.standins.certificates import Authority
from tests.standins.syslog_sender import Sender

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PATIENCE = 20.0  # seconds of real time that a program, a query or a socket may take
_SHORT = timedelta(milliseconds=1)  # for what has deadlines of its own
AT_ONCE = 0.5  # seconds: far less than any of them may make a read wait


@dataclass
class Bench:
    """One kind of source and its world. A record that was written last may wait for the one behind it (`behind`)."""

    opens: Callable[[], Source]
    puts: Callable[[int], object]  # write so many records more
    step: timedelta = SECOND  # how far time goes on at each read
    once: bool = False  # what was read can be had once only
    whole: bool = False  # the records of one read are journalled together, always (samples)
    now: datetime = NOON
    opened: list[Source] = field(default_factory=list)

    def open(self, position: str | None) -> Source:
        source = self.opens()
        source.open(position, self.now)
        self.opened.append(source)
        return source

    def take(self, source: Source, count: int, limit: int = 1000) -> list[Record]:
        """Read until so many records came; no read may wait."""
        found: list[Record] = []
        deadline = time.monotonic() + PATIENCE
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
            found += self.once_read(source, limit)
        return found

    def once_read(self, source: Source, limit: int = 1000) -> Sequence[Record]:
        self.now += self.step
        began = time.monotonic()
        batch = source.read(self.now, limit)
        assert time.monotonic() - began < AT_ONCE
        return batch.records

    def rest(self, source: Source) -> list[Record]:
        """Read on until it says that all has been read, twice."""
        found: list[Record] = []
        quiet, deadline = 0, time.monotonic() + PATIENCE
        while quiet < 2:
            assert time.monotonic() < deadline
            self.now += self.step
            batch = source.read(self.now, 1000)
            found += batch.records
            quiet = 0 if batch.records else quiet + (batch.up_to is not None)
        return found


def _file(folder: Path) -> Iterator[Bench]:
    log, numbers = folder / "app.log", iter(range(10_000))
    log.write_text("a first line that tells this file apart\n", "ascii")

    def puts(count: int) -> None:
        with log.open("a") as file:
            file.writelines(f"line {next(numbers)}\n" for _ in range(count))

    yield Bench(lambda: FileSource("file:app.log", [str(log)], "auto"), puts)


FAKE = """
import sys, time
path, begin = sys.argv[1], [a[9:] for a in sys.argv if a.startswith("--cursor=")]
lines = open(path, "rb")
going = not begin
while True:
    line = lines.readline()
    if not line:
        time.sleep(0.005)
        continue
    going = going or ('"%s"' % begin[0]).encode() in line
    if going:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def _journald(folder: Path) -> Iterator[Bench]:
    entries, program, numbers = folder / "entries", folder / "journalctl.py", iter(range(1, 10_000))
    entries.touch()
    program.write_text(FAKE, "ascii")

    def puts(count: int) -> None:
        with entries.open("a") as file:
            for n in (next(numbers) for _ in range(count)):
                stamp = int(NOON.timestamp() - 100 + n) * 1_000_000
                file.write(f'{{"__CURSOR":"s=1;i={n:x}","__REALTIME_TIMESTAMP":"{stamp}","MESSAGE":"{n}"}}\n')

    command = (sys.executable, str(program), str(entries))
    yield Bench(lambda: JournaldSource("journald", (), command), puts)


def _host_metrics(_folder: Path) -> Iterator[Bench]:
    yield Bench(lambda: HostMetricsSource("host_metrics", SECOND), lambda _: None, whole=True)


def _stdin(_folder: Path) -> Iterator[Bench]:
    out, into = os.pipe()
    numbers, source = iter(range(10_000)), Input(out)

    def puts(count: int) -> None:
        os.write(into, b"".join(b"line %d\n" % next(numbers) for _ in range(count)))

    yield Bench(lambda: StdinSource("stdin", "auto", source), puts)
    os.close(into)
    os.close(out)


def _command(folder: Path) -> Iterator[Bench]:
    what, numbers = folder / "printed", iter(range(10_000))
    what.touch()
    schedule = Schedule(["cat", str(what)], timedelta(hours=1), timedelta(minutes=50))

    def puts(count: int) -> None:
        with what.open("a") as file:
            file.writelines(f"line {next(numbers)}\n" for _ in range(count))

    yield Bench(lambda: CommandSource("command:c", schedule), puts, _SHORT)


def _table(folder: Path) -> Iterator[Bench]:
    yield from _tables(folder, None)


def _table_overlapping(folder: Path) -> Iterator[Bench]:
    yield from _tables(folder, 5)


def _tables(folder: Path, overlap: int | None) -> Iterator[Bench]:
    place, numbers = folder / "app.db", iter(range(10_000))
    connection = sqlite3.connect(place)
    connection.execute("CREATE TABLE t (id INTEGER)")

    def puts(count: int) -> None:
        with connection:
            connection.executemany("INSERT INTO t VALUES (?)", [(next(numbers),) for _ in range(count)])

    access = Access("sqlite3", str(place), "SELECT id FROM t", ["id"])
    yield Bench(lambda: TableSource("table:t", access, _SHORT, overlap=overlap), puts, _SHORT)
    connection.close()


def _syslog(scheme: str) -> Callable[[Path], Iterator[Bench]]:
    def make(folder: Path) -> Iterator[Bench]:
        port = free_port()
        authority = Authority(folder)
        pair, own = authority.issue("log.example.org"), authority.issue("switch-7.example.org")
        tls = Tls(pair.cert, pair.key, authority.ca) if scheme == "tls" else None
        numbers = iter(range(10_000))
        sender = Sender(scheme, port, authority.ca, own)

        def puts(count: int) -> None:
            sender.send([b"<34>message %d" % next(numbers) for _ in range(count)])

        yield Bench(lambda: SyslogSource(Listen(scheme, "127.0.0.1", port), tls=tls), puts, _SHORT, once=True)
        sender.close()

    return make


MAKERS: dict[str, Callable[[Path], Iterator[Bench]]] = {
    "file": _file,
    "journald": _journald,
    "host_metrics": _host_metrics,
    "stdin": _stdin,
    "command": _command,
    "table": _table,
    "table_overlapping": _table_overlapping,
    "udp": _syslog("udp"),
    "tcp": _syslog("tcp"),
    "tls": _syslog("tls"),
}


@pytest.fixture(params=MAKERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    for made in MAKERS[request.param](tmp_path):
        yield made
        for source in made.opened:
            source.close()


def places(records: Sequence[Record]) -> list[tuple[bytes, bytes]]:
    return [(record.place, b"" if record.whole else record.raw) for record in records]


def first(bench: Bench, count: int) -> tuple[Source, list[Record]]:
    """Open the source for the first time and read what is there."""
    source = bench.open(None)
    if bench.once:
        bench.once_read(source)  # it listens from now on
    bench.puts(count)
    return source, bench.take(source, 1 if bench.whole else count)


def test_each_record_is_given_once_and_known_by_a_place_of_its_own(bench: Bench) -> None:
    source, found = first(bench, 12)
    found += bench.rest(source) if not bench.whole else []
    assert len(set(places(found))) == len(found)


@pytest.mark.parametrize(
    "bench", [name for name in MAKERS if name not in {"udp", "tcp", "tls", "host_metrics"}], indirect=True
)
def test_reopened_at_its_position_it_gives_what_was_not_journalled_and_nothing_else(bench: Bench) -> None:
    source, found = first(bench, 12)
    for cut in (5, 1, 6):  # the last of them is all that there is
        position = source.position(found[cut - 1 : cut])
        source.close()
        source = bench.open(position)
        again = bench.take(source, len(found) - cut) if cut < len(found) else bench.rest(source)
        assert places(again) == places(found[cut:])
        found = again


def test_reopened_it_goes_on_and_makes_no_place_twice(bench: Bench) -> None:
    source, found = first(bench, 8)
    for _ in range(3):
        position = source.position(found[-1:])
        source.close()
        source = bench.open(position)
        more = list(bench.once_read(source))
        assert not set(places(found)) & set(places(more))
        found += more
        if not isinstance(source, CommandSource):
            bench.puts(4)
            more = bench.take(source, 1 if bench.whole else 4)
            assert not set(places(found)) & set(places(more))
            found += more


def test_a_position_with_nothing_new_behind_it_changes_nothing(bench: Bench) -> None:
    source, found = first(bench, 4)
    position = source.position(found[-1:])
    assert source.position([]) == position
    source.close()
    assert bench.open(position).position([]) == position


def test_what_it_holds_never_shrinks_while_it_is_read(bench: Bench) -> None:
    source, _ = first(bench, 4)
    sizes = [source.written() or 0]
    for _ in range(3):
        bench.puts(2)
        bench.once_read(source)
        sizes.append(source.written() or 0)
    assert sizes == sorted(sizes)


def test_it_can_be_closed_again_and_before_it_was_read(bench: Bench) -> None:
    source, _ = first(bench, 1)
    source.close()
    source.close()
    unread = bench.open(None)
    unread.close()
    unread.close()


def test_a_read_takes_about_as_many_records_as_are_asked_for(bench: Bench) -> None:
    source, found = first(bench, 3)
    source.position(found[-1:])
    bench.puts(3)
    assert len(bench.once_read(source, 1)) <= 1000
