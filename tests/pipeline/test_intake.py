"""The way into the journal: log-ins first, reading slows before anything is dropped, and what is dropped is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import Host
from collectors.chain import Key
from collectors.environments import Environments
from collectors.formats.registry import FORMATS, decode
from collectors.sources import Batch, Loss, Record
from collectors.sources.file import FileSource
from collectors.sources.host_metrics import HostMetricsSource
from pipeline import intake
from pipeline.chaining import KeyFile, Sealing
from pipeline.feeds import Feed
from pipeline.intake import PRIORITIES, JournalIntake, Rows
from pipeline.pace import Pace
from pipeline.roles.collect import Collect
from pipeline.roles.forward import Forward
from pipeline.roles.keep import Keep
from pipeline.streams import EVENTS, Message, StreamUnavailable
from pipeline.streams.sqlite import SqliteStream

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = Host("host-1", "web-1", b"k" * 32)
LINE = "2026-11-22T11:59:58+00:00 web-1 app[7]: {:06} " + "x" * 200 + "\n"
SECOND = timedelta(seconds=1)


class Lines:
    """A Source of lines that are there already, as a file's."""

    format: str | None = "syslog"

    def __init__(self, name: str, count: int) -> None:
        self.name, self._count, self._next = name, count, 0

    def open(self, position: str | None, now: datetime) -> None:
        self._next = int(position or 0)

    def read(self, now: datetime, limit: int) -> Batch:
        numbers = range(self._next, min(self._next + limit, self._count))
        self._next = numbers.stop if numbers else self._next
        raw = [LINE.format(number).rstrip("\n").encode() for number in numbers]
        return Batch([Record(text, b"%d" % n, "", n + 1) for n, text in zip(numbers, raw, strict=True)])

    def position(self, journalled: Sequence[Record]) -> str:
        return str(self._next)

    def written(self) -> int | None:
        return None

    def close(self) -> None: ...


class Bench:
    """A collector over its own journal, as with Kafka."""

    def __init__(self, folder: Path, feeds: Sequence[Feed], limit: int = 2**23) -> None:
        self.files = SqliteStream(folder / "journal", topics=PRIORITIES, limit_bytes=limit)
        keys = KeyFile(folder / "collect.key")
        keys.write(Key(0, b"s" * 32), 0, sync=False)
        self.journal: JournalIntake = intake.own(self.files)
        sealing = Sealing(HOST, "collect", keys, "here")
        self.role = Collect(feeds, self.journal, HOST, Environments.of([], "unknown"), sealing)
        self.now = NOON

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.now += SECOND
            self.role.step(self.now)

    def events(self, topic: str, kind: str = "event") -> list[dict[str, object]]:
        rows = self.files.journal.read(topic, 0, 100_000)
        found = [msgspec.json.decode(row.value, type=dict[str, object]) for row in rows]
        return [one for one in found if one["tocsin.record"] == kind]

    def drain(self) -> None:
        """Read everything, as forward does."""
        for topic in PRIORITIES:
            self.files.commit(topic, intake.FORWARD, self.files.ends(topic))


def feed(source: Lines | FileSource | HostMetricsSource, priority: str) -> Feed:
    form = FORMATS[source.format] if source.format else None
    return Feed(source, form, UTC, decode, priority=priority)


def test_each_priority_has_a_topic_and_all_are_one_commit_with_the_positions(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [feed(Lines("app", 3), "normal"), feed(Lines("auth", 2), "first")])
    bench.steps(3)
    assert len([one for one in bench.events("first") if one.get("tocsin.source") == "auth"]) == 2
    assert len([one for one in bench.events("normal") if one.get("tocsin.source") == "app"]) == 3
    positions = bench.files.positions()
    assert (positions["source:auth"], positions["source:app"]) == ("2", "3")


def test_priorities_that_are_not_stated_come_of_the_kind_and_the_format() -> None:
    asked = [("file", "syslog"), ("file", "pgaudit"), ("file", "json"), ("journald", None), ("host_metrics", None)]
    assert [intake.by_default(*one) for one in asked] == ["first", "first", "normal", "first", "last"]


def test_a_full_journal_leaves_lines_where_they_are_and_takes_log_ins_to_the_end(tmp_path: Path) -> None:
    auth, app = Lines("auth", 0), Lines("app", 20_000)
    bench = Bench(tmp_path, [feed(app, "normal"), feed(auth, "first")])
    bench.steps(12)
    held = len(bench.events("normal"))
    assert held < 10_000
    auth._count = 10
    bench.steps(3)
    assert len(bench.events("normal")) == held
    assert len([one for one in bench.events("first") if one.get("tocsin.source") == "auth"]) == 10
    bench.drain()
    for _ in range(12):
        bench.steps(2)
        bench.drain()
    assert bench.files.positions()["source:app"] == "20000"


def test_nothing_that_was_not_read_is_dropped_whatever_the_limit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [feed(Lines("app", 20_000), "normal")])
    bench.steps(12)
    first = bench.files.journal.begin("normal")
    bench.files.trim(bench.now + timedelta(days=3650))
    assert bench.files.journal.begin("normal") == first == 0


def test_samples_that_there_was_no_room_for_are_counted_and_one_record_stands_in_the_gap(tmp_path: Path) -> None:
    metrics = HostMetricsSource("host_metrics", SECOND)
    lines = Lines("app", 20_000)
    bench = Bench(tmp_path, [feed(lines, "first"), feed(metrics, "last")])
    bench.steps(14)
    taken = {str(one["@timestamp"]) for one in bench.events("last")}
    assert not bench.journal.room("last")
    bench.steps(5)
    lines._count = 0
    bench.drain()
    bench.steps(4)
    found = bench.events("last")
    (gap,) = [one for one in found if one.get("event.action") == "loss-gap"]
    metrics_of = [str(one["@timestamp"]) for one in found if one["event.kind"] == "metric"]
    taken |= set(metrics_of)
    skipped = 14 + 5 + 4 - len(taken)
    assert gap["tocsin.lost.records"] == skipped * metrics_of.count(max(metrics_of))
    assert 5 < skipped < 19


class Full(JournalIntake):
    """A journal on a disk that is full for some appends."""

    refusals = 0

    def append(self, rows: Rows, positions: Mapping[str, str]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StreamUnavailable("the disk is full")
        super().append(rows, positions)


def test_samples_that_fell_due_while_the_disk_was_full_are_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [feed(HostMetricsSource("host_metrics", SECOND), "last")])
    full = Full(bench.files, {priority: priority for priority in PRIORITIES}, None)
    bench.role._journal = full
    bench.steps(2)
    full.refusals = 15
    for _ in range(15):
        with pytest.raises(StreamUnavailable, match="full"):
            bench.steps(1)
    bench.steps(2)
    (gap,) = [one for one in bench.events("last") if one.get("event.action") == "loss-gap"]
    taken = [str(one["@timestamp"]) for one in bench.events("last") if one["event.kind"] == "metric"]
    skipped = int(str(gap["tocsin.lost.records"])) // taken.count(max(taken))
    assert skipped == len(range(2 + 15 + 2)) - len(set(taken))
    assert "skipped" in str(gap["message"])


def test_what_the_journal_itself_lost_is_recorded_and_then_no_longer_found(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.files.journal.note([Loss(b"journal:normal:5-9", "000000001.db: damaged", records=4)])
    bench.steps(2)
    (gap,) = [one for one in bench.events("first") if one.get("event.action") == "loss-gap"]
    assert (gap["tocsin.lost.records"], gap["tocsin.source"]) == (4, "journal")
    assert gap["tocsin.about.host"] == gap["host.id"]
    assert bench.files.journal.findings() == []


def test_readers_that_were_set_back_are_told_of_and_count_as_no_loss(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.files.journal.note([Loss(b"journal:beyond:x", "the journal went back", records=0)])
    bench.steps(2)
    told = [one for one in bench.events("first") if one.get("tocsin.source") == "journal"]
    assert [(one["event.action"], one["message"]) for one in told] == [("reader-back", "the journal went back")]
    counts = msgspec.json.decode(bench.files.positions()["count:journal"])
    assert (counts["lost"], counts["gaps"]) == (0, 0)


def test_one_source_with_a_backlog_does_not_keep_the_others_from_their_turn(tmp_path: Path) -> None:
    sources = [Lines(name, 6_000) for name in ("a", "b", "c")]
    bench = Bench(tmp_path, [feed(source, "normal") for source in sources], limit=2**30)
    bench.steps(3)
    assert [source._next for source in sources] == [2_000, 2_000, 2_000]
    bench.steps(6)
    assert [source._next for source in sources] == [6_000, 6_000, 6_000]


def test_embedded_what_can_wait_runs_no_further_ahead_of_the_judge_than_it_may(tmp_path: Path) -> None:
    source = Lines("app", 30_000)
    bench = Bench(tmp_path, [feed(source, "normal")])
    stream = SqliteStream(tmp_path / "stream", limit_bytes=2**30)
    bench.role._journal = intake.embedded(stream)
    bench.steps(10)
    assert 6_000 <= source._next <= 8_000
    stream.commit(EVENTS, "detect", {0: 6_000})
    bench.steps(5)
    assert 12_000 <= source._next <= 14_000


def test_a_judge_that_stands_still_is_not_waited_for_for_ever() -> None:
    pace = Pace()
    assert pace.holds(10_000, 0, NOON)
    assert pace.holds(10_000, 0, NOON + 29 * SECOND)
    assert not pace.holds(10_000, 0, NOON + 30 * SECOND)
    assert pace.holds(10_000, 1, NOON + 31 * SECOND)


# forward


class Kafka(SqliteStream):
    """A stream that notes what it is given, and can be away."""

    away = False

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if self.away:
            raise StreamUnavailable("away")
        super().append(topic, messages)

    def values(self) -> list[str]:
        return [row.value.decode() for row in self.journal.read(EVENTS, 0, 100_000)]


def journal_with(folder: Path, **counts: int) -> SqliteStream:
    files = SqliteStream(folder / "journal", topics=PRIORITIES)
    files.journal.append({topic: [("h", f"{topic}-{n}".encode()) for n in range(counts[topic])] for topic in counts})
    return files


def test_a_fresh_log_in_passes_a_backlog(tmp_path: Path) -> None:
    files, stream = journal_with(tmp_path, normal=5_000, last=5_000), Kafka(tmp_path / "stream")
    forward = Forward(files, stream)
    forward.step(NOON)
    files.journal.append({"first": [("h", b"root")]})
    forward.step(NOON + SECOND)
    assert stream.values().index("root") == 2_000


def test_a_flood_of_log_ins_starves_nobody(tmp_path: Path) -> None:
    files, stream = journal_with(tmp_path, first=30_000, last=10), Kafka(tmp_path / "stream")
    Forward(files, stream).step(NOON)
    assert stream.values().index("last-9") == 20_000 + 9


def test_what_the_stream_refused_is_sent_again_first_and_in_order(tmp_path: Path) -> None:
    files, stream = journal_with(tmp_path, normal=3), Kafka(tmp_path / "stream")
    forward = Forward(files, stream)
    stream.away = True
    with pytest.raises(StreamUnavailable):
        forward.step(NOON)
    files.journal.append({"first": [("h", b"root")]})
    stream.away = False
    forward.step(NOON + SECOND)
    assert stream.values() == ["normal-0", "normal-1", "normal-2", "root"]


def test_a_backlog_waits_for_the_judges_and_a_log_in_does_not(tmp_path: Path) -> None:
    files, stream = journal_with(tmp_path, normal=20_000), Kafka(tmp_path / "stream")
    forward = Forward(files, stream)
    for n in range(15):
        forward.step(NOON + n * SECOND)
    sent = len(stream.values())
    assert sent < 9_000
    files.journal.append({"first": [("h", b"root")]})
    forward.step(NOON + 15 * SECOND)
    assert stream.values()[sent:] == ["root"]
    stream.commit(EVENTS, "detect", {0: sent})
    forward.step(NOON + 17 * SECOND)
    assert len(stream.values()) > sent + 1


# clocks


def test_a_clock_that_is_set_back_keeps_samples_and_trimming_going(tmp_path: Path) -> None:
    metrics = HostMetricsSource("host_metrics", SECOND)
    metrics.open(None, NOON)
    assert metrics.read(NOON, 10).records
    assert metrics.read(NOON - timedelta(days=365), 10).records
    calls: list[datetime] = []

    def trim(moment: datetime) -> int:
        calls.append(moment)
        return 0

    keep = Keep([trim])
    keep.step(NOON)
    keep.step(NOON - timedelta(days=365))
    assert len(calls) == 2


def test_a_judge_is_given_up_in_its_time_though_the_clock_was_set_back() -> None:
    pace, past = Pace(), NOON - timedelta(days=365)
    assert pace.holds(10_000, 0, NOON)
    assert pace.holds(10_000, 0, past)
    assert not pace.holds(10_000, 0, past + 31 * SECOND)
