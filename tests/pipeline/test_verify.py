"""`tocsin verify` against whoever owns the archive, or the journal: each deletion, edit, swap and cut is named."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from collectors.assemble import Host
from collectors.chain import Key
from pipeline import app
from pipeline.chaining import KeyFile, Sealing
from pipeline.config import load
from pipeline.enrolled import Enrolment, write
from pipeline.escrow import open_sound, open_witness
from pipeline.indexes import Document
from pipeline.indexes.repeats import repeat
from pipeline.indexes.rows import File, decode
from pipeline.records import DeadLetter
from pipeline.roles.detect import Detect
from pipeline.roles.index import Indexer
from pipeline.settings import Config
from pipeline.streams import DEADLETTER, EVENTS, Message, Stream
from rules.event import Value, rfc3339
from rules.ruleset import load as load_rules
from tests.standins.prompt import PromptStream

HOST = Host("h1", "db-7", bytes(32))
SECRET = bytes(range(32))
_numbers = itertools.count()
Rows = list[dict[str, Any]]


@dataclass
class Archive:
    """One installation with an enrolled host, its config, and what an attacker reaches."""

    config: Config
    path: Path
    settle: Callable[[], object]
    attack: Attack

    def verify(self, *arguments: str) -> tuple[int, Rows]:
        from pipeline.cli import cli

        done = CliRunner().invoke(cli, ["verify", "-c", str(self.path), "--format", "ndjson", *arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, [msgspec.json.decode(line) for line in done.stdout.splitlines()]

    def findings(self, *arguments: str) -> list[tuple[str, object, object]]:
        code, rows = self.verify(*arguments)
        found = [(row["finding"], row.get("first"), row.get("last")) for row in rows if row["what"] == "finding"]
        assert code == bool(found)
        return found


class Attack:
    """What somebody who owns the archive can do to it, by event id."""

    def delete(self, name: str) -> None: ...
    def edit(self, name: str, field: str, value: object) -> None: ...
    def swap(self, one: str, other: str) -> None: ...


class OnFiles(Attack):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def delete(self, name: str) -> None:
        with self._holding(name) as (connection, n):
            connection.execute("DELETE FROM hits WHERE n = ?", (n,))

    def edit(self, name: str, field: str, value: object) -> None:
        with self._holding(name) as (connection, n):
            self._put(connection, n, lambda fields: fields | {field: value})

    def swap(self, one: str, other: str) -> None:
        with self._holding(one) as (connection, n), self._holding(other) as (again, m):
            first, second = (File(connection).document(k) for k in (n, m))
            self._put(connection, n, lambda _: decode(second))
            self._put(again, m, lambda _: decode(first))

    def _holding(self, name: str) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def found() -> Iterator[tuple[sqlite3.Connection, int]]:
            for path in self._folder.glob("*.db"):
                connection = sqlite3.connect(path, isolation_level=None)
                row = connection.execute("SELECT n FROM hits WHERE id = ?", (name,)).fetchone()
                if row is not None:
                    yield connection, row[0]
                    connection.close()
                    return
                connection.close()
            raise LookupError(name)

        return found()

    def _put(self, connection: sqlite3.Connection, n: int, change: Callable[[Any], Any]) -> None:
        file = File(connection)
        file.document(n)
        first, block = file._block
        block = [msgspec.json.encode(change(decode(one))) if first + k == n else one for k, one in enumerate(block)]
        (dictionary,) = connection.execute("SELECT dictionary FROM documents WHERE first = ?", (first,)).fetchone()
        packed = file._packer(dictionary).pack(block)
        connection.execute("UPDATE documents SET value = ? WHERE first = ?", (packed, first))


class OnElasticsearch(Attack):
    def __init__(self, server: Any, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def delete(self, name: str) -> None:
        place, _ = self._found(name)
        self._server.request("DELETE", f"/{place}/_doc/{name}?refresh=true")

    def edit(self, name: str, field: str, value: object) -> None:
        place, source = self._found(name)
        self._put(place, name, source | {field: value})

    def swap(self, one: str, other: str) -> None:
        (place, first), (elsewhere, second) = self._found(one), self._found(other)
        self._put(place, one, second)
        self._put(elsewhere, other, first)

    def _found(self, name: str) -> tuple[str, dict[str, object]]:
        answer = self._server.request("GET", f"/{self._prefix}-*/_search?q=_id:{name}")
        (hit,) = answer["hits"]["hits"]
        return hit["_index"], hit["_source"]

    def _put(self, place: str, name: str, source: dict[str, object]) -> None:
        self._server.request("PUT", f"/{place}/_doc/{name}?refresh=true", source)


@pytest.fixture(params=["sqlite", pytest.param("elasticsearch", marks=pytest.mark.server)])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    settings: dict[str, object] = {"state": str(tmp_path / "state")}
    attack: Attack = OnFiles(tmp_path / "state" / "index")
    settle: Callable[[], object] = dict
    if request.param == "elasticsearch":
        server = request.getfixturevalue("elasticsearch")
        prefix = f"tocsin-verify{next(_numbers)}"
        settings["index"] = {
            "kind": "elasticsearch",
            "hosts": server.hosts,
            "username": server.username,
            "password": server.password,
            "ca_file": str(server.ca_file),
            "prefix": prefix,
        }
        attack = OnElasticsearch(server, prefix)
        settle = lambda: server.request("POST", f"/{prefix}-*/_refresh")  # noqa: E731
    path = tmp_path / "tocsin.yml"
    path.write_text(yaml.safe_dump(settings))
    return Archive(load(path), path, settle, attack)


class Machine:
    """An enrolled host: seals as `tocsin collect` does, from an hour ago on."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self.now = app.now() - timedelta(hours=1)
        self.published: list[bytes] = []
        self.began = self.now
        write(archive.path.parent / "state" / "enrolled", Enrolment("h1", "db-7", SECRET.hex(), rfc3339(self.now)))
        keys = KeyFile(folder / "collect.key")
        keys.write(Key(0, SECRET), 0, sync=False)
        self._sealing = Sealing(HOST, "collect", keys, "home", self.published.append)
        self.count = 0
        self.sent: list[bytes] = [self._sealing.seal("first", fields) for fields in self._sealing.open({}, self.now)]

    def event(self, kind: str = "auth", priority: str = "first", **more: Value) -> str:
        """Seal an event; return its id."""
        self.count += 1
        self.now += timedelta(seconds=1)
        name = f"{self.count:032x}"
        stamp = rfc3339(self.now)
        fields: dict[str, Value] = {"@timestamp": stamp, "event.created": stamp, "event.id": name, "host.id": "h1"}
        fields |= {"tocsin.record": "event", "tocsin.class": kind, "tocsin.source": "file:a", "user.name": "root"}
        self.sent.append(self._sealing.seal(priority, fields | {"system.load.1": 0.1, "event.category": ["x"], **more}))
        return name

    def beat(self) -> None:
        fields: dict[str, Value] = {"@timestamp": rfc3339(self.now), "host.id": "h1", "tocsin.source": "file:a"}
        self.sent.append(self._sealing.seal("first", fields | {"tocsin.record": "heartbeat"}))

    def anchor(self) -> None:
        self.now += timedelta(minutes=6)
        fields = self._sealing.anchor(self.now)
        assert fields is not None
        self.sent.append(self._sealing.seal("first", fields))
        self.commit()

    def commit(self) -> None:
        self.now += timedelta(minutes=1)
        self._sealing.committed(self.now)


def deliver(archive: Archive, sent: Sequence[bytes]) -> None:
    """The journal as it is delivered, through detect and index."""
    stream = PromptStream(archive.config.state / "stream")
    index = app.open_index(archive.config)
    stream.append(EVENTS, [Message("h1", value) for value in sent])
    detect = Detect(stream, load_rules([], {}), engine="test", witness=open_witness(archive.config, stream, app.now()))
    indexer = Indexer(stream, index, sound=open_sound(archive.config))
    for _ in range(2):
        detect.step(app.now())
        indexer.step(app.now())
    index.close()
    stream.close()
    archive.settle()


@pytest.fixture
def machine(archive: Archive, tmp_path: Path) -> Machine:
    return Machine(archive, tmp_path)


def test_what_nobody_touched_is_whole(archive: Archive, machine: Machine) -> None:
    for number in range(200):
        machine.event(kind="auth" if number % 3 else "system")
        if number % 50 == 0:
            machine.commit()
    machine.event(**{"event.original": "über \u2028 \x00 ' \" \\", "n": 5.0, "big": 2**53, "e": 1e-7, "none": None})
    machine.beat()
    machine.anchor()
    deliver(archive, machine.sent)
    assert archive.findings() == []
    _, rows = archive.verify()
    (auth,) = [row for row in rows if row["what"] == "chain" and row["chain"] == "collect/first/auth"]
    assert (auth["first"], auth["records"], auth["name"]) == (1, 134, "db-7")
    assert rows[-1]["what"] == "summary"
    assert "root on a host can forge what comes after" in rows[-1]["limits"]


def test_each_record_that_is_deleted_from_the_archive_is_named(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(40)]
    deliver(archive, machine.sent)
    for number in (7, 8, 30):
        archive.attack.delete(names[number - 1])
    assert archive.findings() == [("missing", 7, 8), ("missing", 30, 30)]


def test_the_first_records_are_missed_too(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(10)]
    deliver(archive, machine.sent)
    archive.attack.delete(names[0])
    archive.attack.delete(names[1])
    found = archive.findings()
    if app.now().date() > machine.began.date():
        pytest.skip("the test began yesterday")
    assert found == [("missing", 1, 2)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user.name", "nobody"),
        ("user.name", None),
        ("added", "x"),
        ("tocsin.chain.mac", "0" * 32),
        ("tocsin.chain.key", 3),
    ],
)
def test_a_record_that_is_edited_in_the_archive_is_named(
    archive: Archive, machine: Machine, field: str, value: object
) -> None:
    names = [machine.event() for _ in range(20)]
    deliver(archive, machine.sent)
    archive.attack.edit(names[4], field, value)
    _, rows = archive.verify()
    altered = [row for row in rows if row.get("finding") == "altered"]
    assert [(row["first"], row["event"]) for row in altered] == [(5, names[4])]
    assert {row["finding"] for row in rows if row["what"] == "finding"} <= {"altered", "moved"}


def test_a_number_that_is_edited_is_altered_and_missing(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(20)]
    deliver(archive, machine.sent)
    archive.attack.edit(names[4], "event.sequence", 7)
    assert [one[:2] for one in archive.findings()] == [("missing", 5), ("altered", 7)]


def test_records_that_are_swapped_in_the_archive_are_named(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(20)]
    deliver(archive, machine.sent)
    archive.attack.swap(names[4], names[11])
    _, rows = archive.verify()
    moved = {row["event"] for row in rows if row.get("finding") == "moved"}
    assert moved == {names[4], names[11]}


def test_a_tail_that_is_cut_from_the_archive_is_named_by_its_anchor(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(20)]
    machine.anchor()
    deliver(archive, machine.sent)
    for name in names[15:]:
        archive.attack.delete(name)
    assert archive.findings() == [("cut", 16, 20)]


def test_a_tail_without_an_anchor_is_missed_while_the_centre_remembers_it(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(20)]
    deliver(archive, machine.sent)
    archive.attack.delete(names[-1])
    (found,) = archive.findings()
    assert found == ("cut", 20, 20)


def test_an_anchor_in_a_file_elsewhere_names_a_tail_that_is_gone_everywhere(
    archive: Archive, machine: Machine, tmp_path: Path
) -> None:
    for _ in range(20):
        machine.event()
    machine.anchor()
    (tmp_path / "anchors").write_bytes(machine.published[-1] + b"\nrubbish\n")
    archive.path.write_text(archive.path.read_text() + f"chain: {{anchor_file: {tmp_path / 'anchors'}}}\n")
    deliver(archive, machine.sent[:15])
    assert ("cut", 15, 20) in archive.findings()
    _, rows = archive.verify()
    assert any("anchors:2: no anchor" in str(row.get("says")) for row in rows)


def test_a_record_that_is_inserted_is_named(archive: Archive, machine: Machine) -> None:
    machine.event()
    deliver(archive, machine.sent)
    stamp = rfc3339(machine.now)
    value = {"@timestamp": stamp, "event.id": "f" * 32, "host.id": "h1", "tocsin.writer": "h1/collect/first/auth"}
    index = app.open_index(archive.config)
    index.put([Document("f" * 32, "auth", machine.now, msgspec.json.encode(value))])
    index.close()
    archive.settle()
    assert [one[0] for one in archive.findings()] == ["inserted"]


@pytest.mark.parametrize("how", ["delete", "edit", "swap", "cut"])
def test_what_is_done_to_the_journal_before_delivery_is_named(archive: Archive, machine: Machine, how: str) -> None:
    for _ in range(20):
        machine.event()
    journal = list(machine.sent)
    if how == "delete":
        del journal[5]
    elif how == "edit":
        journal[5] = journal[5].replace(b'"root"', b'"ada"')
    elif how == "swap":
        journal[5], journal[6] = journal[6], journal[5]
    else:
        del journal[15:]
        later = len(machine.sent)
        machine.event()
        journal += machine.sent[later:]
    deliver(archive, journal)
    _, rows = archive.verify()
    found = [(row["finding"], row.get("first"), row.get("last")) for row in rows if row["what"] == "finding"]
    if how == "swap":
        assert [one[0] for one in found] == ["reordered"]
        (why,) = [row["why"] for row in rows if row.get("finding") == "reordered"]
        assert "number 5 of epoch" in why
        return
    assert found == [("missing", 15, 20) if how == "cut" else ("missing", 5, 5)]
    if how == "edit":
        (why,) = [row["why"] for row in rows if row.get("finding") == "missing"]
        assert why == "number 5 came altered and was refused: tocsin deadletter show 0-0"


def test_what_the_index_set_aside_counts_as_present(archive: Archive, machine: Machine) -> None:
    for _ in range(10):
        machine.event()
    deliver(archive, [*machine.sent[:4], *machine.sent[5:]])
    assert archive.findings() == [("missing", 4, 4)]
    stream: Stream = app.open_stream(archive.config)
    value = machine.sent[4].decode()
    letter = DeadLetter(stage="index", reason="400: no", time=machine.now, topic=EVENTS, value=value)
    stream.append(DEADLETTER, [Message("h1", letter.model_dump_json().encode())])
    stream.close()
    assert archive.findings() == []
    assert archive.verify()[1][-1]["set_aside"] == 1


def test_a_part_of_the_time_is_verified_without_inventing_holes(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(30)]
    machine.event(**{"@timestamp": rfc3339(machine.began - timedelta(days=2))})  # came late: it stands elsewhere
    names += [machine.event() for _ in range(30)]
    deliver(archive, machine.sent)
    since = rfc3339(machine.began + timedelta(seconds=20))
    assert archive.findings("--since", since) == []
    archive.attack.delete(names[40])
    assert archive.findings("--since", since) == [("missing", 42, 42)]


def test_a_host_that_nobody_enrolled_is_said_and_is_no_finding(archive: Archive, machine: Machine) -> None:
    machine.event()
    (archive.path.parent / "state" / "enrolled" / "h1.json").unlink()
    deliver(archive, machine.sent)
    code, rows = archive.verify()
    assert code == 0
    assert any("nobody enrolled who wrote them" in str(row.get("unknown")) for row in rows)
    assert any("nobody is enrolled in" in str(row.get("says")) for row in rows)


def test_a_damaged_enrolment_is_said(archive: Archive, machine: Machine) -> None:
    machine.event()
    deliver(archive, machine.sent)
    (archive.path.parent / "state" / "enrolled" / "h1.json").write_text("{}")
    code, rows = archive.verify()
    assert code == 0
    assert any("h1.json" in str(row.get("says")) and "restore the file" in str(row.get("says")) for row in rows)


def test_one_host_is_verified_by_its_name(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(5)]
    deliver(archive, machine.sent)
    archive.attack.delete(names[2])
    assert archive.findings("--host", "db-7") == [("missing", 3, 3)]
    assert archive.findings("--host", "web-1") == []


def test_days_that_retention_dropped_are_said_and_are_no_finding(archive: Archive, machine: Machine) -> None:
    from pipeline.indexes import Retained

    machine.now = machine.began - timedelta(days=400)
    for _ in range(10):
        machine.event(**{"tocsin.backlog": True})
    machine.now = machine.began
    names = [machine.event(**{"tocsin.backlog": True}), *(machine.event() for _ in range(9))]
    deliver(archive, machine.sent)
    index = app.open_index(archive.config)
    assert isinstance(index, Retained)
    assert index.drop("auth", (machine.began - timedelta(days=365)).date()) == 1
    index.close()
    archive.settle()
    code, rows = archive.verify()
    (chain,) = [row for row in rows if row["what"] == "chain" and row["chain"] == "collect/first/auth"]
    assert (code, chain["first"]) == (0, 11)
    assert "numbers 1 to 10: they may be older than what is kept" in chain["unknown"]
    archive.attack.delete(names[5])
    assert archive.findings() == [("missing", 16, 16)]


def test_an_index_that_is_away_is_said_and_nothing_is_concluded(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yml"
    index = {"kind": "elasticsearch", "hosts": ["http://127.0.0.1:9"]}
    path.write_text(yaml.safe_dump({"state": str(tmp_path / "state"), "index": index}))
    from pipeline.cli import cli

    done = CliRunner().invoke(cli, ["verify", "-c", str(path), "--format", "ndjson"])
    assert done.exit_code == 1
    assert "Elasticsearch: ConnectionError" in done.stderr
    assert "summary" not in done.stdout


def test_what_was_read_again_under_new_numbers_is_not_missing(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(3)]
    machine.count = 0
    assert [machine.event() for _ in range(3)] == names
    for _ in range(2):
        deliver(archive, machine.sent)
    assert archive.findings() == []
    assert archive.findings("--since", rfc3339(machine.now)) == []
    kept = [repeat(Document(names[1], "auth", machine.now, value)).id for value in machine.sent]
    archive.attack.edit(kept[5], "tocsin.repeat", "eA==")
    archive.attack.delete(kept[4])
    assert archive.findings() == [("missing", 4, 5), ("inserted", None, None)]


def test_a_record_that_is_deleted_beside_an_old_logs_is_named(archive: Archive, machine: Machine) -> None:
    names = [machine.event(**{"tocsin.backlog": True}) for _ in range(10)]
    deliver(archive, machine.sent)
    archive.attack.delete(names[4])
    assert archive.findings() == [("missing", 5, 5)]


def test_a_tail_is_missed_while_the_index_is_behind(archive: Archive, machine: Machine) -> None:
    names = [machine.event() for _ in range(20)]
    deliver(archive, machine.sent)
    machine.event(kind="db")
    machine.event()
    stream = app.open_stream(archive.config)
    stream.append(EVENTS, [Message("h1", value) for value in machine.sent[-2:]])
    detect = Detect(stream, load_rules([], {}), engine="test", witness=open_witness(archive.config, stream, app.now()))
    detect.step(app.now())
    stream.close()
    assert archive.findings() == []
    archive.attack.delete(names[-1])
    assert archive.findings() == [("cut", 20, 20)]


def test_what_a_stranger_says_that_the_witness_told_is_not_counted(archive: Archive, machine: Machine) -> None:
    stamp = rfc3339(machine.now)
    value: dict[str, Value] = {"@timestamp": stamp, "event.created": stamp, "event.id": "e" * 32, "host.id": "h9"}
    value |= {"event.action": "chain-clone", "message": "x", "tocsin.class": "tocsin", "tocsin.record": "event"}
    deliver(archive, [msgspec.json.encode(value | {"tocsin.writer": "h9/detect/first/tocsin"})])
    assert archive.findings() == []
