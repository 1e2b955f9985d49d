"""The collecting role: what is read is decided once, journalled whole, and the same again after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import PART_CHARACTERS, Host
from collectors.chain import Key
from collectors.environments import Environments
from collectors.formats.registry import FORMATS, decode
from collectors.sources.file import FileSource
from pipeline.chaining import KeyFile, Sealing
from pipeline.feeds import Counts, Feed
from pipeline.intake import PRIORITIES, JournalIntake, Rows, embedded
from pipeline.roles.collect import Collect
from pipeline.streams import EVENTS, StreamUnavailable
from rules.event import Value, instant
from tests.standins.prompt import PromptStream

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = Host("host-1", "web-1", b"k" * 32)
PRODUCTION = Environments.of([({"db.namespace": "*_Production"}, "production", [])], "unknown")
ROOT = "2026-11-22T11:59:58.250000+00:00 web-1 sshd[7]: Accepted password for root from 203.0.113.66 port 40007 ssh2\n"


def sealing(folder: Path) -> Sealing:
    """The chains of this host, whose key lies in the folder."""
    keys = KeyFile(folder / "collect.key")
    if keys.read() is None:
        keys.write(Key(0, b"s" * 32), 0, sync=False)
    return Sealing(HOST, "collect", keys, "here")


class Bench:
    """A collector over one file, driven by hand."""

    def __init__(self, folder: Path, form: str = "syslog") -> None:
        self.folder, self.form, self.now = folder, form, NOON
        self.log = folder / "in.log"
        self.log.touch()
        self.start()

    def start(self) -> None:
        self.stream = PromptStream(self.folder / "stream")
        self.feed = Feed(FileSource("file:in.log", [str(self.log)], self.form), FORMATS[self.form], UTC, decode)
        self.role = Collect([self.feed], embedded(self.stream), HOST, PRODUCTION, sealing(self.folder))
        self.role.step(self.now)

    def restart(self) -> None:
        """As after kill -9: nothing is closed in order, only the files are left."""
        self.start()

    def write(self, data: str | bytes) -> None:
        with self.log.open("ab") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def steps(self, count: int = 3) -> None:
        for _ in range(count):
            self.now += timedelta(seconds=1)
            self.role.step(self.now)

    def events(self) -> list[dict[str, object]]:
        stored = self.stream.journal.read(EVENTS, 0, 100_000)
        found = [msgspec.json.decode(row.value, type=dict[str, object]) for row in stored]
        return [fields for fields in found if fields["tocsin.record"] == "event" and fields["tocsin.class"] != "tocsin"]

    def own(self) -> list[dict[str, object]]:
        """What Tocsin says of itself."""
        stored = self.stream.journal.read(EVENTS, 0, 100_000)
        found = [msgspec.json.decode(row.value, type=dict[str, object]) for row in stored]
        return [fields for fields in found if fields.get("tocsin.class") == "tocsin"]


def test_a_line_becomes_an_event_with_who_where_and_when(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(ROOT)
    bench.steps()
    (event,) = bench.events()
    assert event["@timestamp"] == "2026-11-22T11:59:58.250000Z"
    assert (event["user.name"], event["source.ip"], event["event.outcome"]) == ("root", "203.0.113.66", "success")
    assert (event["host.id"], event["host.name"], event["tocsin.class"]) == ("host-1", "web-1", "auth")
    assert event["event.original"] == ROOT.rstrip("\n")
    assert "tocsin.backlog" not in event


def test_the_id_depends_on_where_the_record_stands_and_never_on_when_it_was_read(tmp_path: Path) -> None:
    ids = []
    for name, day in (("one", 0), ("two", 3)):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        bench.now += timedelta(days=day)
        bench.write(ROOT + ROOT)
        bench.steps()
        ids.append([event["event.id"] for event in bench.events()])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_a_crash_after_the_commit_repeats_nothing_and_goes_on_in_sequence(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(ROOT)
    bench.steps()
    bench.restart()
    bench.write(ROOT)
    bench.steps()
    assert [event["event.sequence"] for event in bench.events()] == [1, 2]
    assert len({event["tocsin.chain.epoch"] for event in bench.events()}) == 1


def test_who_connected_before_a_crash_is_named_beside_what_was_asked_after_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "mysql-general")
    bench.write("2026-11-22T11:59:00.000000Z\t    8 Connect\tmallory@10.0.0.9 on shop using TCP/IP\n")
    bench.steps()
    bench.restart()
    bench.write("2026-11-22T11:59:30.000000Z\t    8 Query\tDELETE FROM t\n")
    bench.steps()
    connected, asked = bench.events()
    assert (asked["user.name"], asked["source.ip"], asked["db.namespace"]) == ("mallory", "10.0.0.9", "shop")
    assert "tocsin.joined" not in connected


def test_a_use_that_may_have_been_refused_and_many_after_it_leave_production_production(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "mysql-general")
    said = ["Connect\tmallory@10.0.0.9 on acme_production using TCP/IP", *(f"Query\tUSE x_{n}" for n in range(40))]
    lines = [f"2026-11-22T11:59:00.000000Z\t    8 {one}\n" for one in (*said, "Query\tDROP TABLE customer")]
    bench.write("".join(lines))
    bench.steps()
    dropped = bench.events()[-1]
    assert dropped["db.query.text"] == "DROP TABLE customer"
    assert (dropped["service.environment"], dropped["tocsin.environment.base"]) == ("production", "acme")


class _Refusing(JournalIntake):
    """A journal that refuses the first appends and takes the rest."""

    def __init__(self, stream: PromptStream, refusals: int) -> None:
        super().__init__(stream, dict.fromkeys(PRIORITIES, EVENTS), None)
        self._left = refusals
        self.offered: list[Rows] = []

    def append(self, rows: Rows, positions: Mapping[str, str]) -> None:
        self.offered.append(rows)
        if self._left:
            self._left -= 1
            raise StreamUnavailable("disk full")
        super().append(rows, positions)


def test_what_the_journal_refused_is_offered_again_as_the_same_bytes_before_anything_new(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    journal = _Refusing(bench.stream, 2)
    role = Collect([bench.feed], journal, HOST, PRODUCTION, sealing(tmp_path))
    bench.write(ROOT)
    role.step(NOON)
    for seconds in (1, 2):
        with pytest.raises(StreamUnavailable, match="disk full"):
            role.step(NOON + timedelta(seconds=seconds))
    bench.write(ROOT)
    for seconds in range(3, 6):
        role.step(NOON + timedelta(seconds=seconds))
    assert journal.offered[0] == journal.offered[1] == journal.offered[2]
    assert len(bench.events()) == 2


def test_a_line_that_no_format_knows_is_an_event_with_its_raw_text_and_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.write(b"no syslog at all \xff\x00\n")
    bench.steps()
    (event,) = bench.events()
    assert event["event.original"] == "no syslog at all \\xff\x00"
    counts = msgspec.json.decode(bench.stream.journal.positions()["count:file:in.log"], type=Counts)
    assert counts.records == 1


def test_ten_megabytes_of_one_line_go_in_numbered_parts_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    line = "2026-11-22T11:59:58+00:00 web-1 app[7]: " + "x" * 10_000_000
    bench.write(line + "\n")
    bench.steps(60)
    parts = bench.events()
    assert "".join(str(part["event.original"]) for part in parts) == line
    assert [part["tocsin.part.number"] for part in parts] == list(range(1, len(line) // PART_CHARACTERS + 2))
    assert max(len(row.value) for row in bench.stream.journal.read(EVENTS, 0, 1000)) < 512 * 1024


@pytest.mark.parametrize("stamp", ["2026-11-22T13:00:00+00:00", "2016-11-22T12:00:00+00:00"])
def test_a_time_that_cannot_be_is_kept_as_a_claim(tmp_path: Path, stamp: str) -> None:
    bench = Bench(tmp_path)
    bench.write(ROOT.replace("2026-11-22T11:59:58.250000+00:00", stamp))
    bench.steps()
    (event,) = bench.events()
    assert abs(instant(str(event["@timestamp"])) - NOON) < timedelta(minutes=1)
    assert instant(str(event["tocsin.claimed_time"])) == instant(stamp)


def test_old_times_are_believed_of_what_stood_there_before_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "in.log").write_text(ROOT.replace("2026-11-22T11:59:58.250000", "2024-02-29T03:00:00.000000"))
    bench = Bench(tmp_path)
    bench.steps()
    (event,) = bench.events()
    assert (event["@timestamp"], event["tocsin.backlog"]) == ("2024-02-29T03:00:00.000000Z", True)


def test_a_name_pattern_says_which_database_is_production_whatever_the_case() -> None:
    assert PRODUCTION.of_event({"db.namespace": "customername_production"}) == ("production", "customername")
    assert PRODUCTION.of_event({"db.namespace": "CustomerName_Staging"}) == ("unknown", None)


@pytest.mark.parametrize(
    ("match", "base", "fields", "expected"),
    [
        ({"db.namespace": "*_Staging"}, [], {"db.namespace": "CustomerName_Staging"}, "CustomerName"),
        ({"db.namespace": "stg_*"}, [], {"db.namespace": "stg_shop"}, "shop"),
        ({"host.name": "db-stg-*"}, ["db.namespace"], {"host.name": "db-stg-7", "db.namespace": "shop"}, "shop"),
        ({"server.port": "5433"}, ["db.namespace"], {"server.port": 5433, "db.namespace": "shop"}, "shop"),
        (
            {"db.namespace": "*_staging", "host.name": "eu-*"},
            [],
            {"db.namespace": "a_staging", "host.name": "eu-1"},
            "a/1",
        ),
        ({"host.name": "lab"}, [], {"host.name": "lab", "db.namespace": "shop"}, None),
    ],
)
def test_a_thing_keeps_its_name_without_its_environment(
    match: dict[str, str], base: list[str], fields: dict[str, Value], expected: str | None
) -> None:
    assert Environments.of([(match, "staging", base)], "unknown").of_event(fields) == ("staging", expected)


def test_a_statement_over_several_lines_is_one_event(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "postgresql")
    stamp = "2026-11-22 11:59:58.000 UTC [42] dana@acme_Production "
    bench.write(
        f"{stamp}LOG:  statement: DELETE FROM orders\n\tWHERE id = 7;\n{stamp}LOG:  checkpoint starting: time\n"
    )
    bench.steps(5)
    first, _ = bench.events()
    assert str(first["db.query.text"]).split() == ["DELETE", "FROM", "orders", "WHERE", "id", "=", "7;"]
    assert first["service.environment"] == "production"


def test_a_line_break_within_quotes_begins_no_record_of_its_own(tmp_path: Path) -> None:
    forged = (
        '2026-11-22 11:59:59.000 UTC,"postgres","acme_Production",9,"10.0.0.1:5",x,1,"DROP",x,1/1,0,LOG,00000,"forged"'
    )
    row = (
        '2026-11-22 11:59:58.000 UTC,"dana","acme_Production",42,"10.0.0.9:50311",65f0a1b2.2a,1,"SELECT",'
        f'2026-11-22 11:00:00 UTC,3/7,0,LOG,00000,"statement: SELECT 1 /*\n{forged.replace(chr(34), chr(34) * 2)}\n*/"'
        ',,,,,,,,,"psql","client backend",,0\n'
    )
    bench = Bench(tmp_path, "postgresql-csv")
    bench.write(row)
    bench.steps(5)
    (event,) = bench.events()
    assert event["user.name"] == "dana"


def test_a_heartbeat_says_how_far_a_source_was_read_when_nothing_is_held_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.steps(20)
    beats = [
        msgspec.json.decode(row.value, type=dict[str, object]) for row in bench.stream.journal.read(EVENTS, 0, 100)
    ]
    assert [beat["@timestamp"] for beat in beats if beat["tocsin.record"] == "heartbeat"] == [
        "2026-11-22T12:00:00.000000Z",
        "2026-11-22T12:00:15.000000Z",
    ]


def test_what_may_be_lost_is_told_once_to_whoever_runs_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path)
    bench.write(ROOT)
    bench.steps()
    bench.log.write_text("")
    bench.steps(5)
    assert [record.getMessage() for record in caplog.records if "cut or replaced" in record.getMessage()] == [
        caplog.records[-1].getMessage()
    ]


@pytest.mark.parametrize("jump", [timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_jumps_is_told_and_stops_nothing(tmp_path: Path, jump: timedelta) -> None:
    bench = Bench(tmp_path)
    bench.steps()
    bench.now += jump
    bench.write(ROOT)
    bench.steps(20)  # a second each: time for a heartbeat
    assert [event["user.name"] for event in bench.events()] == ["root"]
    told = [event["message"] for event in bench.own() if event["event.action"] == "clock-jump"]
    assert len(told) == 1
    assert ("went back" if jump < timedelta(0) else "set ahead") in str(told[0])
    stored = bench.stream.journal.read(EVENTS, 0, 100_000)
    beats = [row for row in stored if b'"tocsin.record":"heartbeat"' in row.value]
    assert len(beats) >= 2
