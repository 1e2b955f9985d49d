"""The file source: every line once, through rotation of each kind and restarts at any point."""

from __future__ import annotations

import gzip
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Record
from collectors.sources.file import FileSource
from collectors.sources.tail import Tail

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Reader:
    """Drives a source as the collecting role does: read, make durable, keep the position."""

    def __init__(self, path: Path, position: str | None = None) -> None:
        self.path, self.now, self.position, self.troubles = path, NOON, position, [""]
        self.records: list[Record] = []
        self.start()

    def start(self) -> None:
        self.source = FileSource("auth", [str(self.path)], "syslog")
        self.source.open(self.position, self.now)
        self.position = self.position or self.source.position([])

    def restart(self) -> None:
        """As after kill -9: only the position is left."""
        self.source.close()
        self.start()

    def read(self, *, rounds: int = 3, durable: bool = True) -> list[str]:
        got: list[Record] = []
        for _ in range(rounds):
            self.now += timedelta(seconds=1)
            batch = self.source.read(self.now, 100_000)
            self.troubles += batch.troubles
            got += batch.records
        if durable:
            self.records += got
            self.position = self.source.position(list({record.lane: record for record in got}.values()))
        return [record.raw.decode(errors="replace") for record in got]


def _add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(line + "\n" for line in lines)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.touch()
    return path


def test_a_file_of_one_byte_and_a_newline_is_read(log: Path) -> None:
    reader = Reader(log)
    _add(log, "x")
    assert reader.read() == ["x"]


def test_half_a_line_waits_for_its_end(log: Path) -> None:
    reader = Reader(log)
    log.write_text("ha")
    assert reader.read() == []
    with log.open("a") as file:
        file.write("lf\n")
    assert reader.read() == ["half"]


def test_what_stood_there_at_the_first_start_is_backlog_and_nothing_else(log: Path) -> None:
    _add(log, "old")
    reader = Reader(log)
    _add(log, "new")
    reader.read()
    assert [(record.raw, record.backlog) for record in reader.records] == [(b"old", True), (b"new", False)]


def test_backlog_stays_backlog_over_a_restart_in_the_middle(log: Path) -> None:
    _add(log, "old one", "old two")
    reader = Reader(log)
    reader.restart()
    _add(log, "new")
    reader.read()
    assert [record.backlog for record in reader.records] == [True, True, False]


def test_rename_rotation_loses_nothing_that_the_old_file_still_gets(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    old = log.rename(log.with_name("auth.log.1"))
    _add(old, "two")
    log.touch()
    _add(log, "three")
    _add(old, "late")
    assert sorted(reader.read()) == ["late", "three", "two"]
    _add(old, "later")
    assert reader.read() == ["later"]


def test_copytruncate_rotation_takes_the_rest_from_the_copy(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    _add(log, "two")
    shutil.copy(log, log.with_name("auth.log.1"))
    log.write_text("")
    _add(log, "three")
    assert reader.read() == ["two", "three"]


def test_a_file_cut_and_grown_beyond_where_we_stood_is_noticed_by_its_head(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    shutil.copy(log, log.with_name("auth.log.1"))
    log.write_text("")
    _add(log, "another, longer first line", "and more")
    assert reader.read() == ["another, longer first line", "and more"]


def test_the_same_first_line_again_is_another_record_with_another_origin(log: Path) -> None:
    reader = Reader(log)
    _add(log, "same")
    reader.read()
    log.rename(log.with_name("auth.log.1"))
    _add(log, "same")
    reader.read()
    reader.restart()
    reader.read()
    assert [record.raw for record in reader.records] == [b"same", b"same"]
    assert len({record.origin for record in reader.records}) == 2


@pytest.mark.parametrize("packed", [False, True])
def test_rotated_twice_while_away_everything_is_found_again(log: Path, packed: bool) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    reader.source.close()
    _add(log, "two")
    log.rename(log.with_name("auth.log.2"))
    if packed:
        older = log.with_name("auth.log.2")
        with gzip.open(older.with_name("auth.log.2.gz"), "wb") as out:
            out.write(older.read_bytes())
        older.unlink()
    _add(log, "three")
    log.rename(log.with_name("auth.log.1"))
    _add(log, "four")
    import os

    for n, name in enumerate(["auth.log.2.gz" if packed else "auth.log.2", "auth.log.1", "auth.log"]):
        os.utime(log.with_name(name), (1e9 + n, 1e9 + n))
    reader.start()
    assert reader.read() == ["two", "three", "four"]


def test_records_read_but_not_journalled_come_again_with_the_same_origin(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one", "two")
    reader.read(durable=False)
    reader.restart()
    reader.read()
    first = [record.origin for record in reader.records]
    again = Reader(log)
    again.read()
    assert [record.origin for record in again.records] == first


def test_a_file_that_is_missing_is_named_and_read_once_it_is_there(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "secure")
    reader.read()
    assert any("no such file" in trouble for trouble in [*reader.troubles, *reader.source.troubles()])
    _add(tmp_path / "secure", "first")
    assert reader.read() == ["first"]


def test_what_cannot_be_opened_is_never_claimed_as_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def barred(_path: Path) -> Tail:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as during:
        during.setattr(Tail, "open", barred)
        reader = Reader(log)
        _add(log, "one")
        assert all(reader.source.read(NOON + timedelta(seconds=n), 10).up_to is None for n in range(3))
        assert any("Permission denied" in trouble for trouble in reader.source.troubles())
    assert reader.read() == ["one"]
    assert reader.source.read(reader.now, 10).up_to == reader.now


def test_a_copy_that_is_not_there_is_told_as_possible_loss(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    log.write_text("")
    reader.read()
    assert any("cut to nothing" in trouble for trouble in reader.troubles)


def test_bytes_that_are_no_text_pass_unchanged(log: Path) -> None:
    reader = Reader(log)
    log.write_bytes(b"a\xff\x00b\r\n")
    reader.read()
    assert reader.records[0].raw == b"a\xff\x00b\r"


def test_a_line_of_ten_megabytes_is_one_record(log: Path) -> None:
    reader = Reader(log)
    log.write_bytes(b"x" * 10_000_000 + b"\n")
    reader.read(rounds=60)
    assert [len(record.raw) for record in reader.records] == [10_000_000]


@pytest.mark.parametrize("seed", range(8))
def test_random_writes_rotations_and_restarts_lose_nothing_and_repeat_nothing(tmp_path: Path, seed: int) -> None:
    chance, log, written = random.Random(seed), tmp_path / "auth.log", []
    log.touch()
    reader = Reader(log)
    for step in range(300):
        match chance.randrange(8):
            case 0 | 1 | 2:
                lines = [f"{seed} {step} {n}" for n in range(chance.randrange(1, 4))]
                _add(log, *lines)
                written += lines
            case 3:
                reader.read()
            case 4:
                reader.read(rounds=1, durable=False)
                reader.restart()
            case 5:
                for n in range(5, 0, -1):
                    if (old := log.with_name(f"auth.log.{n}")).exists():
                        old.rename(log.with_name(f"auth.log.{n + 1}"))
                log.rename(log.with_name("auth.log.1"))
                log.touch()
                reader.read(rounds=1)
            case 6:
                reader.read(rounds=1)
            case 7:
                shutil.copy(log, log.with_name(f"auth.log-{step:05}"))
                log.write_text("")
                reader.read(rounds=1)
    reader.read(rounds=80)
    assert sorted(record.raw.decode() for record in reader.records) == sorted(written)
    assert len({record.origin for record in reader.records}) == len(written)
