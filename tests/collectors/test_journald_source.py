"""The journal as systemd keeps it: a real journal file, read by the real journalctl."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Batch, Record
from collectors.sources.carried import FILES, Carrier
from collectors.sources.journald import JournaldSource

REMOTE = Path("/usr/lib/systemd/systemd-journal-remote")
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
ENTRY = """__REALTIME_TIMESTAMP={stamp}
__MONOTONIC_TIMESTAMP={number}
_BOOT_ID=0123456789abcdef0123456789abcdef
_HOSTNAME=db-7
SYSLOG_IDENTIFIER=test
SYSLOG_FACILITY={facility}
PRIORITY=6
MESSAGE={message}

"""


def _absent() -> str | None:
    if shutil.which("journalctl") is None or not REMOTE.exists():
        return "needs journalctl and systemd-journal-remote: apt-get install systemd-journal-remote"
    return None


pytestmark = pytest.mark.skipif(
    _absent() is not None and os.environ.get("CI") != "true", reason=_absent() or "journalctl is there"
)


class Journal:
    """A journal file; each entry is a second after the one before."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "test.journal"

    def write(self, *entries: tuple[str, int]) -> None:
        """Write (message, facility) entries, all at once."""
        first = int(START.timestamp()) + 1
        text = "".join(
            ENTRY.format(stamp=(first + n) * 1_000_000, number=n + 1, facility=facility, message=message)
            for n, (message, facility) in enumerate(entries)
        )
        subprocess.run([REMOTE, f"--output={self.file}", "-"], input=text.encode(), check=True, capture_output=True)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def _read(source: JournaldSource, expected: int) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + 10
    while len(records) < expected:
        assert time.monotonic() < deadline, records
        records += source.read(START, 100).records
    return records


def _source(journal: Journal, carriers: Sequence[Carrier] = (), position: str | None = "") -> JournaldSource:
    source = JournaldSource("journald", carriers, ("journalctl", f"--file={journal.file}"))
    source.open(position, START)
    return source


def test_entries_come_in_order_with_journalds_own_time(journal: Journal) -> None:
    journal.write(("one", 0), ("two", 0))
    source = _source(journal)
    first, second = _read(source, 2)
    source.close()
    assert (b'"one"' in first.raw, b'"two"' in second.raw) == (True, True)
    assert first.time == START.replace(second=1)
    assert first.fields["host.hostname"] == "db-7"


def test_it_goes_on_behind_the_last_entry_that_was_journalled(journal: Journal) -> None:
    journal.write(("one", 0), ("two", 0), ("three", 0))
    source = _source(journal)
    records = _read(source, 3)
    position = source.position(records[:2][-1:])
    source.close()
    again = _source(journal, position=position)
    (third,) = _read(again, 1)
    again.close()
    assert third.raw == records[2].raw
    assert third.origin == records[2].origin


@pytest.fixture
def auth_log(tmp_path: Path) -> Path:
    """An auth.log that was last written two seconds after START."""
    place = tmp_path / "auth.log"
    place.touch()
    _write(place, 2)
    return place


def _write(place: Path, seconds: int) -> None:
    moment = START.timestamp() + seconds
    os.utime(place, (moment, moment))


def _carrier(place: Path) -> Carrier:
    return Carrier(FILES["auth.log"], [str(place)])


def test_what_a_tailed_auth_log_carries_is_left_out(journal: Journal, auth_log: Path) -> None:
    journal.write(("session opened", 10), ("link is up", 0))
    source = _source(journal, [_carrier(auth_log)])
    (record,) = _read(source, 1)
    source.close()
    assert b"link is up" in record.raw


def test_where_the_auth_log_is_missing_the_journal_is_read_at_once(journal: Journal, tmp_path: Path) -> None:
    journal.write(("session opened", 10))
    source = _source(journal, [_carrier(tmp_path / "auth.log")])
    assert b"session opened" in _read(source, 1)[0].raw
    source.close()


def test_an_auth_log_that_nobody_writes_any_more_hides_nothing(journal: Journal, auth_log: Path) -> None:
    journal.write(("one", 10), ("two", 10), ("three", 10), ("link is up", 0))
    source = _source(journal, [_carrier(auth_log)])  # it has been written after the first two, and never again
    _until(source, START, lambda batch: batch.up_to is None)
    assert list(source.read(START + timedelta(seconds=4), 100).records) == []
    found = source.read(START + timedelta(seconds=6), 100).records
    source.close()
    assert [b"three" in found[0].raw, b"link is up" in found[1].raw] == [True, True]


def test_a_file_that_failed_once_is_not_waited_for_until_it_is_written_again(auth_log: Path) -> None:
    carrier, second, none = _carrier(auth_log), timedelta(seconds=1), timedelta()
    assert carrier.carries(START + 3 * second, none) is None
    assert carrier.carries(START + 3 * second, 5 * second) is False
    assert carrier.carries(START + 4 * second, none) is False
    _write(auth_log, 5)
    assert carrier.carries(START + 5 * second, none) is True
    assert carrier.carries(START + 6 * second, none) is None
    auth_log.unlink()
    assert carrier.carries(START + 6 * second, none) is False


def _until(source: JournaldSource, now: datetime, wanted: Callable[[Batch], bool]) -> Batch:
    deadline = time.monotonic() + 10
    while True:
        batch = source.read(now, 100)
        if wanted(batch):
            return batch
        assert time.monotonic() < deadline


def test_a_position_that_the_journal_no_longer_has_is_a_loss_with_its_number(journal: Journal) -> None:
    journal.write(*((f"entry {n}", 0) for n in range(1, 8)))
    source = _source(journal)
    position = source.position(_read(source, 7)[:2])
    source.close()
    journal.write(("entry 8", 0))  # into a new file: the old one, with entries 3 to 7, is away as after a vacuum
    again = _source(journal, position=position)
    batch = _until(again, START, lambda batch: bool(batch.records))
    again.close()
    assert [loss.records for loss in batch.losses] == [5]
    assert "journald: 5 entries are gone that were not read yet" in batch.losses[0].reason
    assert b"entry 8" in batch.records[0].raw


def test_a_position_in_a_journal_that_was_replaced_is_a_loss_and_all_that_is_there_is_read(
    journal: Journal, tmp_path: Path
) -> None:
    journal.write(("old", 0))
    source = _source(journal)
    position = source.position(_read(source, 1))
    source.close()
    journal.file = tmp_path / "other.journal"
    journal.write(("new one", 0), ("new two", 0))
    again = _source(journal, position=position)
    batch = _until(again, START, lambda batch: bool(batch.records))
    again.close()
    assert [b"new one" in batch.records[0].raw, len(batch.records)] == [True, 2]
    assert [loss.records for loss in batch.losses] == [None]


def test_entries_that_are_carried_elsewhere_move_the_position_on(journal: Journal, auth_log: Path) -> None:
    journal.write(("one", 10), ("two", 10))
    source = _source(journal, [_carrier(auth_log)])
    _until(source, START, lambda _: source.position([]) != "")
    position = source.position([])
    source.close()
    assert ";i=2;" in position


def test_a_journalctl_that_is_killed_is_told_and_started_again_behind_what_was_read(journal: Journal) -> None:
    journal.write(("one", 0))
    source = _source(journal)
    _read(source, 1)
    process = source._process
    assert process is not None
    process.kill()
    said = _until(source, START, lambda batch: bool(batch.troubles)).troubles
    assert said == ["journald: journalctl was ended by SIGKILL; it is started again"]
    journal.write(("one", 0), ("two", 0))
    later = START + timedelta(seconds=2)
    batch = _until(source, later, lambda batch: bool(batch.records))
    source.close()
    assert (b'"two"' in batch.records[-1].raw, list(batch.losses)) == (True, [])


def test_a_journal_that_cannot_be_read_is_told_in_journalctls_words(tmp_path: Path) -> None:
    damaged = tmp_path / "test.journal"
    damaged.write_bytes(b"no journal at all" * 1000)
    source = _source(Journal(tmp_path))
    said: list[str] = []

    def ended(batch: Batch) -> bool:
        said.extend(batch.troubles)
        return "ended with status 1" in "".join(said)

    _until(source, START, ended)
    source.close()
    assert "Bad message" in "".join(said)
    assert "`journalctl --verify`" in said[-1]


def test_without_journalctl_it_says_so_once_and_nothing_else_stops() -> None:
    source = JournaldSource("journald", (), ("no-such-journalctl",))
    source.open(None, START)
    troubles = [*source.read(START, 100).troubles, *source.read(START, 100).troubles]
    source.close()
    assert len(troubles) == 1
    assert "no journalctl" in troubles[0]
