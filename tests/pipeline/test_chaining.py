"""The chains of a role survive what a role survives, and begin anew, loudly, when they cannot go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import Host
from collectors.chain import Key, opened
from pipeline.chaining import ANCHOR_EVERY, RATCHET_EVERY, KeyFault, KeyFile, Sealing
from rules.event import Value

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOST = Host("host-1", "web-1", b"k" * 32)
FIRST = Key(0, b"s" * 32)


class Writer:
    """A role that seals, and a journal that is a dictionary."""

    def __init__(self, folder: Path) -> None:
        self.keys = KeyFile(folder / "collect.key")
        self.keys.write(FIRST, 0, sync=False)
        self.journal: dict[str, str] = {}
        self.records: list[bytes] = []

    def start(self, home: str = "here") -> list[dict[str, Value]]:
        self.sealing = Sealing(HOST, "collect", self.keys, home)
        return self.sealing.open(self.journal, NOON)

    def commit(self, text: str = "x", now: datetime = NOON) -> dict[str, object]:
        fields: dict[str, Value] = {
            "tocsin.record": "event",
            "tocsin.class": "auth",
            "tocsin.source": "s",
            "message": text,
        }
        sealed = self.sealing.seal("first", fields)
        self.journal = self.sealing.positions()
        self.sealing.committed(now)
        self.records.append(sealed)
        return msgspec.json.decode(sealed, type=dict[str, object])


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def test_the_first_start_begins_an_epoch_and_says_so(writer: Writer) -> None:
    (began,) = writer.start()
    assert (began["event.action"], began["tocsin.chain.reason"]) == ("chain-epoch", "first start")


def test_a_restart_goes_on_with_number_epoch_and_head(writer: Writer) -> None:
    writer.start()
    first = writer.commit()
    assert writer.start() == []
    second = writer.commit()
    assert (first["event.sequence"], second["event.sequence"]) == (1, 2)
    assert first["tocsin.chain.epoch"] == second["tocsin.chain.epoch"]


def test_restarts_do_not_show_in_the_head(writer: Writer) -> None:
    writer.start()
    writer.commit()
    begun = dict(writer.journal)

    def head(*, restarting: bool) -> Value:
        writer.journal = dict(begun)
        writer.keys.write(FIRST, 1, sync=False)
        writer.start()
        for number in range(20):
            writer.commit(str(number))
            if restarting:
                writer.start()
        anchor = writer.sealing.anchor(NOON + ANCHOR_EVERY)
        assert anchor is not None
        return anchor["tocsin.chain.heads"]

    assert head(restarting=True) == head(restarting=False)


def test_a_key_serves_for_a_minute_and_is_then_gone_from_the_disk(writer: Writer) -> None:
    writer.start()
    writer.commit()
    writer.commit(now=NOON + RATCHET_EVERY)
    third = writer.commit(now=NOON + RATCHET_EVERY + timedelta(seconds=1))
    assert third["tocsin.chain.key"] == 1
    assert FIRST.secret not in writer.keys.path.read_bytes()
    found = opened(writer.records[2])
    assert found is not None
    assert FIRST.ratcheted().seal(found[0]) == found[1]


def test_a_power_cut_that_brings_an_older_key_back_changes_nothing(writer: Writer) -> None:
    writer.start()
    writer.commit(now=NOON + RATCHET_EVERY)
    writer.commit(now=NOON + RATCHET_EVERY)
    writer.keys.write(FIRST, 1, sync=False)
    assert writer.start() == []
    record = writer.commit()
    assert record["tocsin.chain.key"] == 1


@pytest.mark.parametrize(
    ("happens", "reason"),
    [("lost", "state was lost"), ("older", "journal went back"), ("copied", "state was copied")],
)
def test_numbers_that_were_used_are_never_used_again(writer: Writer, happens: str, reason: str) -> None:
    writer.start()
    first = writer.commit()
    backup = dict(writer.journal)
    writer.commit()
    if happens == "lost":
        writer.journal = {}
    elif happens == "older":
        writer.journal = backup
    (began,) = writer.start("there" if happens == "copied" else "here")
    again = writer.commit()
    assert began["tocsin.chain.reason"] == reason
    assert (again["event.sequence"], again["tocsin.chain.epoch"] != first["tocsin.chain.epoch"]) == (1, True)


def test_the_epoch_before_is_named_with_where_it_stood(writer: Writer) -> None:
    writer.start()
    first = writer.commit()
    (began,) = writer.start("there")
    assert isinstance(began["tocsin.chain.previous"], list)
    (before,) = began["tocsin.chain.previous"]
    assert str(before).startswith(f"first/auth {first['tocsin.chain.epoch']} 1 ")


def test_a_heartbeat_says_how_many_records_of_its_source_went_before(writer: Writer) -> None:
    writer.start()
    writer.commit()
    writer.commit()
    writer.start()
    beat = writer.sealing.seal("first", {"tocsin.record": "heartbeat", "tocsin.source": "s"})
    fields = msgspec.json.decode(beat)
    assert (fields["tocsin.source.records"], fields["tocsin.writer"]) == (2, "host-1/collect/first/heartbeat")


@pytest.mark.parametrize("data", [b"", b"short", bytes(64), bytes(65)])
def test_a_damaged_key_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "collect.key"
    path.write_bytes(data)
    with pytest.raises(KeyFault, match=r"collect\.key: damaged"):
        KeyFile(path).read()


def test_an_anchor_is_published_once_its_record_is_durable(writer: Writer) -> None:
    published: list[bytes] = []
    writer.sealing = Sealing(HOST, "collect", writer.keys, "here", published.append)
    writer.sealing.open(writer.journal, NOON)
    writer.commit()
    anchor = writer.sealing.anchor(NOON + ANCHOR_EVERY)
    assert anchor is not None
    assert published == []
    writer.commit()
    writer.commit()
    (line,) = published
    assert msgspec.json.decode(line)["heads"] == anchor["tocsin.chain.heads"]


def test_the_first_anchor_of_a_day_is_marked(writer: Writer) -> None:
    writer.start()
    anchors = [writer.sealing.anchor(NOON + timedelta(hours=hours)) for hours in (1, 11, 12, 13, 36)]
    assert [anchor and anchor["tocsin.chain.daily"] for anchor in anchors] == [False, False, True, False, True]


def test_another_key_begins_another_epoch_however_far_the_old_one_had_been_ratcheted(writer: Writer) -> None:
    writer.start()
    for minutes in range(4):
        writer.commit(now=NOON + minutes * RATCHET_EVERY)
    writer.keys.write(Key(0, b"t" * 32), 0, sync=False)
    (began,) = writer.start()
    again = writer.commit()
    assert began["tocsin.chain.reason"] == "key was replaced"
    assert (again["event.sequence"], again["tocsin.chain.key"]) == (1, 0)


def test_a_host_under_another_id_begins_another_epoch(writer: Writer) -> None:
    writer.start()
    writer.commit()
    writer.sealing = Sealing(Host("host-2", "web-1", b"k" * 32), "collect", writer.keys, "here")
    (began,) = writer.sealing.open(writer.journal, NOON)
    assert began["tocsin.chain.reason"] == "host.id was changed"
