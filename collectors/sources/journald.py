"""systemd's journal, through `journalctl --follow`: the cursor is each entry's identity, and the position.

Where a log file that is tailed carries the same entries (rsyslog writes what journald gets), the facilities
that go into that file are left out here, so that nothing is told twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import msgspec

from collectors.sources import Batch, Record
from rules.event import Value

AUTH_FACILITIES = frozenset({"4", "10"})  # auth and authpriv (RFC 5424 section 6.2.1): what auth.log and secure carry
_RETRY_SECONDS = 30
_FIRST_SINCE = "-7days"  # a journal may hold years; a first start goes back as far as a weekly rotated log would
_COPIED = {
    "_HOSTNAME": "host.hostname",
    "_SYSTEMD_UNIT": "systemd.unit",
    "_UID": "user.id",
    "PRIORITY": "log.syslog.severity.code",
}


class JournaldSource:
    """Reads entries whose syslog facility is not in `skip`, as syslog-like lines with journald's own time."""

    format: str | None = "journald"

    def __init__(self, name: str, skip: Collection[str], command: Sequence[str] = ("journalctl",)) -> None:
        self.name = name
        self._skip = skip
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._cursor: str | None = None
        self._durable: str | None = None
        self._first_until: datetime | None = None
        self._rest = b""
        self._count = 0
        self._cursors: dict[int, str] = {}
        self._tried: datetime | None = None

    def open(self, position: str | None, now: datetime) -> None:
        if position is None:
            self._first_until = now
        elif position:
            self._cursor = self._durable = position

    def read(self, now: datetime, limit: int) -> Batch:
        if self._process is None or self._process.poll() is not None:
            troubles = self._start(now)
            if troubles or self._process is None:
                return Batch(troubles=troubles)
        data = self._available()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        records = [record for line in lines if line and (record := self._record(line)) is not None]
        return Batch(records, None if records else now)

    def position(self, journalled: Sequence[Record]) -> str:
        for record in journalled:
            self._durable = self._cursors.pop(record.end, self._durable)
            self._cursors = {n: cursor for n, cursor in self._cursors.items() if n > record.end}
        return self._durable or ""

    def written(self) -> int | None:
        return None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def missing(self) -> str | None:
        """Return why the journal cannot be read on this host, and how to mend it."""
        if shutil.which(self._command[0]) is None:
            return "no journalctl on this host; nothing to do if it has no systemd"
        return None

    def _start(self, now: datetime) -> list[str]:
        if self._tried is not None and (now - self._tried).total_seconds() < _RETRY_SECONDS:
            return []
        first, self._tried = self._tried is None, now
        absent = self.missing()
        if absent:
            return [absent] if first else []
        after = [f"--after-cursor={self._cursor}"] if self._cursor else ["--no-tail", f"--since={_FIRST_SINCE}"]
        self._rest = b""
        self._process = subprocess.Popen(
            [*self._command, "--output=json", "--all", "--follow", "--no-pager", *after],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        return []

    def _available(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.read(1 << 20) or b""

    def _record(self, line: bytes) -> Record | None:
        try:
            entry = msgspec.json.decode(line, type=dict[str, object])
            cursor, stamp = str(entry["__CURSOR"]), int(str(entry["__REALTIME_TIMESTAMP"]))
        except (msgspec.DecodeError, KeyError, ValueError):
            return None  # journalctl's own words, not an entry
        self._cursor = cursor
        if str(entry.get("SYSLOG_FACILITY")) in self._skip:
            return None
        self._count += 1
        self._cursors[self._count] = cursor
        time = datetime.fromtimestamp(stamp / 1_000_000, UTC)
        fields: dict[str, Value] = {ecs: str(entry[name]) for name, ecs in _COPIED.items() if name in entry}
        backlog = self._first_until is not None and time < self._first_until
        raw = msgspec.json.encode(entry, order="sorted")  # journalctl writes the fields in another order each time
        return Record(raw, cursor.encode(), "journal", self._count, fields, time, backlog=backlog)
