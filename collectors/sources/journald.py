"""systemd's journal, through `journalctl --follow`: the cursor is each entry's identity, and the position.

Where a log file that is tailed carries the same entries (rsyslog writes what journald gets), they are left out here,
so that nothing is told twice; see `carried`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import IO, Final

import msgspec

from collectors.framing import Frame, Lines
from collectors.sources import Batch, Loss, Record
from collectors.sources.carried import Carrier
from rules.event import Value

_RETRY: Final = (timedelta(seconds=1), timedelta(seconds=30))  # after the first end of journalctl, and at most
_WAITING: Final = 10_000  # entries that wait for a tailed file; journalctl waits with the rest
_FIRST_SINCE = "-7days"  # a journal may hold years; a first start goes back as far as a weekly rotated log would
_COPIED = {
    "_HOSTNAME": "host.hostname",
    "_SYSTEMD_UNIT": "systemd.unit",
    "_UID": "user.id",
    "PRIORITY": "log.syslog.severity.code",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry that was read and is not given yet."""

    raw: bytes
    cursor: str
    time: datetime
    fields: dict[str, Value]
    facility: str
    read: datetime


class JournaldSource:
    """Reads what no tailed file carries, as syslog-like lines with journald's own time."""

    format: str | None = "journald"

    def __init__(self, name: str, carriers: Sequence[Carrier] = (), command: Sequence[str] = ("journalctl",)) -> None:
        self.name = name
        self._carriers = carriers
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._cursor: str | None = None  # of the last entry read
        self._durable: str | None = None
        self._expected: str | None = None  # the cursor that journalctl was told to begin with
        self._first_until: datetime | None = None
        self._lines = Lines()
        self._said = b""
        self._entries: deque[_Entry] = deque()
        self._count = 0
        self._cursors: dict[int, str] = {}  # of entries given, not journalled
        self._next_try: datetime | None = None
        self._patience = _RETRY[0]

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        if position is None:
            self._first_until = now
        elif position:
            self._cursor = self._durable = position

    def read(self, now: datetime, limit: int) -> Batch:
        troubles: list[str] = []
        if self._process is None:
            troubles += self._start(now)
        losses: list[Loss] = []
        if self._process is not None and len(self._entries) < _WAITING:
            ended = self._process.poll() is not None  # before the pipe: what it wrote before its end is in it
            for frame in self._lines.feed(_available(self._process.stdout)):
                losses += self._take(frame, now)
            self._said = (self._said + _available(self._process.stderr))[-4096:]
            troubles += self._ended(now) if ended else self._hints()
        records = list(self._given(now))
        idle = not records and not self._entries and self._process is not None
        return Batch(records, now if idle else None, troubles, losses)

    def position(self, journalled: Sequence[Record]) -> str:
        for record in journalled:
            self._durable = self._cursors.get(record.end, self._durable)
            self._cursors = {n: cursor for n, cursor in self._cursors.items() if n > record.end}
        if not self._cursors and not self._entries:  # what came since is carried elsewhere
            self._durable = self._cursor
        return self._durable or ""

    def written(self) -> int | None:
        return None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._reap(self._process)

    def missing(self) -> str | None:
        """Return why the journal cannot be read on this host, and how to mend it."""
        if shutil.which(self._command[0]) is None:
            return f"{self.name}: no journalctl on this host; nothing to do if it has no systemd"
        return None

    # journalctl

    def _start(self, now: datetime) -> list[str]:
        if self._next_try is not None and now < self._next_try:
            return []
        self._next_try = now + _RETRY[1]
        absent = self.missing()
        if absent:
            return [absent]
        # From the last entry on, and not after it: only so can be seen that it is still there.
        begin = f"--cursor={self._cursor}" if self._cursor else f"--since={_FIRST_SINCE}"
        self._lines, self._said, self._expected = Lines(), b"", self._cursor
        self._process = subprocess.Popen(
            [*self._command, "--output=json", "--all", "--follow", "--no-tail", "--no-pager", begin],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        return []

    def _hints(self) -> list[str]:
        """Tell what journalctl says beside entries: rights that are missing, files that are damaged."""
        said, self._said = self._said.split(b"\n"), b""
        self._said = said.pop()
        return [f"{self.name}: journalctl says: {_printable(line)}" for line in said if _told(line)]

    def _ended(self, now: datetime) -> list[str]:
        assert self._process is not None
        status, said = self._process.returncode, _printable(self._said)
        self._reap(self._process)
        self._next_try, self._patience = now + self._patience, min(self._patience * 2, _RETRY[1])
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = "; `journalctl --verify` finds damaged files" if status > 0 else ""
        return [f"{self.name}: journalctl {how}{': ' + said if said else ''}; it is started again{hint}"]

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        self._process = None

    # entries

    def _take(self, frame: Frame, now: datetime) -> Iterator[Loss]:
        """Queue an entry; yield a Loss where entries between it and the one before are gone."""
        if frame.more or frame.part > 1:
            if frame.part == 1:
                origin = f"long:{self._cursor}".encode()
                yield Loss(origin, f"{self.name}: an entry longer than 16 MiB was left out", records=1)
            return
        try:
            entry = msgspec.json.decode(frame.raw, type=dict[str, object])
            cursor, stamp = str(entry["__CURSOR"]), int(str(entry["__REALTIME_TIMESTAMP"]))
        except (msgspec.DecodeError, KeyError, ValueError):
            return  # journalctl's own words, not an entry
        expected, self._expected = self._expected, None
        self._patience = _RETRY[0]
        if expected == cursor:
            return
        if expected is not None:
            yield from self._gap(expected, cursor)
        self._cursor = cursor
        time = datetime.fromtimestamp(stamp / 1_000_000, UTC)
        fields: dict[str, Value] = {ecs: str(entry[name]) for name, ecs in _COPIED.items() if name in entry}
        raw = msgspec.json.encode(entry, order="sorted")  # journalctl writes the fields in another order each time
        self._entries.append(_Entry(raw, cursor, time, fields, str(entry.get("SYSLOG_FACILITY")), now))

    def _gap(self, before: str, after: str) -> Iterator[Loss]:
        """The entry where reading stood is gone. journald numbers its entries: the difference is what went with it."""
        was, found = _SEQUENCE.search(before), _SEQUENCE.search(after)
        records = None
        if was is not None and found is not None and was[1] == found[1]:
            records = max(int(found[2], 16) - int(was[2], 16) - 1, 0)
        if records != 0:
            how_many = "an unknown number of" if records is None else str(records)
            reason = (
                f"{self.name}: {how_many} entries are gone that were not read yet: the journal was rotated away, "
                "vacuumed or replaced; raise SystemMaxUse= in journald.conf if it was for want of room"
            )
            yield Loss(f"gap:{before}".encode(), reason, records)

    def _given(self, now: datetime) -> Iterator[Record]:
        """Yield what no tailed file carries, in order; one that a file may yet carry waits, with those behind it."""
        while self._entries:
            entry = self._entries[0]
            carrier = next((one for one in self._carriers if entry.facility in one.facilities), None)
            carried = carrier.carries(entry.time, now - entry.read) if carrier is not None else False
            if carried is None:
                return
            self._entries.popleft()
            if carried:
                continue
            self._count += 1
            self._cursors[self._count] = entry.cursor
            old = self._first_until is not None and entry.time < self._first_until
            origin = entry.cursor.encode()
            yield Record(entry.raw, origin, "journal", self._count, fields=entry.fields, time=entry.time, backlog=old)


_SEQUENCE: Final = re.compile(r"(?:^|;)s=([0-9a-f]+);i=([0-9a-f]+)(?:;|$)")


def _available(pipe: IO[bytes] | None) -> bytes:
    return (pipe.read(1 << 20) or b"") if pipe is not None else b""


def _told(line: bytes) -> bool:
    """Say whether a line of journalctl's is for people: the rest is where it reads."""
    return any(
        word in line.lower() for word in (b"hint", b"not seeing", b"corrupt", b"truncated", b"failed", b"cannot")
    )


def _printable(text: bytes) -> str:
    shown = " ".join(text.decode("utf-8", "backslashreplace").split())[-300:]
    return "".join(c if c.isprintable() else "?" for c in shown)
