"""The journal: what append returned is there, in order, whoever dies when."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.journal import Journal, JournalError


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
