"""The file source under real rsyslog and real logrotate: each numbered line once, whatever the mode of rotation."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Loss, Record
from collectors.sources.file import FileSource
from tests.conftest import serving
from tests.services.rotation import Syslog, until

pytestmark = pytest.mark.server
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROUNDS, LINES = 6, 3000


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    with serving("rsyslog", Syslog) as server:
        yield server


class Follower:
    """Reads all the time in a thread of its own, as the collecting role does, and is killed now and then."""

    def __init__(self, log: Path) -> None:
        self._log, self._now, self._position = log, NOON, None
        self.records: list[Record] = []
        self.losses: list[Loss] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Follower:
        self._source = self._opened(None)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._source.close()

    def numbers(self) -> Counter[bytes]:
        return Counter(record.raw.rpartition(b" ")[2] for record in list(self.records))

    def _opened(self, position: str | None) -> FileSource:
        source = FileSource("file", [str(self._log)], "syslog")
        source.open(position, self._now)
        return source

    def _run(self) -> None:
        rounds, position = 0, self._source.position([])
        while not self._stop.wait(0.003):
            rounds += 1
            self._now += timedelta(seconds=0.15)
            batch = self._source.read(self._now, 2000)
            if rounds % 9 == 0:  # what was read is not journalled: it comes again
                self._source.close()
                self._source = self._opened(position)
                continue
            self.records += batch.records
            self.losses += batch.losses
            position = self._source.position(list({record.lane: record for record in batch.records}.values()))


@pytest.mark.parametrize(
    "options",
    [
        ("create",),
        ("create", "compress"),
        ("create", "compress", "delaycompress", "dateext", "dateformat -%Y%m%d-%s"),
        ("copytruncate",),
        ("copytruncate", "compress"),
    ],
    ids=" ".join,
)
def test_each_line_comes_once_while_logs_are_rotated(syslog: Syslog, options: tuple[str, ...]) -> None:
    """copytruncate loses by nature what is written between its copy and its cut, so the writer is quiet meanwhile."""
    total = ROUNDS * LINES
    with Follower(syslog.log) as follower:
        for n in range(total):
            syslog.say(f"n{n:06}")
            if n % LINES == LINES - 1:
                if "copytruncate" in options:
                    syslog.wait_for(f"n{n:06}")
                syslog.rotate(*options)
                until(lambda: "dateext" not in options or _a_second_later(syslog))
        until(lambda: len(follower.numbers()) >= total)
    numbers = follower.numbers()
    assert set(numbers) == {b"n%06d" % n for n in range(total)}
    assert max(numbers.values()) == 1
    assert len({record.place for record in follower.records}) == total
    assert follower.losses == []


def _a_second_later(syslog: Syslog) -> bool:
    """dateext names a file by the second: two rotations within one are refused."""
    newest = max((path.stat().st_mtime for path in syslog.log.parent.glob("app.log-*")), default=0.0)
    return datetime.now(UTC).timestamp() - newest > 1.1 or not newest  # noqa: TID251 (the file's own clock)
