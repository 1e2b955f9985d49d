"""The journal's folder: its segments as files, who may write, and what is mended before anybody reads it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from collectors.journal import findings, repair
from collectors.journal import segment as files
from collectors.journal.segment import Damaged

_MENDS = 8  # in a row; what is damaged again after that is not ours to mend
_OPEN = 4  # connections: the newest, and where slow readers stand
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Segment:
    """One file. What it is said to start with never changes."""

    number: int
    path: Path
    starts: Mapping[str, int]  # topic -> the offset of its first record here
    born: int

    def start(self, topic: str) -> int:
        return self.starts.get(topic, 0)


class Folder:
    """Segments oldest first, as of the last `scan`. One instance serves one thread."""

    def __init__(self, path: Path, topics: Sequence[str]) -> None:
        self.path = path.resolve()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.segments: list[Segment] = []
        self._names: list[str] = []  # what the last look saw
        self._topics = topics
        self._lock_file = (self.path / "lock").open("ab")
        self._held = 0
        self._open: dict[Path, sqlite3.Connection] = {}
        self._logs: dict[Path, bytes] = {}  # write-ahead logs that SQLite did not take whole

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other writers out, of this process and others."""
        if not self._held:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def scan(self) -> bool:
        """Look for segments made, mended or unlinked by others; return whether anything changed. Raises Damaged."""
        with os.scandir(self.path) as found:
            names = sorted(entry.name for entry in found if entry.name.endswith(".db"))
        if names == self._names:
            return False
        paths, known = self._paths(), {segment.path: segment for segment in self.segments}
        segments = [known.get(path) or self._describe(path) for path in paths]
        changed = segments != self.segments
        self.segments, self._names = segments, names
        for path in set(self._open) - set(paths):
            self.close(path)
        return changed

    def connection(self, segment: Segment) -> sqlite3.Connection:
        if segment.path not in self._open:
            if len(self._open) >= _OPEN:
                self.close(next(iter(self._open)))
            self._open[segment.path] = files.connect(segment.path)
        return self._open[segment.path]

    def close(self, path: Path) -> None:
        connection = self._open.pop(path, None)
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def forget(self) -> None:
        """Drop every connection: after an error none of them is to be trusted."""
        for path in list(self._open):
            self.close(path)

    def shut(self) -> None:
        self.forget()
        self._lock_file.close()

    # mending

    def mended(self, work: Callable[[], T]) -> T:
        """Do the work; where it meets damage, mend that first and do it again."""
        for _ in range(_MENDS):
            try:
                return work()
            except Damaged as damage:
                self._mend(damage.path)
            except sqlite3.OperationalError:  # a segment that was unlinked since the last look cannot be opened
                if all(segment.path.exists() for segment in self.segments):
                    raise
                self._start_over()
        return work()

    def _mend(self, path: Path) -> None:
        """Replace a damaged segment, unless another has done so already."""
        with self.locked():
            self.forget()
            paths = self._paths()
            if path in paths:
                try:
                    neighbours = self._neighbours(paths, paths.index(path))
                except Damaged as following:  # where it starts is where this one ends: it comes first
                    self._mend(following.path)
                    return
                repair.replace(path, self._topics, neighbours, self._logs.pop(path, None))
            self._start_over()

    def _start_over(self) -> None:
        """Look again at everything."""
        self.forget()
        self.segments, self._names = [], []
        self.mended(self.scan)

    def _neighbours(self, paths: Sequence[Path], place: int) -> repair.Neighbours:
        before, positions = None, list[files.Entry]()
        after: Mapping[str, int] | None = None
        if place > 0:
            with suppress(Damaged), closing(files.connect(paths[place - 1])) as connection:
                before = files.head(connection, paths[place - 1])
                positions = files.positions(connection, paths[place - 1])
        if place + 1 < len(paths):
            with closing(files.connect(paths[place + 1])) as connection:
                after = files.head(connection, paths[place + 1]).starts
        return repair.Neighbours(before, positions, after)

    def settle(self) -> None:
        """Finish what a process that died had begun, and see whether SQLite takes all that was written."""
        with self.locked():
            names = {path.name for path in self.path.iterdir()}
            for name in names:
                orphan = name.endswith(("-wal", "-shm")) and name[:-4] not in names
                if ".new" in name or orphan:
                    (self.path / name).unlink(missing_ok=True)
            for path in self._all():
                if path not in self._paths():
                    repair.retire(path)
            for path in self._paths():
                if f"{path.name}-wal" in names:
                    self._check_log(path)
            self.scan()

    def _check_log(self, path: Path) -> None:
        """SQLite silently ends at the first bad frame of its log: say so if transactions stood behind it."""
        wal = repair.read_log(path)
        claimed, torn_bytes = repair.claimed(wal)
        self._logs[path] = wal
        with closing(files.connect(path)) as connection:
            head = files.head(connection, path)
            if claimed > head.number:
                raise Damaged(path, f"its log is damaged behind transaction {head.number} of {claimed}")
            if torn_bytes:
                findings.note(self.path, [repair.torn(path, torn_bytes, head.number)])
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        del self._logs[path]

    # what is there

    def _paths(self) -> list[Path]:
        """Return the segments in order; of one that was mended only the last version."""
        newest: dict[int, Path] = {}
        for path in self._all():
            number, _ = repair.order(path.name) or (0, 0)
            newest[number] = path
        return list(newest.values())

    def _all(self) -> list[Path]:
        found = [(order, path) for path in self.path.iterdir() if (order := repair.order(path.name)) is not None]
        return [path for _, path in sorted(found)]

    def _describe(self, path: Path) -> Segment:
        with closing(files.connect(path)) as connection:
            head = files.head(connection, path)
        number, _ = repair.order(path.name) or (0, 0)
        return Segment(number, path, head.starts, head.born)
