"""The journal as systemd keeps it: a real journal file, read by the real journalctl."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.sources import Record
from collectors.sources.journald import AUTH_FACILITIES, JournaldSource

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


def _source(journal: Journal, skip: frozenset[str] = frozenset(), position: str | None = "") -> JournaldSource:
    source = JournaldSource("journald", skip, ("journalctl", f"--file={journal.file}"))
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


def test_what_a_tailed_auth_log_carries_is_left_out(journal: Journal) -> None:
    journal.write(("session opened", 10), ("link is up", 0))
    source = _source(journal, AUTH_FACILITIES)
    (record,) = _read(source, 1)
    source.close()
    assert b"link is up" in record.raw


def test_without_journalctl_it_says_so_once_and_nothing_else_stops() -> None:
    source = JournaldSource("journald", frozenset(), ("no-such-journalctl",))
    source.open(None, START)
    troubles = [*source.read(START, 100).troubles, *source.read(START, 100).troubles]
    source.close()
    assert len(troubles) == 1
    assert "no journalctl" in troubles[0]
