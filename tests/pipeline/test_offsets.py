"""Where readers stand, when the file that says so is damaged, or the journal is no longer what they read."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from pipeline.streams import ALERTS, EVENTS, STATE, Message, StreamUnavailable
from pipeline.streams.sqlite import SqliteStream

SEED = 20261122
SECONDS = 8


def numbered(count: int) -> list[Message]:
    return [Message("h", f"{number}".encode()) for number in range(count)]


def filled(folder: Path) -> SqliteStream:
    """Return a stream with ten events, of which detect has judged six, and snapshots of three keys."""
    stream = SqliteStream(folder)
    stream.append(EVENTS, numbered(10))
    stream.commit(EVENTS, "detect", {0: 6})
    stream.commit(ALERTS, "notify", {0: 0})
    stream.append(STATE, [Message("a", b"1" * 3000), Message("b", b"2"), Message("c", b"3")])
    stream.append(STATE, [Message("a", b"4")])
    return stream


def state_of(stream: SqliteStream) -> dict[str, bytes]:
    return {stored.key: stored.value for stored in stream.read(STATE, "look", 100, 0).messages}


def test_a_destroyed_file_is_made_anew_its_readers_begin_at_the_oldest_record_and_it_is_told(tmp_path: Path) -> None:
    filled(tmp_path).close()
    (tmp_path / "offsets.db").write_bytes(b"not a database at all" * 1000)
    stream = SqliteStream(tmp_path)
    assert [one.value for one in stream.read(EVENTS, "detect", 100, 0).messages] == [b"%d" % n for n in range(10)]
    (loss,) = stream.journal.findings()
    assert "offsets.db: damaged" in loss.reason
    assert len(list((tmp_path / "damaged").glob("offsets.db*"))) == 1


def test_a_reader_goes_on_where_it_stood_if_its_row_can_still_be_read(tmp_path: Path) -> None:
    filled(tmp_path).close()
    with (tmp_path / "offsets.db").open("r+b") as file:
        file.write(b"SQLite format 4\0")  # the first page is no longer one; the others are whole
    stream = SqliteStream(tmp_path)
    assert stream.committed(EVENTS, "detect") == {0: 6}
    assert state_of(stream) == {"a": b"4", "b": b"2", "c": b"3"}


@pytest.mark.parametrize("open_meanwhile", [False, True])
def test_a_file_that_was_removed_is_told_of_once_and_its_readers_begin_at_the_oldest_record(
    tmp_path: Path, open_meanwhile: bool
) -> None:
    one, other = filled(tmp_path), SqliteStream(tmp_path)
    if not open_meanwhile:
        one.close()
        other.close()
    for path in tmp_path.glob("offsets.db*"):
        path.unlink()
    if not open_meanwhile:
        one, other = SqliteStream(tmp_path), SqliteStream(tmp_path)
    assert [stream.committed(EVENTS, "detect") for stream in (one, other)] == [{}, {}]
    assert [message.value for message in one.read(EVENTS, "detect", 100, 0).messages] == [b"%d" % n for n in range(10)]
    (told,) = one.journal.findings()
    assert "offsets.db: the file is gone" in told.reason
    assert told.records == 0


def test_a_first_start_misses_no_file(tmp_path: Path) -> None:
    SqliteStream(tmp_path).close()
    SqliteStream(tmp_path).append(EVENTS, numbered(1))
    assert SqliteStream(tmp_path).journal.findings() == []


def test_who_has_the_old_file_open_goes_on_in_the_new_one(tmp_path: Path) -> None:
    other = filled(tmp_path)
    other.close()
    other = SqliteStream(tmp_path)
    other.commit(EVENTS, "index", {0: 1})
    for name in ("offsets.db-wal", "offsets.db"):
        (tmp_path / name).write_bytes(b"x" * 8192)
    SqliteStream(tmp_path).commit(EVENTS, "detect", {0: 7})
    other.commit(EVENTS, "index", {0: 2})
    again = SqliteStream(tmp_path)
    assert (again.committed(EVENTS, "index"), again.committed(EVENTS, "detect")) == ({0: 2}, {0: 7})


def test_readers_beyond_the_end_are_set_back_to_it_which_is_told_once_and_is_no_loss_to_them(tmp_path: Path) -> None:
    stream = filled(tmp_path)
    stream.commit(EVENTS, "index", {0: 10})
    stream.append(ALERTS, numbered(3))
    stream.commit(ALERTS, "notify", {0: 3})
    stream.close()
    for path in tmp_path.glob("0*.db*"):
        path.unlink()  # as if an older copy of the segments had been put back
    stream = SqliteStream(tmp_path)
    assert stream.committed(EVENTS, "detect") == {0: 0}
    (told,) = stream.journal.findings()
    assert told.records == 0
    for said in ("detect had read audit.events up to 6", "index had read audit.events up to 10", "notify had read"):
        assert said in told.reason
    stream.append(EVENTS, numbered(2))
    assert [one.value for one in stream.read(EVENTS, "detect", 100, 0).messages] == [b"0", b"1"]


def test_a_snapshot_from_beyond_the_end_reads_on_at_the_end(tmp_path: Path) -> None:
    stream = filled(tmp_path)
    stream.seek(EVENTS, "detect", {0: 99})
    stream.append(EVENTS, [Message("h", b"next")])
    assert [one.value for one in stream.read(EVENTS, "detect", 100, 0).messages] == [b"next"]
    assert [loss.records for loss in stream.journal.findings()] == [0]


def test_a_registered_reader_that_never_came_keeps_what_it_has_not_read(tmp_path: Path) -> None:
    stream = SqliteStream(tmp_path, limit_bytes=1)
    stream.register([EVENTS], "forward")
    for _ in range(3):
        stream.append(EVENTS, [Message("h", b"x" * 70_000)])
    assert stream.committed(EVENTS, "forward") == {}
    assert stream.trim(stream.journal.read(EVENTS, 2, 1)[0].time) == 0
    assert len(stream.read(EVENTS, "forward", 10, 0).messages) == 3
    stream.commit(EVENTS, "forward", {0: 3})
    assert stream.trim(stream.journal.read(EVENTS, 2, 1)[0].time) == 2


@pytest.mark.slow
def test_bits_flip_anywhere_in_the_file_and_nobody_reads_what_was_not_written(tmp_path: Path) -> None:
    live = filled(tmp_path / "live")
    shutil.copytree(tmp_path / "live", tmp_path / "crashed")
    live.close()
    seed, deadline = 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        seed += 1
        chance = random.Random(f"{SEED}:{seed}")
        folder = Path(shutil.copytree(tmp_path / "crashed", tmp_path / "flipped"))
        for _ in range(chance.choice((1, 2, 30))):
            path = chance.choice([path for path in folder.glob("offsets.db*") if path.suffix != ".db-shm"])
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)
        stream = SqliteStream(folder)
        assert stream.committed(EVENTS, "detect") in ({}, {0: 6}), f"seed {seed}"
        state = state_of(stream)
        assert state.get("a", b"4") in (b"4", b"1" * 3000), f"seed {seed}"
        assert (state.get("b", b"2"), state.get("c", b"3")) == (b"2", b"3"), f"seed {seed}"
        stream.commit(EVENTS, "detect", {0: 8})
        assert SqliteStream(folder).committed(EVENTS, "detect") == {0: 8}, f"seed {seed}"
        shutil.rmtree(folder)
    print(f"{seed} rounds, {SEED}")
    assert seed > 5


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    stream = filled(tmp_path)
    connection = stream.journal._folder.connection(stream.journal._folder.segments[-1])
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite then answers as on a full disk
    with pytest.raises(StreamUnavailable, match=f"{tmp_path}: the disk is full: free some of it"):
        stream.append(EVENTS, [Message("h", b"x" * 100_000)])
    stream.append(EVENTS, [Message("h", b"after")])
    assert stream.ends(EVENTS) == {0: 11}
