"""A command on a schedule: the lines that it prints are records, and what it did wrong is told.

It runs beside everything else and is looked at when it is read; nothing waits for it. A run belongs to its scheduled
time, a multiple of the interval. Its lines are given when it has ended, so that nearly always all of them are
journalled at once; a run of which only some were is repeated within its interval, without those.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO, Final

import msgspec

from collectors.framing import LIMIT
from collectors.sources import Batch, Loss, Record

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/"}
_ERRORS: Final = 64 * 1024  # bytes of stderr kept, the last ones
_SHOWN: Final = 300
_LINE: Final = 0xFFFFFFFF  # a record's end is its slot and, in these bits, its line
_SETTLES: Final = timedelta(milliseconds=200)


@dataclass(slots=True)
class _Run:
    process: subprocess.Popen[bytes]
    slot: int
    began: datetime
    output: bytearray = field(default_factory=bytearray)
    errors: bytes = b""
    stopped: str | None = None  # why we ended it


class _Position(msgspec.Struct):
    """Lines of a run that are journalled, of how many."""

    slot: int = 0
    line: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is run (a program and its arguments; never a shell), how often, and for how long at most."""

    run: Sequence[str]
    every: timedelta
    timeout: timedelta
    env: Mapping[str, str] = field(default_factory=dict)  # beside a PATH, LANG and HOME of our own
    longest: int = LIMIT  # bytes that a run may print


class CommandSource:
    """Gives what a command prints, run on the clock's own multiples of the interval."""

    def __init__(self, name: str, schedule: Schedule, format_name: str = "auto") -> None:
        self.name = name
        self.format: str | None = format_name
        self._schedule = schedule
        self._every = schedule.every.total_seconds()
        self._env = {**ENVIRONMENT, **schedule.env}
        self._run: _Run | None = None
        self._lines: list[Record] = []  # of the last run, not given yet
        self._of = 0  # number of its last line
        self._given: datetime | None = None  # when the last lines were
        self._last = 0  # slot that was run, or left out
        self._durable = self._skip = _Position()
        self._bytes = 0
        self._losses: list[Loss] = []

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        saved = self._durable = msgspec.json.decode(position, type=_Position) if position else _Position()
        self._last = saved.slot
        if saved.line < saved.of and self._slot(now) == saved.slot:
            self._last, self._skip = saved.slot - 1, saved
        elif saved.line < saved.of:
            left = saved.of - saved.line
            reason = f"{self.name}: the last {left} lines of the run at {self._time(saved.slot)} were not kept"
            self._losses = [Loss(f"{saved.slot}:{saved.line}".encode(), reason, records=left)]

    def read(self, now: datetime, limit: int) -> Batch:
        troubles = self._look(self._run, now) if self._run is not None else []
        if not self._lines and self._slot(now) > self._last and self._settled(now):
            troubles += self._due(now)
        losses, self._losses = self._losses, []
        records, self._lines = self._lines[:limit], self._lines[limit:]
        if records:
            self._given = now
        up_to = None if self._lines else self._run.began if self._run else now
        return Batch(records, up_to, troubles, losses)

    def position(self, journalled: Sequence[Record]) -> str:
        end = max((record.end for record in journalled), default=0)
        slot, line = end >> 32, end & _LINE
        if (slot, line) > (self._durable.slot, self._durable.line):
            self._durable = _Position(slot, line, self._of)
        return msgspec.json.encode(self._durable).decode()

    def written(self) -> int | None:
        return self._bytes

    def close(self) -> None:
        if self._run is not None:
            _kill(self._run.process)
            self._ended(self._run)

    # a run

    def _settled(self, now: datetime) -> bool:
        """Say whether the last run's lines are journalled: one may be held for a while, as it may go on."""
        return self._given is None or now - self._given >= _SETTLES

    def _due(self, now: datetime) -> list[str]:
        self._last = self._slot(now)
        if self._run is not None:
            return [
                f"{self.name}: still runs when it is due again, so that one is left out; "
                "give it more time with `every`, or less with `timeout`"
            ]
        try:
            process = subprocess.Popen(
                self._schedule.run,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._env,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return [f"{self.name}: {self._cannot(error)}"]
        for pipe in _pipes(process):
            os.set_blocking(pipe.fileno(), False)
        self._run = _Run(process, self._last, now)
        return []

    def _cannot(self, error: OSError) -> str:
        program, path = self._schedule.run[0], self._env["PATH"]
        if isinstance(error, FileNotFoundError):
            return f"no program {program!r} (looked for in {path}); install it, or write its whole path in `run`"
        if isinstance(error, PermissionError):
            return f"{program!r} may not be run; make it executable for Tocsin's user"
        return f"{program!r} cannot be run: {error.strerror}"

    def _look(self, run: _Run, now: datetime) -> list[str]:
        """Take what it printed; if it has ended, or has to, its lines are there."""
        status = run.process.poll()  # before the pipes: what it printed before its end is in them
        out, err = (_available(pipe, self._schedule.longest + 1) for pipe in _pipes(run.process))
        run.output += out
        run.errors = (run.errors + err)[-_ERRORS:]
        if len(run.output) > self._schedule.longest:
            run.stopped = (
                f"printed more than {self._schedule.longest} bytes and was ended; print less, or run it more often"
            )
            self._losses = [Loss(f"{run.slot}:long".encode(), f"{self.name}: {run.stopped}")]
            del run.output[self._schedule.longest :]
        elif status is None and now - run.began >= self._schedule.timeout:
            run.stopped = (
                f"was ended after {self._schedule.timeout.total_seconds():g} s; raise `timeout` if it needs more"
            )
        if status is None and run.stopped is None:
            return []
        if status is None:
            _kill(run.process)
        self._lines = list(self._records(run))
        self._of = self._lines[-1].end & _LINE if self._lines else 0
        self._ended(run)
        return self._verdict(run)

    def _ended(self, run: _Run) -> None:
        run.process.wait()
        for pipe in _pipes(run.process):
            pipe.close()
        self._run = None

    def _verdict(self, run: _Run) -> list[str]:
        said = _printable(run.errors)
        status = run.process.returncode
        if run.stopped:
            return [f"{self.name}: {run.stopped}"]
        if status:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            return [f"{self.name}: {how}" + (f": {said}" if said else "")]
        return [f"{self.name}: says on its error output: {said}"] if said else []

    def _records(self, run: _Run) -> Iterator[Record]:
        self._bytes += len(run.output)
        done = self._skip.line if run.slot == self._skip.slot else 0
        for number, line in enumerate(bytes(run.output).split(b"\n"), 1):
            if line and number > done:
                yield Record(line, f"{run.slot}:{number}".encode(), str(run.slot), run.slot << 32 | number)

    def _slot(self, now: datetime) -> int:
        return int(now.timestamp() // self._every)

    def _time(self, slot: int) -> str:
        return datetime.fromtimestamp(slot * self._every, UTC).isoformat()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout, process.stderr


def _available(pipe: IO[bytes], most: int) -> bytes:
    """Return what stands in a pipe, without waiting."""
    return pipe.read(most) or b""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _printable(text: bytes) -> str:
    """Return the end of what it said, in one line that a terminal can show."""
    shown = " ".join(text.decode("utf-8", "backslashreplace").split())[-_SHOWN:]
    return "".join(c if c.isprintable() else "?" for c in shown)
