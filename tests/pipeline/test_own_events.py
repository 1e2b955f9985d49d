"""A role's own events: sealed, on the disk before they are sent, and sent again after a crash as the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import Host
from collectors.chain import Key
from collectors.own import own_event
from pipeline.chaining import KeyFile, Sealing
from pipeline.roles.own import OwnEvents
from pipeline.streams import Message, StreamUnavailable
from rules.event import Value

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
HOST = Host("centre", "tocsin-1", bytes(32))


def opened(folder: Path) -> OwnEvents:
    keys = KeyFile(folder / "detect.key")
    if keys.read() is None:
        keys.write(Key(0, bytes(range(32))), 0, sync=False)
    return OwnEvents(HOST.id, Sealing(HOST, "detect", keys, "home"), folder / "detect.chain")


def event(name: str) -> dict[str, Value]:
    return own_event("chain-gap", name, HOST, NOW, origin=name.encode(), fields={})


def numbers(messages: list[Message]) -> list[tuple[str, int]]:
    fields = [msgspec.json.decode(one.value) for one in messages]
    return [(one["event.action"], one["event.sequence"]) for one in fields]


def test_the_chain_begins_with_its_epoch_and_goes_on_over_a_restart(tmp_path: Path) -> None:
    own = opened(tmp_path)
    assert numbers(own.messages([event("a")], NOW)) == [("chain-epoch", 1), ("chain-gap", 2)]
    own.delivered()
    again = opened(tmp_path)
    assert numbers(again.messages([event("b")], NOW)) == [("chain-gap", 3)]


def test_what_may_not_have_been_sent_is_sent_again_byte_for_byte(tmp_path: Path) -> None:
    own = opened(tmp_path)
    first = own.messages([event("a")], NOW)
    second = own.messages([event("b")], NOW)
    assert opened(tmp_path).messages([], NOW) == [*first, *second]


def test_what_was_delivered_is_not(tmp_path: Path) -> None:
    own = opened(tmp_path)
    own.messages([event("a")], NOW)
    own.delivered()
    assert opened(tmp_path).messages([], NOW) == []


def test_a_full_disk_keeps_the_event_for_later(tmp_path: Path) -> None:
    own = opened(tmp_path)
    own.messages([], NOW)
    own.delivered()
    (tmp_path / "detect.chain").unlink()
    (tmp_path / "detect.chain").mkdir()  # nothing can be written there
    with pytest.raises(StreamUnavailable, match="make room"):
        own.messages([event("a")], NOW)
    (tmp_path / "detect.chain").rmdir()
    assert numbers(own.messages([], NOW)) == [("chain-gap", 2)]


def test_a_file_that_is_lost_begins_an_epoch_and_says_so(tmp_path: Path) -> None:
    own = opened(tmp_path)
    own.messages([event("a")], NOW)
    (tmp_path / "detect.chain").write_text("{")
    (begun, *_) = opened(tmp_path).messages([], NOW)
    assert msgspec.json.decode(begun.value)["tocsin.chain.reason"] == "state was lost"


def test_now_and_then_it_states_how_far_it_went(tmp_path: Path) -> None:
    own = opened(tmp_path)
    own.messages([event("a")], NOW)
    (anchor,) = own.messages([], NOW + timedelta(minutes=6))
    (head,) = msgspec.json.decode(anchor.value)["tocsin.chain.heads"]
    assert head.split()[0::2] == ["first/tocsin", "2"]


@pytest.mark.parametrize("text", [b'{"positions":{},"pending":["%%%"]}', b'{"positions":{},"pending":["YQ"]}', b"["])
def test_a_damaged_file_begins_the_chain_anew(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "detect.chain").write_bytes(text)
    assert numbers(opened(tmp_path).messages([event("a")], NOW)) == [("chain-epoch", 1), ("chain-gap", 2)]


def test_a_file_that_cannot_be_read_is_said_and_the_event_is_kept(tmp_path: Path) -> None:
    (tmp_path / "detect.chain").mkdir()
    own = opened(tmp_path)
    with pytest.raises(StreamUnavailable, match="give Tocsin's user the right"):
        own.messages([event("a")], NOW)
    (tmp_path / "detect.chain").rmdir()
    assert numbers(own.messages([], NOW)) == [("chain-epoch", 1), ("chain-gap", 2)]
