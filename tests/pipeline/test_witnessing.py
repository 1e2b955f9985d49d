"""Detect's witness over the embedded stream: what is refused, told, counted and kept over a restart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import Host
from collectors.chain import Chain, Key
from notifiers.route import labels_of
from notifiers.silence import Silences, silence
from pipeline import rulesets
from pipeline import testimony as testifying
from pipeline.chaining import KeyFile, Sealing
from pipeline.enrolled import Enrolled, Enrolment, write
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.records import DeadLetter
from pipeline.roles.detect import Detect
from pipeline.roles.index import Indexer
from pipeline.roles.own import OwnEvents
from pipeline.roles.sound import Sound
from pipeline.roles.witnessing import Witnessing
from pipeline.seals import Seals
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, MATCHES, Batch, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert
from rules.event import Value, rfc3339
from rules.ruleset import RuleSet, load

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
SECRET = bytes(range(32))
OWN = bytes(range(2, 34))
CENTRE = Host("centre", "tocsin-1", bytes(32))
REFUSED = frozenset(("forged", "unsealed", "revoked"))
RULE = """
title: Root
id: 5d0a8f0e-6d7a-4a38-9a6f-1b6c8f2d9a01
logsource: {category: authentication}
detection: {selection: {user.name: root}, condition: selection}
"""


class Machine:
    """An enrolled host that seals what it says."""

    def __init__(self, secret: bytes = SECRET, host: str = "h1") -> None:
        self.chain = Chain(f"{host}/collect", Key(0, secret), "0000000000000001")
        self.host = host
        self.count = 0

    def event(self, user: str = "ada") -> Message:
        self.count += 1
        fields: dict[str, Value] = {"user.name": user, "tocsin.class": "auth", "event.id": f"e{self.count}"}
        return self._sealed("first/auth", fields | {"tocsin.source": "file:a", "tocsin.record": "event"})

    def beat(self) -> Message:
        fields: dict[str, Value] = {"tocsin.source": "file:a", "tocsin.record": "heartbeat"}
        return self._sealed("first/heartbeat", fields | {"tocsin.source.records": self.count})

    def begins(self) -> Message:
        fields: dict[str, Value] = {"event.action": "chain-epoch", "tocsin.class": "tocsin", "event.id": "begin"}
        fields |= {"event.module": "tocsin", "tocsin.chain.reason": "first start"}
        return self._sealed("first/tocsin", fields | {"tocsin.record": "event"})

    def _sealed(self, name: str, fields: dict[str, Value]) -> Message:
        base: dict[str, Value] = {"@timestamp": rfc3339(NOW), "host.id": self.host}
        return Message(self.host, self.chain.seal(name, base | fields))


class Quick(SqliteStream):
    """A stream whose readers do not wait."""

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        return super().read(topic, group, limit, 0)


class Centre:
    """Detect with its witness, over files."""

    def __init__(self, folder: Path, refuse: frozenset[str] = REFUSED, rules: RuleSet | None = None) -> None:
        self.folder = folder
        self.stream = Quick(folder / "stream")
        enrolled = Enrolled.of(folder / "enrolled")
        seals = Seals(enrolled.get, enrolled.refresh)
        testimony = testifying.Testimony(CENTRE, lambda host: "db-7" if host == "h1" else "")
        keys = KeyFile(folder / "detect.key")
        if keys.read() is None:
            keys.write(Key(0, OWN), 0, sync=False)
            write(folder / "enrolled", Enrolment("centre", "tocsin-1", OWN.hex(), rfc3339(NOW)), "detect")
        own = OwnEvents("centre", Sealing(CENTRE, "detect", keys, "home"), folder / "detect.chain")
        witness = Witnessing(self.stream, seals, testimony, own, refuse=refuse)
        ruleset = rules or load([("rules.yml", RULE)], {})
        self.role = Detect(self.stream, ruleset, engine="test", witness=witness)

    def enrol(self, host: str = "h1", secret: bytes = SECRET, revoked: str | None = None) -> None:
        write(self.folder / "enrolled", Enrolment(host, "db-7", secret.hex(), rfc3339(NOW), revoked))

    def sees(self, *messages: Message, at: datetime = NOW) -> None:
        self.stream.append(EVENTS, messages)
        for _ in range(3):
            self.role.step(at)

    def own(self) -> list[dict[str, Value]]:
        """What the witness told, but for how many dead letters there are, and how its own chain stands."""
        usual = ("deadletter-grew", "chain-epoch", "chain-anchor")
        return [one for one in self.told() if one["event.action"] not in usual]

    def told(self) -> list[dict[str, Value]]:
        found = self.stream.read(EVENTS, "test", 100_000, 0).messages
        fields = [msgspec.json.decode(one.value) for one in found]
        return [one for one in fields if one.get("host.id") == "centre"]

    def letters(self) -> list[DeadLetter]:
        found = self.stream.read(DEADLETTER, "test", 100_000, 0).messages
        return [DeadLetter.model_validate_json(one.value) for one in found]

    def matched(self) -> int:
        found = self.stream.read(MATCHES, "test", 100_000, 0).messages
        return sum(b"Match" in one.value or b'"match"' in one.value for one in found)

    def close(self) -> None:
        self.stream.close()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    centre = Centre(tmp_path)
    centre.enrol()
    yield centre
    centre.close()


def test_an_event_under_another_hosts_name_goes_to_the_dead_letters_whole_and_is_told(centre: Centre) -> None:
    forged = Machine(secret=bytes(32)).event("root")
    centre.sees(Machine().begins(), forged)
    (letter,) = centre.letters()
    assert letter.value == forged.value.decode()
    assert letter.reason.startswith("forged: its seal is not one of 'h1'")
    assert (letter.stage, letter.topic, letter.offset, letter.event_id) == ("detect", EVENTS, 1, "e1")
    (told,) = centre.own()
    assert told["event.action"] == "chain-forged"
    assert (told["tocsin.about.host"], told["tocsin.about.name"], told["tocsin.about.count"]) == ("h1", "db-7", 1)
    assert "1 record in the name of db-7 (h1) refused" in str(told["message"])


def test_a_forged_event_is_not_indexed_and_a_sound_one_is(centre: Centre, tmp_path: Path) -> None:
    db7, stranger = Machine(), Machine(secret=bytes(32))
    stranger.event()
    centre.stream.append(EVENTS, [db7.event("ada"), stranger.event("root")])
    index = SqliteIndex(tmp_path / "index")
    enrolled = Enrolled.of(tmp_path / "enrolled")
    Indexer(centre.stream, index, sound=Sound(Seals(enrolled.get, enrolled.refresh), refuse=REFUSED)).step(NOW)
    ids = [name for name in ("e1", "e2") if _there(index, name)]
    index.close()
    assert ids == ["e1"]


@pytest.mark.parametrize("role", ["zzz", "zzz/detect", "detect"])
def test_an_own_event_of_a_role_that_nobody_has_is_refused(centre: Centre, role: str) -> None:
    fields: dict[str, Value] = {"event.action": "chain-gap", "tocsin.class": "tocsin", "event.id": "e9"}
    fields |= {"@timestamp": rfc3339(NOW), "host.id": "h1", "tocsin.record": "event"}
    value = Chain(f"h1/{role}", Key(0, bytes(32)), "0000000000000001").seal("first/tocsin", fields)
    enrolled = Enrolled.of(centre.folder / "enrolled")
    sound = Sound(Seals(enrolled.get, enrolled.refresh), refuse=REFUSED)
    centre.sees(Message("h1", value))
    (stored,) = [one for one in centre.stream.read(EVENTS, "test", 9, 0).messages if one.value == value]
    assert sound(stored) == (role == "detect")  # the detection of a centre with another escrow
    assert [one.reason[:9] for one in centre.letters()] == ([] if role == "detect" else ["unsealed:"])


def _there(index: SqliteIndex, name: str) -> bool:
    from pipeline.archive import Archive

    return Archive(index).event(name) is not None


def test_a_thousand_forged_records_are_a_thousand_dead_letters_and_two_events(centre: Centre) -> None:
    stranger = Machine(secret=bytes(32))
    centre.sees(*(stranger.event() for _ in range(500)))
    centre.sees(*(stranger.event() for _ in range(500)), at=NOW + timedelta(seconds=5))
    centre.sees(at=NOW + timedelta(seconds=61))
    assert len(centre.letters()) == 1000
    assert [one["tocsin.about.count"] for one in centre.own()] == [500, 500]


def test_n_records_that_are_removed_are_n_lost(centre: Centre) -> None:
    db7 = Machine()
    records = [db7.begins(), *(db7.event() for _ in range(100)), db7.beat()]
    centre.sees(*records[:40], *records[47:])
    told = {str(one["event.action"]): one for one in centre.own()}
    assert told["chain-gap"]["tocsin.about.count"] == 7
    assert told["loss-gap"]["tocsin.lost.records"] == 7
    assert told["loss-gap"]["tocsin.source"] == "file:a"
    assert "7 records that db-7 (h1) wrote of file:a never arrived" in str(told["loss-gap"]["message"])


@pytest.mark.parametrize("seconds", [1, 11])
def test_a_restart_invents_no_gap_and_forgets_none(tmp_path: Path, seconds: int) -> None:
    db7 = Machine()
    first = Centre(tmp_path)
    first.enrol()
    first.sees(db7.begins(), *(db7.event() for _ in range(10)))
    first.sees(*(db7.event() for _ in range(10)), at=NOW + timedelta(seconds=seconds))
    first.close()
    lost = [db7.event() for _ in range(3)]
    second = Centre(tmp_path)
    second.sees(db7.event(), db7.beat(), at=NOW + timedelta(minutes=5))
    counts = [(one["event.action"], one["tocsin.about.count"]) for one in second.own()]
    second.close()
    assert sorted(counts) == [("chain-gap", len(lost)), ("loss-gap", len(lost))]


def test_what_was_judged_before_a_restart_is_not_judged_again(tmp_path: Path) -> None:
    db7, stranger = Machine(), Machine(secret=bytes(32))
    first = Centre(tmp_path)
    first.enrol()
    first.sees(db7.begins())
    first.sees(db7.event("root"), stranger.event(), at=NOW + timedelta(seconds=1))
    before = (first.matched(), len(first.letters()))
    first.close()
    second = Centre(tmp_path)
    for _ in range(5):
        second.role.step(NOW + timedelta(seconds=2))
    after = (second.matched(), len(second.letters()))
    second.close()
    assert before == after == (1, 1)


def test_a_host_that_nobody_enrolled_is_told_once_and_taken_unless_refused(tmp_path: Path) -> None:
    taking = Centre(tmp_path / "a")
    for minute in range(5):
        taking.sees(Machine(host="h9").event("root"), at=NOW + timedelta(minutes=minute))
    assert [one["event.action"] for one in taking.own()] == ["chain-unenrolled"]
    assert (taking.matched(), taking.letters()) == (5, [])
    taking.close()
    refusing = Centre(tmp_path / "b", refuse=REFUSED | {"unenrolled", "unchecked"})
    refusing.sees(Machine(host="h9").event("root"))
    assert refusing.matched() == 0
    assert refusing.letters()[0].reason == "unenrolled: nobody enrolled 'h9'"
    refusing.close()


def test_a_damaged_enrolment_costs_no_record_and_names_the_file(centre: Centre, tmp_path: Path) -> None:
    (tmp_path / "enrolled" / "h1.json").write_text("{}")
    centre.sees(Machine().event("root"))
    (told,) = centre.own()
    assert told["event.action"] == "chain-unchecked"
    assert "enrolled/h1.json: " in str(told["message"])
    assert "restore the file from a backup" in str(told["message"])
    assert (centre.matched(), centre.letters()) == (1, [])


def test_a_revoked_host_is_refused(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    centre.enrol(revoked="2020-01-01T00:00:00Z")
    centre.sees(Machine().event("root"))
    assert centre.matched() == 0
    assert centre.letters()[0].reason == "revoked: the enrolment of 'h1' was revoked at 2020-01-01 00:00:00"
    assert [one["event.action"] for one in centre.own()] == ["chain-revoked"]
    centre.close()


def test_a_cloned_machine_is_told(centre: Centre) -> None:
    db7, copy = Machine(), Machine()
    copy.begins()
    copy.event()
    centre.sees(db7.begins(), db7.event(), db7.event("here"), copy.event("there"))
    (told,) = centre.own()
    assert told["event.action"] == "chain-clone"
    assert "two machines, or two states of one, speak as db-7 (h1): one number has two seals" in str(told["message"])


def test_what_is_no_event_at_all_costs_nothing_but_itself(centre: Centre) -> None:
    centre.sees(Message("x", b"\xff"), Message("x", b"[]"), Message("x", b'{"host.id":7}'), Machine().event("root"))
    assert centre.matched() == 1
    assert len(centre.letters()) == 2


def test_more_dead_letters_are_told_once_and_over_a_restart(centre: Centre, tmp_path: Path) -> None:
    centre.sees(at=NOW)
    centre.stream.append(DEADLETTER, [Message("", b"{}")] * 3)
    centre.sees(at=NOW + timedelta(seconds=40))
    again = Centre(tmp_path)
    again.sees(at=NOW + timedelta(seconds=90))
    grown = [one for one in again.told() if one["event.action"] == "deadletter-grew"]
    again.close()
    assert [one["tocsin.about.count"] for one in grown] == [3]
    assert grown[0]["message"] == "3 records set aside: `tocsin deadletter list` says why"


def test_what_the_witness_tells_pages_and_no_silence_keeps_it_quiet(tmp_path: Path) -> None:
    centre = Centre(tmp_path, rules=load(rulesets.sources(["builtin"], []), {}))
    centre.enrol()
    db7, copy, stranger = Machine(), Machine(), Machine(secret=bytes(32))
    copy.begins()
    copy.event()
    centre.sees(db7.begins(), db7.event(), db7.event("here"), copy.event("there"), stranger.event())
    lost = db7.event()
    centre.sees(db7.event(), db7.beat(), at=NOW + timedelta(seconds=2))
    for _ in range(3):
        centre.role.step(NOW + timedelta(seconds=4))
    found = [Alert.model_validate_json(one.value) for one in centre.stream.read(ALERTS, "test", 100, 0).messages]
    centre.close()
    assert lost
    assert {(one.rule.title, one.rule.urgency) for one in found if one.step == "fired"} >= {
        ("Record under another host's name", "page"),
        ("Two machines under one name", "page"),
        ("Records lost", "page"),
    }
    silences = Silences()
    asked: dict[str, Value] = {"matchers": ["alertname=~.+"], "ends": "2026-11-22T12:00:00Z", "reason": "x", "id": "s"}
    silences.put(silence(asked, "mallory", NOW))
    assert [silences.muting(labels_of(one), NOW) for one in found] == [None] * len(found)
