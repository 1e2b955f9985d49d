"""The file source: every line once, through rotation of each kind and restarts at any point."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.sources import Loss, Record
from collectors.sources.file import FileSource
from collectors.sources.inotify import Inotify
from tests.properties import examples

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Reader:
    """Drives a source as the collecting role does: read, make durable, keep the position."""

    def __init__(self, path: Path, position: str | None = None, room: int | None = None) -> None:
        self.path, self.now, self.position, self.room = path, NOON, position, room
        self.records: list[Record] = []
        self.losses: list[Loss] = []
        self.troubles: list[str] = []
        self.start()

    def start(self) -> None:
        self.source = FileSource("auth", [str(self.path)], "syslog", room=self.room)
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
            self.losses += batch.losses
            got += batch.records
            if durable:
                self.records += batch.records
                self.position = self.source.position(list({record.lane: record for record in batch.records}.values()))
        return [record.raw.decode(errors="replace") for record in got]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user whom permissions bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_log() -> Iterator[Path]:
    """A log in a folder that anybody may search: pytest closes its own to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "auth.log"
        path.touch()
        yield path


def rotated(log: Path) -> None:
    """Rename as logrotate does."""
    for n in range(8, 0, -1):
        old = log.with_name(f"{log.name}.{n}")
        if old.exists():
            old.rename(log.with_name(f"{log.name}.{n + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))


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
    assert len({record.place for record in reader.records}) == 2


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
    first = [record.place for record in reader.records]
    again = Reader(log)
    again.read()
    assert [record.place for record in again.records] == first


def test_a_file_that_is_missing_is_named_and_read_once_it_is_there(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "secure")
    reader.read()
    assert any("no such file" in trouble for trouble in [*reader.troubles, *reader.source.troubles()])
    _add(tmp_path / "secure", "first")
    assert reader.read() == ["first"]


def test_what_cannot_be_opened_is_never_claimed_as_read_and_comes_once_it_can(open_log: Path) -> None:
    log = open_log
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    log.chmod(0o000)
    _add(log, "two")
    rotated(log)
    _add(log, "three")
    log.chmod(0o000)
    with unprivileged():
        assert reader.read() == ["two"]  # an open file stays readable
        assert reader.source.read(reader.now + timedelta(seconds=1), 10).up_to is None
    assert any("give the right to read it" in trouble for trouble in reader.source.troubles())
    log.chmod(0o644)
    with unprivileged():
        assert reader.read() == ["three"]
        assert reader.source.read(reader.now, 10).up_to == reader.now
    assert reader.source.troubles() == []
    assert reader.losses == []


def test_a_cut_without_a_copy_is_told_as_a_loss_with_what_is_known_of_its_size(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    log.write_text("")
    reader.read()
    (loss,) = reader.losses
    assert (loss.size_bytes, "cut or replaced when 4 bytes" in loss.reason) == (None, True)


def test_bytes_that_were_seen_and_not_read_are_counted_as_lost(log: Path) -> None:
    reader = Reader(log)
    reader.read()
    log.write_bytes(b"x" * 400_000 + b"\n")
    reader.read(rounds=1)  # a chunk of it
    log.write_text("")
    reader.read()
    assert [loss.size_bytes for loss in reader.losses] == [400_001 - 256 * 1024]


def test_the_same_loss_has_the_same_origin_when_it_is_found_again_after_a_crash(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    log.write_text("")
    reader.read(durable=False)
    reader.restart()
    reader.read(durable=False)
    first, again = reader.losses
    assert first.origin == again.origin


def test_a_copytruncate_whose_copy_is_older_than_what_was_read_repeats_nothing(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    _add(log, "two")
    reader.read()
    shutil.copy(log, log.with_name("auth.log.1"))
    _add(log, "between")
    assert reader.read() == ["between"]
    log.write_text("")
    _add(log, "three")
    assert reader.read() == ["three"]


def test_a_file_cut_to_a_part_of_itself_goes_on_behind_that_part(log: Path) -> None:
    reader = Reader(log)
    for line in ("one", "two", "three"):
        _add(log, line)
        reader.read()
    os.truncate(log, len("one\ntwo\n"))
    assert reader.read() == []
    _add(log, "four")
    assert reader.read() == ["four"]
    assert len({record.place for record in reader.records}) == 4


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_with_a_byte_order_mark_is_read_as_text_with_offsets_in_bytes_of_the_file(
    log: Path, encoding: str
) -> None:
    reader = Reader(log)
    text = "\ufeff2026-11-22 Ċ first\r\nsecond Ω\r\n"
    data = text.encode(encoding)
    for cut in (1, 7, 30, len(data)):
        with log.open("ab") as file:
            file.write(data[log.stat().st_size : cut])
        reader.read()
    assert [record.raw.decode() for record in reader.records] == ["2026-11-22 Ċ first", "second Ω"]
    assert [record.start for record in reader.records] == [0, data.index("second".encode(encoding))]
    reader.restart()
    with log.open("ab") as file:
        file.write("third\r\n".encode(encoding))
    assert reader.read() == ["third"]


def test_files_that_begin_with_empty_lines_are_told_apart_by_their_first_record(log: Path) -> None:
    reader = Reader(log)
    _add(log, "", "", "one")
    reader.read()
    rotated(log)
    _add(log, "", "", "two")
    reader.read()
    assert len({record.lane.partition(".")[0] for record in reader.records}) == 2
    assert len({record.lane for record in reader.records}) == 2


def test_a_link_that_is_moved_to_another_file_and_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    one, two, link = tmp_path / "a" / "one", tmp_path / "a" / "two", tmp_path / "auth.log"
    one.parent.mkdir()
    _add(one, "a1")
    link.symlink_to(one)
    reader = Reader(link)
    assert reader.read() == ["a1"]
    _add(one, "a2")
    _add(two, "b1")
    _swap(link, two)
    assert reader.read() == ["a2", "b1"]
    reader.restart()
    _add(one, "a3")
    assert reader.read() == ["a3"]
    reader.read(rounds=70)
    _swap(link, one)
    _add(one, "a4")
    assert reader.read() == ["a4"]


def _swap(link: Path, target: Path) -> None:
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.rename(link)


def test_delete_and_recreate_under_the_same_inode_is_another_file(log: Path) -> None:
    reader = Reader(log, room=1)
    other = log.with_name("auth.log.1")
    for n in range(6):
        _add(log, f"line {n}")
        assert reader.read() == [f"line {n}"]
        for trail in reader.source._trails.values():
            trail.close()  # as when its place was needed for others
        log.unlink()
    assert not other.exists()
    assert len({record.place for record in reader.records}) == 6


def test_a_gz_that_is_still_being_written_is_waited_for(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    reader.source.close()
    _add(log, *(f"{n} {random.Random(n).random()}" for n in range(5000)))
    packed = gzip.compress(log.read_bytes())
    log.unlink()
    _add(log, "later")
    copy = log.with_name("auth.log.1.gz")
    copy.write_bytes(packed[: len(packed) // 2])
    reader.start()
    lines = reader.read()
    assert len(lines) < 5000
    copy.write_bytes(packed)
    lines += reader.read()
    assert sorted(lines) == sorted([*(f"{n} {random.Random(n).random()}" for n in range(5000)), "later"])
    assert reader.losses == []


def test_a_truncated_gz_gives_what_it_holds_and_the_rest_is_told(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    reader.source.close()
    _add(log, *(f"{n} {random.Random(n).random()}" for n in range(5000)))
    packed = gzip.compress(log.read_bytes())
    log.unlink()
    _add(log, "later")
    log.with_name("auth.log.1.gz").write_bytes(packed[: len(packed) // 2])
    reader.start()
    lines = reader.read(rounds=200)
    assert 2000 < len(lines) < 5000
    assert [loss.size_bytes for loss in reader.losses] == [None]


def test_a_copy_packed_by_what_is_not_read_is_named(log: Path) -> None:
    reader = Reader(log)
    _add(log, "one")
    reader.read()
    reader.source.close()
    log.rename(log.with_name("auth.log.1.zst"))
    log.with_name("auth.log.1.zst").write_bytes(b"(\xb5/\xfd")
    _add(log, "two")
    reader.start()
    assert reader.read() == ["two"]
    (loss,) = reader.losses
    assert "auth.log.1.zst" in loss.reason


def test_a_clock_that_is_set_back_or_forth_stops_nothing(log: Path) -> None:
    reader = Reader(log)
    for jump in (-86400, 86400 * 400, -86400 * 300):
        reader.now += timedelta(seconds=jump)
        _add(log, f"before {jump}")
        assert reader.read() == [f"before {jump}"]
        rotated(log)
        reader.now -= timedelta(seconds=jump // 2)
        _add(log, f"after {jump}")
        assert reader.read() == [f"after {jump}"]
    assert reader.losses == []


def test_a_folder_that_vanishes_and_comes_back_loses_nothing_and_tells_no_loss(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    log = folder / "auth.log"
    _add(log, "one")
    reader = Reader(log)
    assert reader.read() == ["one"]
    reader.restart()
    folder.rename(tmp_path / "away")
    assert reader.read(rounds=100) == []
    assert any("folder" in trouble for trouble in reader.source.troubles())
    (tmp_path / "away").rename(folder)
    _add(log, "two")
    assert (reader.read(), reader.losses) == (["two"], [])


def test_a_file_without_a_last_newline_is_read_out_after_its_rotation(log: Path) -> None:
    reader = Reader(log)
    log.write_text("one\nhalf")
    assert reader.read() == ["one"]
    rotated(log)
    log.touch()
    assert reader.read(rounds=80) == ["half"]


def test_a_glob_is_one_source_that_finds_new_files_and_reads_no_rotated_one_twice(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "*.log*")
    _add(tmp_path / "a.log", "a1")
    _add(tmp_path / "b.log", "b1")
    assert sorted(reader.read()) == ["a1", "b1"]
    rotated(tmp_path / "a.log")
    _add(tmp_path / "a.log", "a2")
    (tmp_path / "deep").mkdir()
    assert reader.read() == ["a2"]
    reader.restart()
    assert reader.read() == []


def test_a_hundred_megabyte_line_costs_records_and_no_more(log: Path) -> None:
    reader = Reader(log)
    with log.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\nnext\n")
    assert reader.read(rounds=420)[-1] == "next"
    assert [len(record.raw) for record in reader.records] == [2**24] * 5 + [100_000_000 - 5 * 2**24, 4]


@settings(max_examples=examples(60))
@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\x00", b"\xff", b"defghij"]), max_size=60).map(b"".join),
    st.lists(st.integers(0, 1000), max_size=8),
    st.booleans(),
)
def test_any_chunking_of_the_same_bytes_gives_the_same_records(data: bytes, cuts: list[int], restarts: bool) -> None:
    taken = []
    for edges in ([0, len(data)], [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "auth.log"
            log.touch()
            reader = Reader(log)
            for begin, end in pairwise(edges):
                with log.open("ab") as file:
                    file.write(data[begin:end])
                reader.read(rounds=1)
                if restarts:
                    reader.restart()
            taken.append([(record.raw, record.place) for record in reader.records])
            reader.source.close()
    assert taken[0] == taken[1]


def test_a_thousand_idle_files_need_few_descriptors_and_each_new_line_is_heard_of(tmp_path: Path) -> None:
    for n in range(1000):
        _add(tmp_path / f"{n}.log", f"{n} first")
    reader = Reader(tmp_path / "*.log", room=20)
    before = len([*Path("/proc/self/fd").iterdir()])
    assert len(reader.read(rounds=20)) == 1000
    for n in (7, 700):
        _add(tmp_path / f"{n}.log", f"{n} second")
    reader.now -= timedelta(seconds=0.9)  # between two sweeps
    assert sorted(reader.read(rounds=1)) == ["7 second", "700 second"]
    rotated(tmp_path / "8.log")
    _add(tmp_path / "8.log", "8 second")
    assert reader.read() == ["8 second"]
    assert len([*Path("/proc/self/fd").iterdir()]) - before <= 21
    assert reader.losses == []


def test_without_inotify_many_files_are_looked_at_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Inotify:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("collectors.sources.file.Inotify", refused)
    for n in range(200):
        _add(tmp_path / f"{n}.log", f"{n} first")
    reader = Reader(tmp_path / "*.log")
    assert len(reader.read()) == 200
    _add(tmp_path / "7.log", "7 second")
    assert reader.read() == ["7 second"]
    assert any("max_user_instances" in trouble for trouble in reader.source.troubles())


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
    assert len({record.place for record in reader.records}) == len(written)
