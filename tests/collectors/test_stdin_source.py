"""Standard input: lines of a pipe, held until they are journalled, and its end told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.sources.stdin import Input, StdinSource

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Pipe:
    """A pipe with the input at its other end."""

    into: int
    input: Input

    def write(self, data: bytes) -> None:
        os.write(self.into, data)

    def end(self) -> None:
        os.close(self.into)

    def source(self, position: str | None = None) -> StdinSource:
        source = StdinSource("stdin", "auto", self.input)
        source.open(position, NOON)
        return source


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    out, into = os.pipe()
    yield Pipe(into, Input(out))
    os.close(out)


def test_lines_are_records_at_their_offsets_and_a_read_never_waits(pipe: Pipe) -> None:
    source = pipe.source()
    assert source.read(NOON, 10).up_to == NOON
    pipe.write(b"one\n\ntwo\xff\0\nha")
    found = source.read(NOON, 10).records
    pipe.write(b"lf\n")
    found = [*found, *source.read(NOON, 10).records]
    assert [(r.raw, r.known["log.offset"]) for r in found] == [(b"one", 0), (b"two\xff\0", 5), (b"half", 11)]
    assert len({record.place for record in found}) == 3
    pipe.end()


def test_the_end_is_told_once_and_the_half_line_before_it_is_a_record(pipe: Pipe) -> None:
    source = pipe.source()
    pipe.write(b"one\nhalf")
    pipe.end()
    batches = [source.read(NOON, 10) for _ in range(4)]
    assert [record.raw for batch in batches for record in batch.records] == [b"one", b"half"]
    assert [t for batch in batches for t in batch.troubles] == [
        "stdin: has ended after 8 bytes; all of it has been read"
    ]
    assert source.ended


def test_a_source_opened_anew_in_the_same_process_goes_on_behind_what_is_journalled(pipe: Pipe) -> None:
    source = pipe.source()
    pipe.write(b"one\ntwo\nthree\nfo")
    first, second, third = source.read(NOON, 10).records
    again = pipe.source(source.position([first]))
    pipe.write(b"ur\n")
    found = [*again.read(NOON, 10).records, *again.read(NOON, 10).records]
    assert found[:2] == [second, third]
    assert found[2].raw == b"four"
    pipe.end()


def test_another_process_has_an_epoch_of_its_own(pipe: Pipe) -> None:
    source = pipe.source()
    pipe.write(b"same\n")
    (first,) = source.read(NOON, 10).records
    position = source.position([first])
    out, into = os.pipe()
    other = Pipe(into, Input(out)).source(position)
    os.write(into, b"same\n")
    (second,) = other.read(NOON, 10).records
    assert second.raw == first.raw
    assert second.place != first.place
    for fd in (out, into):
        os.close(fd)
    pipe.end()


def test_nothing_more_is_read_while_too_much_is_not_journalled(tmp_path: Path) -> None:
    place = tmp_path / "big"
    with place.open("wb") as file:
        file.truncate(100 * 2**20)
    with place.open("rb") as file:
        source = StdinSource("stdin", "auto", Input(file.fileno()))
        source.open(None, NOON)
        pieces = [record for _ in range(1000) for record in source.read(NOON, 10).records]
        assert source.written() == 32 * 2**20
        source.position(pieces[:1])
        pieces += [record for _ in range(1000) for record in source.read(NOON, 10).records]
    assert source.written() == 48 * 2**20
    assert {len(piece.raw) for piece in pieces} == {16 * 2**20}


def test_no_standard_input_at_all_is_told(pipe: Pipe) -> None:
    out, into = os.pipe()
    os.close(out)
    os.close(into)
    source = StdinSource("stdin", "auto", Input(out))
    source.open(None, NOON)
    assert "start it as `some-command | tocsin collect`" in source.read(NOON, 10).troubles[0]
    pipe.end()
