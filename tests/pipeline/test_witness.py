"""The witness: what is missing is counted, what comes again is nothing, and two machines under one name are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.chain import Chain, Key
from pipeline.watched import WINDOW, sources
from pipeline.witness import WITNESSED, Clone, Finding, Gap, Late, Lost, Witness
from rules.event import Value
from tests.properties import examples

ONE, TWO = "0000000000000001", "0000000000000002"
T0 = "2026-11-22T02:14:00.000000Z"


class Machine:
    """A host that seals: events of a source, heartbeats that count them, and the event that begins an epoch."""

    def __init__(self, epoch: str = ONE, secret: bytes = bytes(32), host: str = "h1") -> None:
        self.chain = Chain(f"{host}/collect", Key(0, secret), epoch)
        self.host = host
        self.counts: dict[str, int] = {}

    def event(self, text: str = "", source: str = "file:a", name: str = "first/auth") -> bytes:
        self.counts[source] = self.counts.get(source, 0) + 1
        return self._seal(name, {"tocsin.source": source, "tocsin.record": "event", "message": text})

    def beat(self, source: str = "file:a") -> bytes:
        count = self.counts.get(source, 0)
        fields: dict[str, Value] = {"tocsin.source": source, "tocsin.record": "heartbeat"}
        return self._seal("first/heartbeat", fields | {"tocsin.source.records": count})

    def begins(self, previous: Sequence[str] = (), reason: str = "state was lost") -> bytes:
        fields: dict[str, Value] = {"event.action": "chain-epoch", "tocsin.class": "tocsin", "tocsin.record": "event"}
        return self._seal(
            "first/tocsin", fields | {"tocsin.chain.previous": list(previous), "tocsin.chain.reason": reason}
        )

    def _seal(self, name: str, fields: dict[str, Value]) -> bytes:
        return self.chain.seal(name, {"@timestamp": T0, "host.id": self.host, **fields})


def feed(witness: Witness, records: Iterable[bytes]) -> list[Finding]:
    found: list[Finding] = []
    for value in records:
        fields = msgspec.json.decode(value)
        found += witness.saw(tuple(fields.get(name) for name in WITNESSED), value)
    return found


def gaps(found: Iterable[Finding]) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in found if isinstance(one, Gap)]


def test_numbers_in_order_are_nothing_to_tell() -> None:
    db7 = Machine()
    assert feed(Witness(), [db7.begins(), *(db7.event() for _ in range(1000)), db7.beat()]) == []


@settings(max_examples=examples(150))
@given(st.sets(st.integers(1, 600), max_size=40), st.integers(0, 3))
def test_every_number_that_is_left_out_is_named(removed: set[int], ratchets: int) -> None:
    db7 = Machine()
    begin = db7.begins()
    records = []
    for number in range(1, 602):
        records.append(db7.event(str(number)))
        if ratchets and number % (200 // ratchets) == 0:
            db7.chain.ratchet()
    found = feed(Witness(), [begin, *(one for n, one in enumerate(records, 1) if n not in removed)])
    named = {n for first, last in gaps(found) for n in range(first, last + 1)}
    assert named == removed
    assert len(found) == len(gaps(found))


def test_what_is_missing_is_counted_for_its_source_even_at_the_end_of_the_chain() -> None:
    db7 = Machine()
    records = [db7.begins(), *(db7.event() for _ in range(10)), *(db7.event(source="file:b") for _ in range(5))]
    beats = [db7.beat(), db7.beat("file:b")]
    witness = Witness()
    found = feed(witness, [*records[:4], *records[6:-3], *beats])
    assert [one for one in found if isinstance(one, Lost)] == [
        Lost("h1", "file:a", ONE, 2),
        Lost("h1", "file:b", ONE, 3),
    ]
    state = sources(witness.changed()["h1"])
    assert (state["file:a"].written, state["file:a"].missing) == (10, 2)
    assert (state["file:b"].written, state["file:b"].missing) == (5, 3)


def test_a_loss_is_told_once() -> None:
    db7, witness = Machine(), Witness()
    begin, _lost, event = db7.begins(), db7.event(), db7.event()
    assert len(feed(witness, [begin, event, db7.beat()])) == 2  # the gap, and whose it was
    assert feed(witness, [db7.beat(), db7.event(), db7.beat()]) == []


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 700)), max_size=6))
def test_records_that_are_sent_again_change_nothing(again: list[tuple[int, int]]) -> None:
    db7 = Machine()
    records = [db7.begins()]
    for number in range(700):
        records.append(db7.event(str(number)))
        if number % 90 == 0:
            db7.chain.ratchet()
    witness = Witness()
    assert feed(witness, records) == []
    for start, count in again:
        assert feed(witness, records[start : start + count]) == []
    assert feed(witness, [db7.beat(), db7.event()]) == []


def test_a_record_that_comes_late_is_told_and_is_no_loss_any_more() -> None:
    db7, witness = Machine(), Witness()
    begin, one, two, three = db7.begins(), db7.event(), db7.event(), db7.event()
    assert gaps(feed(witness, [begin, one, three])) == [(2, 2)]
    assert feed(witness, [two, db7.beat()]) == [Late("h1", "h1/collect/first/auth", ONE, 2)]


def test_a_first_look_invents_no_gap() -> None:
    db7 = Machine()
    records = [*(db7.event() for _ in range(50)), db7.beat(), db7.event(), db7.beat()]
    assert feed(Witness(), records[30:]) == []


@settings(max_examples=examples(60))
@given(st.integers(0, 120), st.sets(st.integers(1, 119), max_size=10))
def test_a_restart_from_what_was_kept_finds_the_same(stop: int, removed: set[int]) -> None:
    db7 = Machine()
    records = [db7.begins()]
    for number in range(119):
        records.append(db7.beat() if number % 10 == 9 else db7.event(str(number)))
    sent = [one for n, one in enumerate(records) if n not in removed]
    whole = feed(Witness(), sent)
    before = Witness()
    first = feed(before, sent[:stop])
    assert first + feed(Witness(before.changed()), sent[stop:]) == whole


def test_a_machine_that_was_copied_shows_by_two_seals_of_one_number() -> None:
    db7, copy = Machine(), Machine()
    witness = Witness()
    feed(witness, [db7.begins(), db7.event("same")])
    copy.begins()
    copy.event("same")
    assert feed(witness, [db7.event("here")]) == []
    (found,) = feed(witness, [copy.event("there")])
    assert isinstance(found, Clone)
    assert found.reason == "one number has two seals"


def test_a_copy_that_lags_far_behind_shows_by_its_key() -> None:
    db7, copy = Machine(), Machine()
    begin = db7.begins()
    copy.begins()
    witness = Witness()
    feed(witness, [begin, *(db7.event(str(n)) for n in range(WINDOW * 3))])
    db7.chain.ratchet()
    copy.chain.ratchet()
    assert feed(witness, [db7.event()]) == []
    (found,) = feed(witness, [copy.event("there")])
    assert isinstance(found, Clone)
    assert found.reason == "an earlier number is sealed with a later key"


def test_epochs_that_take_turns_are_two_machines() -> None:
    db7, copy = Machine(), Machine(TWO)
    witness = Witness()
    feed(witness, [db7.begins(), db7.event()])
    assert feed(witness, [copy.begins(), copy.event()]) == []
    (found,) = feed(witness, [db7.event()])
    assert isinstance(found, Clone)
    assert found.reason == "an epoch goes on after the next one began"


def test_a_first_start_that_is_not_the_first_is_told() -> None:
    old, new, witness = Machine(), Machine(TWO), Witness()
    feed(witness, [old.begins(), old.event()])
    found = feed(witness, [new.begins(reason="first start")])
    assert [one.reason for one in found if isinstance(one, Clone)] == [
        "it says that it starts for the first time, and does not"
    ]


def test_a_new_epoch_begins_at_one_and_says_how_far_the_old_one_went() -> None:
    old, new = Machine(), Machine(TWO)
    records = [old.begins(), *(old.event() for _ in range(9))]
    begin = new.begins(previous=[f"first/auth {ONE} 9 {'0' * 32}", "nonsense", "first/auth"])
    new.event()
    witness = Witness()
    found = feed(witness, [*records[:-2], begin, new.event()])
    assert [(one.epoch, one.first, one.last) for one in found if isinstance(one, Gap)] == [(ONE, 8, 9), (TWO, 1, 1)]


def test_what_is_counted_goes_on_over_epochs() -> None:
    old, new, witness = Machine(), Machine(TWO), Witness()
    lost = [old.begins(), old.event(), old.event(), old.event(), old.beat()]
    feed(witness, [lost[0], lost[1], *lost[3:]])
    feed(witness, [new.begins(), new.event(), new.beat()])
    state = sources(witness.changed()["h1"])["file:a"]
    assert (state.before, state.written, state.missing) == ((3, 1), 1, 0)


@pytest.mark.parametrize("name", WITNESSED)
@pytest.mark.parametrize("value", [None, "", -1, 0, 2**70, 1.5, True, [], {}])
def test_strange_values_cost_nothing(name: str, value: object) -> None:
    db7, witness = Machine(), Witness()
    fields = msgspec.json.decode(db7.beat()) | {name: value}
    if name in ("host.id", "tocsin.writer") and not isinstance(value, str):
        return  # `Seals` takes no such record
    said = tuple(fields.get(name) for name in WITNESSED)
    assert list(witness.saw(said, db7.beat())) == []
    assert Witness(witness.changed()).changed() == {}


def test_a_host_can_make_up_only_so_many_chains_and_sources() -> None:
    db7, witness = Machine(), Witness()
    for n in range(3000):
        feed(witness, [db7.event(source=f"s{n}", name=f"first/{n}")])
    assert len(witness.changed()["h1"]) < 1_000_000


def test_strangers_take_no_room_of_hosts_that_are_enrolled() -> None:
    witness = Witness(room=3)
    for number in range(3):
        feed(witness, [Machine(host=f"made-up-{number}").event()])
    assert not witness.full
    feed(witness, [Machine(host="made-up-3").event()])
    assert witness.full
    machine = Machine(host="db-7")
    sent = [machine.event() for _ in range(3)]
    found: list[Finding] = []
    for value in (sent[0], sent[2]):
        fields = msgspec.json.decode(value)
        found += witness.saw(tuple(fields.get(name) for name in WITNESSED), value, enrolled=True)
    assert gaps(found) == [(2, 2)]
    assert set(witness.changed()) == {"made-up-0", "made-up-1", "made-up-2", "db-7"}
