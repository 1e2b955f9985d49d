"""Files: followed through rename and copytruncate rotation, from byte 1, across restarts.

What a path names is one Tail; when the path comes to name another file, the old Tail is read on until its
writer has been quiet for a while. The position holds, for each path, the Tails that are not yet read out, by
identity: after a restart they are found again under whatever name rotation gave them, gzip'd or not. A rotated
file that was never seen under the path's own name (rotated twice between two looks, or while Tocsin was away) is
read whole.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from collectors.sources import Batch, Record
from collectors.sources.tail import Tail

_REMEMBERED = 16  # files that are gone whose first lines are still known
_LINGER = 60.0  # seconds without growth after which a file that was rotated away counts as read out


class _Entry(msgspec.Struct):
    """One Tail in the position."""

    identity: str
    generation: int
    offset: int
    backlog_until: int = 0


class _Position(msgspec.Struct):
    paths: dict[str, list[_Entry]]  # oldest first; the last one is what the path named
    seen: dict[str, dict[str, int]]  # path -> identity -> generation, of the last few files under that name


class FileSource:
    """Follows the files that `patterns` (paths or globs) name. Files that were there at the first start are backlog."""

    def __init__(self, name: str, patterns: Sequence[str], format_name: str) -> None:
        self.name = name
        self.format: str | None = format_name
        self._patterns = patterns
        self._tails: dict[str, list[Tail]] = {}  # by path, oldest first; the last one is what the path names
        self._seen: dict[str, dict[str, int]] = {}
        self._troubles: dict[str, str] = {}
        self._folders: dict[str, int] = {}  # path -> its folder's mtime when siblings were last looked at
        self._looked: datetime | None = None
        self._blind = False  # a file that is there cannot be opened: nothing is claimed to have been read

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        self._looked = now
        if position is None:
            for path in self._named():
                self._begin(path, first=True)
                self._seen[path] = {tail.identity: 0 for tail in self._rotated(path)}
            return
        saved = msgspec.json.decode(position, type=_Position)
        self._seen = saved.seen
        for path in dict.fromkeys([*saved.paths, *self._named()]):
            self._resume(path, saved.paths.get(path, []))

    def read(self, now: datetime, limit: int) -> Batch:
        records: list[Record] = []
        told = set(self._troubles.values())
        look = self._looked is None or (now - self._looked).total_seconds() >= 1
        if look:
            self._looked = now
            for path in self._named():
                if path not in self._tails:
                    self._begin(path, first=False)
            self._blind = any(path not in self._tails for path in self._named())
        for path, tails in list(self._tails.items()):
            for tail in tails[:-1]:
                records += self._drain(path, tail, now)
            records += self._follow(path, tails[-1])
            if len(records) >= limit:
                break
            if look:
                tails[-1:-1] = self._unseen(path)
        fresh = [trouble for trouble in self._troubles.values() if trouble not in told]
        return Batch(records, None if records or self._blind else now, fresh)

    def position(self, journalled: Sequence[Record]) -> str:
        ends = {record.lane: record.end for record in journalled}
        for tails in self._tails.values():
            for tail in tails:
                tail.durable = max(tail.durable, ends.get(tail.lane, 0))
        return msgspec.json.encode(
            _Position(
                {
                    path: [_Entry(t.identity, t.generation, t.durable, t.backlog_until) for t in tails if t.head]
                    for path, tails in self._tails.items()
                },
                self._seen,
            )
        ).decode()

    def written(self) -> int | None:
        return sum(tail.content.size() for tails in self._tails.values() for tail in tails)

    def close(self) -> None:
        for tails in self._tails.values():
            for tail in tails:
                tail.content.close()

    # what is there

    def watched(self) -> list[str]:
        """Return the paths that are being read."""
        return list(self._tails)

    def troubles(self) -> list[str]:
        """Return what cannot be read now, and how to mend it."""
        return list(self._troubles.values())

    def _named(self) -> Iterator[str]:
        for pattern in self._patterns:
            if glob.has_magic(pattern):
                yield from sorted(p for p in glob.glob(pattern) if Path(p).is_file())  # noqa: PTH207 (absolute globs)
            elif Path(pattern).is_file():
                yield pattern
            elif pattern not in self._tails:
                self._troubles.setdefault(pattern, f"{pattern}: no such file; watched for all the same")

    def _open(self, path: str) -> Tail | None:
        try:
            tail = Tail.open(Path(path))
        except OSError as error:
            hint = _HINTS.get(type(error), "it is tried again each second")
            self._troubles[path] = f"{path}: {error.strerror or error}; {hint}"
            self._blind = True
            return None
        self._troubles.pop(path, None)
        return tail

    def _begin(self, path: str, *, first: bool) -> None:
        tail = self._open(path)
        if tail is not None:
            tail.backlog_until = tail.content.size() if first else 0
            self._tails[path] = [tail]

    # after a restart

    def _resume(self, path: str, saved: Sequence[_Entry]) -> None:
        """Find each saved Tail again, under its own name or a rotated one; then what came after it."""
        current = self._open(path) if Path(path).is_file() else None
        rotated = self._rotated(path, keep=True)
        tails: list[Tail] = []
        for entry in saved:
            candidates = [tail for tail in [*rotated, *([current] if current else [])] if tail not in tails]
            found = _find(entry, candidates)
            if found is not None:
                _set(found, entry)
                tails.append(found)
            else:
                self._troubles[f"{path}#"] = (
                    f"{path}: replaced while Tocsin was away, and no rotated copy is here: "
                    f"what followed byte {entry.offset} of the old file, if anything, is lost"
                )
        seen = self._seen.setdefault(path, {})
        for tail in rotated:
            if tail not in tails and (tail.identity in seen or not tail.identity):
                tail.content.close()
            elif tail not in tails:
                self._count(path, tail)
                tails.append(tail)
        if current is not None:
            tails = [*(tail for tail in tails if tail is not current), current]
        if tails:
            self._tails[path] = tails

    def _rotated(self, path: str, *, keep: bool = False) -> list[Tail]:
        """Open what rotation made of the file, oldest first; closed again unless `keep`: to look at identities."""
        tails = [tail for tail in map(self._open, map(str, _siblings(path))) if tail is not None]
        for tail in tails if not keep else []:
            tail.content.close()
        return tails

    def _unseen(self, path: str) -> list[Tail]:
        """Return rotated files that never were read under the path's own name."""
        try:
            changed = Path(path).parent.stat().st_mtime_ns
        except OSError:
            return []
        if self._folders.get(path) == changed:
            return []
        self._folders[path] = changed
        seen, rotated = self._seen.setdefault(path, {}), self._rotated(path, keep=True)
        known = {tail.identity for tail in [*self._tails.get(path, []), *rotated]}
        for old in [identity for identity in seen if identity not in known][:-_REMEMBERED]:
            del seen[old]
        fresh = [tail for tail in rotated if tail.identity and tail.identity not in seen]
        for tail in rotated:
            if tail not in fresh:
                tail.content.close()
        for tail in fresh:
            self._count(path, tail)
        return fresh

    # while it runs

    def _drain(self, path: str, tail: Tail, now: datetime) -> list[Record]:
        """Read on in a file that was rotated away, until it has been quiet for long enough."""
        records = self._read(path, tail)
        moment = now.timestamp()
        if records or tail.quiet_since is None:
            tail.quiet_since = moment
        elif moment - tail.quiet_since > _LINGER:
            records = self._read(path, tail, final=True)
            if not records and tail.durable >= tail.offset:
                self._tails[path].remove(tail)
                tail.content.close()
        return records

    def _follow(self, path: str, tail: Tail) -> list[Record]:
        if tail.replaced():
            return self._cut(path, tail)
        records = self._read(path, tail)
        if records:
            return records
        try:
            found = Path(path).stat()
        except OSError:
            return []  # renamed away, its successor not yet made: the next look tells
        if (found.st_dev, found.st_ino) != tail.content.node:
            successor = self._open(path)
            if successor is not None:
                self._tails[path].append(successor)
        return []

    def _read(self, path: str, tail: Tail, *, final: bool = False) -> list[Record]:
        if not tail.learn(final=final):
            return []
        if not tail.counted:
            self._count(path, tail)
        return tail.read(final=final)

    def _count(self, path: str, tail: Tail) -> None:
        """Tell a file apart from an earlier one under this name that had the same first line."""
        seen = self._seen.setdefault(path, {})
        tail.generation = seen.pop(tail.identity, -1) + 1
        seen[tail.identity] = tail.generation  # the newest stands last
        tail.counted = True

    def _cut(self, path: str, tail: Tail) -> list[Record]:
        """The file was truncated: the rest of what it held is in the copy, if one was made; then from byte 1."""
        tails = self._tails[path]
        tails.pop()
        if tail.head and not tail.counted:
            self._count(path, tail)
        copies = self._rotated(path, keep=True)
        entry = _Entry(tail.identity, tail.generation, tail.offset, tail.backlog_until)
        copy = _find(entry, copies)
        if copy is not None:
            _set(copy, entry)
            copy.durable = tail.durable
            tails.append(copy)
        elif tail.head:
            self._troubles[f"{path}#"] = (
                f"{path}: cut to nothing and no copy is here: what was written after byte {tail.offset}, "
                "if anything, is lost"
            )
        for other in copies:
            if other is not copy:
                other.content.close()
        fresh = self._open(path)
        if fresh is not None:
            tails.append(fresh)
        elif not tails:
            del self._tails[path]
        tail.content.close()
        return []


_HINTS: dict[type[OSError], str] = {
    PermissionError: "give the right to read it: add Tocsin's user to the file's group (often adm), or run as root",
}


def _siblings(path: str) -> list[Path]:
    """Return what rotation made of the file (auth.log.1, auth.log-20261122, auth.log.2.gz), oldest first."""
    place = Path(path)
    found = [p for p in place.parent.glob(glob.escape(place.name) + "[.-]*") if p.is_file()]
    return sorted(found, key=lambda p: p.stat().st_mtime)


def _find(entry: _Entry, tails: Sequence[Tail]) -> Tail | None:
    """Return the file that an entry speaks of: the same first line, and at least as long."""
    return next((t for t in tails if t.identity == entry.identity and t.content.size() >= entry.offset), None)


def _set(tail: Tail, entry: _Entry) -> None:
    tail.generation, tail.backlog_until = entry.generation, entry.backlog_until
    tail.offset = tail.durable = entry.offset
    tail.counted = True
