"""The journal: what append returned is there, in order, whoever dies when."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.journal import Journal, JournalError
from collectors.journal.advice import advice
from collectors.sources import Loss


def _journal(folder: Path, **options: int) -> Journal:
    return Journal(folder, ["audit.events", "audit.alerts"], **options)


def test_what_was_appended_is_read_back_in_order_by_another_instance(tmp_path: Path) -> None:
    _journal(tmp_path).append({"audit.events": [("h", b"one"), ("h", b"two")]})
    rows = _journal(tmp_path).read("audit.events", 0, 10)
    assert [(row.offset, row.value) for row in rows] == [(0, b"one"), (1, b"two")]


def test_topics_count_their_own_offsets(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append({"audit.events": [("h", b"event")]})
    assert journal.append({"audit.alerts": [("h", b"alert")]}) == {"audit.alerts": 0}


def test_offsets_go_on_and_positions_move_over_when_a_segment_is_over(tmp_path: Path) -> None:
    journal = _journal(tmp_path, segment_seconds=1_000_000_000)
    journal.append({"audit.events": [("h", b"one")]}, {"source": "1"})
    later = _journal(tmp_path)
    later._roll()
    later.append({"audit.events": [("h", b"two")]})
    fresh = _journal(tmp_path)
    assert [row.value for row in fresh.read("audit.events", 0, 10)] == [b"one", b"two"]
    assert journal.positions() == {"source": "1"}
    assert len(list(tmp_path.glob("*.db"))) == 2


def test_a_reader_with_a_stale_view_goes_on_in_the_new_segment(tmp_path: Path) -> None:
    reader, writer = _journal(tmp_path), _journal(tmp_path)
    writer.append({"audit.events": [("h", b"one")]})
    assert len(reader.read("audit.events", 0, 10)) == 1
    writer._roll()
    writer.append({"audit.events": [("h", b"two")]})
    assert [row.value for row in reader.read("audit.events", 1, 10)] == [b"two"]


def test_times_never_go_back(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    for n in range(20):
        journal.append({"audit.events": [("h", str(n).encode())]})
    times = [row.time for row in journal.read("audit.events", 0, 100)]
    assert times == sorted(times)


def test_a_segment_is_dropped_only_when_every_reader_is_past(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    journal.append({"audit.events": [("h", b"one")]})
    journal._roll()
    journal.append({"audit.events": [("h", b"two")]})
    assert journal.drop({"audit.events": 0, "audit.alerts": 0}, older_than=None) == 0
    assert journal.drop({"audit.events": 1, "audit.alerts": 0}, older_than=None) == 1
    assert journal.begin("audit.events") == 1
    assert [row.value for row in journal.read("audit.events", 0, 10)] == [b"two"]


def test_a_half_made_segment_of_a_dead_writer_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "000000001.new").write_bytes(b"half")
    journal = _journal(tmp_path)
    journal.append({"audit.events": [("h", b"one")]})
    assert len(journal.read("audit.events", 0, 10)) == 1


def test_a_folder_that_takes_nothing_is_an_error_that_a_retry_mends(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    (tmp_path / "000000001.new").mkdir()
    with pytest.raises(JournalError, match=str(tmp_path)):
        journal.append({"audit.events": [("h", b"one")]})
    (tmp_path / "000000001.new").rmdir()
    assert journal.append({"audit.events": [("h", b"one")]}) == {"audit.events": 0}


HOUR = 3_600_000_000
NOON = 1_795_348_800_000_000  # microseconds


class Clock:
    """A clock that people set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


def test_a_clock_that_ran_ahead_stops_neither_rolling_nor_trimming(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path, ["t"], clock=clock)
    for hour in (0, 24 * 365, 0, 1, 2):  # it is set a year ahead, and back
        clock.now = NOON + hour * HOUR
        journal.append({"t": [("h", b"%d" % hour)]})
    assert len(list(tmp_path.glob("0*.db"))) == 5
    three = datetime(2026, 11, 22, 15, tzinfo=UTC)
    assert journal.drop({"t": 5}, older_than=three) == 4
    assert [row.offset for row in journal.read("t", 0, 10)] == [4]


def test_a_clock_that_is_set_back_costs_no_record_and_times_never_go_back(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path, ["t"], clock=clock)
    for hour in (3, 0, 1, 2, 4):
        clock.now = NOON + hour * HOUR
        journal.append({"t": [("h", b"%d" % hour)]})
    rows = journal.read("t", 0, 10)
    assert [row.value for row in rows] == [b"3", b"0", b"1", b"2", b"4"]
    assert [row.time.hour for row in rows] == [15, 15, 15, 15, 16]


def test_a_large_segment_is_followed_by_another(tmp_path: Path) -> None:
    journal = _journal(tmp_path, segment_bytes=50_000)
    for _ in range(10):
        journal.append({"audit.events": [("h", b"x" * 20_000)]})
    assert len(list(tmp_path.glob("0*.db"))) > 2
    assert len(journal.read("audit.events", 0, 100)) == 10


def test_a_segment_that_somebody_removed_is_counted_and_reading_goes_on_behind_it(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    for n in range(3):
        journal.append({"audit.events": [("h", b"%d" % n)] * 2})
        journal._roll()
    (tmp_path / "000000002.db").unlink()
    fresh = _journal(tmp_path)
    assert [row.offset for row in fresh.read("audit.events", 0, 10)] == [0, 1, 4, 5]
    assert [(loss.origin, loss.records) for loss in fresh.findings()] == [(b"journal:audit.events:2-4", 2)]


def test_findings_are_kept_until_they_are_recorded(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    loss = Loss(b"x", "gone", records=3)
    journal.note([loss, loss])
    assert _journal(tmp_path).findings() == [loss]
    journal.recorded([loss])
    assert _journal(tmp_path).findings() == []


def test_what_many_find_at_the_same_time_is_one_finding_and_none_of_them_fails(tmp_path: Path) -> None:
    losses = [Loss(b"%d" % number, "gone", records=3) for number in range(20)]
    journals = [_journal(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda journal: journal.note(losses), journals))
    assert sorted(loss.origin for loss in journals[0].findings()) == sorted(loss.origin for loss in losses)
    assert not list((tmp_path / "damaged").glob("*.new"))


def _refused(folder: Path, say: Callable[[str], None]) -> None:
    os.seteuid(65534) if os.geteuid() == 0 else folder.chmod(0o500)
    try:
        Journal(folder, ["t"]).append({"t": [("h", b"x")]})
    except (JournalError, OSError) as error:
        say(advice(folder, error) if isinstance(error, OSError) else str(error))
    else:
        say("it was taken")


def test_lost_permission_names_the_folder_and_what_to_do(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_refused, args=(tmp_path, sender.send))
    process.start()
    said = receiver.recv()
    process.join()
    tmp_path.chmod(0o700)
    assert str(tmp_path) in said
    assert "give the folder and all in it to the user that runs Tocsin" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EROFS, "Read-only file system"), "the file system is read-only: mount it for writing"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: free some of it"),
        (OSError(errno.EIO, "Input/output error"), "the disk fails"),
    ],
)
def test_errors_of_the_disk_say_what_to_do(error: OSError, said: str) -> None:
    assert advice(Path("journal"), error).startswith(f"journal: {said}")


def _append_until_killed(folder: Path, told: Callable[[int], None]) -> None:
    journal = _journal(folder)
    for n in range(1_000_000):
        journal.append({"audit.events": [("h", b"%d" % n)] * 3}, {"source": str(n)})
        told(n)


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_all_that_append_returned_and_whole_batches(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for round_ in range(5):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_append_until_killed, args=(tmp_path / str(round_), sender.send))
        process.start()
        told = -1
        while told < 20 + 7 * round_:
            told = receiver.recv()
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        while receiver.poll():
            told = receiver.recv()
        journal = _journal(tmp_path / str(round_))
        rows = journal.read("audit.events", 0, 1_000_000)
        assert len(rows) % 3 == 0
        assert len(rows) >= 3 * (told + 1)
        assert journal.positions() == {"source": rows[-1].value.decode()}
