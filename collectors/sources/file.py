"""Files: followed through rotation of each kind, from byte 1, across restarts. `Trail` follows one path.

Polling is the truth: a sweep asks for every path what it names and how long that is. With many files sweeps are
rarer, and inotify says where to look between them.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Container, Sequence
from datetime import datetime
from typing import Final

import msgspec

from collectors.sources import Batch, Loss, Record
from collectors.sources.folders import Folder, Pattern, Place, base_of, place
from collectors.sources.inotify import Inotify
from collectors.sources.judging import Found
from collectors.sources.shelf import Shelf
from collectors.sources.tail import Known
from collectors.sources.trail import Trail

_HEARD: Final = 0.001  # seconds between sweeps, for each file, where inotify speaks: a sweep costs a tenth of a percent
_DEAF: Final = 0.0001  # and where it does not
_OFTEN: Final = 0.1  # a sweep that is due more often than that is made at each look, and needs no inotify
_ROOM: Final = 128  # open files, at most: Tocsin has other sources, and logs are many
_AGAIN: Final = 0.03  # seconds, for each file, after which all is looked at though nothing seems to have changed


class _Position(msgspec.Struct):
    paths: dict[str, tuple[list[Known], list[Known]]]  # what is followed, oldest first; and what was read out


class FileSource:
    """Follows the files that `patterns` (paths or globs) name. Files that were there at the first start are backlog."""

    def __init__(self, name: str, patterns: Sequence[str], format_name: str, *, room: int | None = None) -> None:
        self.name = name
        self.format: str | None = format_name
        self._patterns = [Pattern(pattern) for pattern in patterns]
        self._folders: dict[str, Folder] = {}
        self._trails: dict[str, Trail] = {}
        self._places: dict[str, Place | None] = {}  # what each path named when it was last looked at
        self._rotated: dict[str, tuple[tuple[str, int], ...]] = {}
        self._moved: set[str] = set()  # paths around which something was renamed, made or removed
        self._ready: dict[str, None] = {}  # paths to be read, in order of their turn
        self._owing: set[str] = set()  # paths of which records were given out that may not be durable
        self._troubles: dict[str, str] = {}
        self._troubled: set[str] = set()  # paths whose trail has troubles
        self._blinded: set[str] = set()  # paths of which something is there that cannot be read
        self._literal = frozenset(pattern.text for pattern in self._patterns if not pattern.is_glob)
        self._swept: datetime | None = None
        self._listed: datetime | None = None
        self._inotify: Inotify | None = None
        self._deaf = False
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._shelf = Shelf(room or min(max(limit // 8, 16), _ROOM))

    # the port

    def open(self, position: str | None, now: datetime) -> None:
        for path, (live, done) in self._saved(position).items():
            self._trail(path).memory.resume(path, live, done)
        self._list(now)
        for path in list(self._trails):
            trail, siblings = self._trails[path], self._siblings(path)
            if position is None:
                trail.start(self._look(path), siblings, now)
            else:
                trail.look(self._look(path), siblings, now)
            self._ready[path] = None
        self._moved.clear()

    def read(self, now: datetime, limit: int) -> Batch:
        told = set(self.troubles())
        if self._due(now):
            self._sweep(now)
        self._hear()
        records: list[Record] = []
        losses: list[Loss] = []
        for path in list(self._ready):
            if len(records) >= limit:
                break
            del self._ready[path]
            found = self._visit(path, now)
            records += found.records
            losses += found.losses
            if found.more:
                self._ready[path] = None
            if found.records:
                self._owing.add(path)
        read_out = not records and not self._ready and not self._blinded
        troubles = [trouble for trouble in self.troubles() if trouble not in told]
        return Batch(records, self._swept if read_out else None, troubles, losses)

    def position(self, journalled: Sequence[Record]) -> str:
        ends = {record.lane: record.end for record in journalled}
        self._owing = {path for path in self._owing if not self._trails[path].memory.settle(ends)}
        paths = {path: msgspec.Raw(trail.memory.position()) for path, trail in self._trails.items()}
        return msgspec.json.encode({"paths": paths}).decode()

    def written(self) -> int | None:
        return sum(tail.size for trail in self._trails.values() for tail in trail.tails)

    def close(self) -> None:
        for trail in self._trails.values():
            trail.close()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def watched(self) -> list[str]:
        """Return the paths that are being read."""
        return [path for path, trail in self._trails.items() if trail.tails]

    def troubles(self) -> list[str]:
        """Return what cannot be read now, and how to mend it."""
        own = list(self._troubles.values())
        return own + [text for path in self._troubled for text in self._trails[path].troubles.values()]

    # where things lie

    def _saved(self, position: str | None) -> dict[str, tuple[list[Known], list[Known]]]:
        if position is None:
            return {}
        try:
            return msgspec.json.decode(position, type=_Position).paths
        except msgspec.DecodeError as error:
            self._troubles[self.name] = f"{self.name}: the position is damaged ({error}): files are read from byte 1"
            return {}

    def _trail(self, path: str) -> Trail:
        """Return the trail of a path, a new one if it is not known."""
        trail = self._trails.get(path)
        if trail is None:
            trail = self._trails[path] = Trail(path, self._shelf, self._explicit)
            self._places[path] = None
            self._folder_of(path)
        return trail

    def _explicit(self, path: str) -> bool:
        return any(pattern.explicit(path) for pattern in self._patterns)

    def _folder_of(self, path: str) -> Folder:
        folder = os.path.dirname(path) or "."  # noqa: PTH120 (ten thousand paths are asked for at each sweep)
        if folder not in self._folders:
            self._folders[folder] = Folder(folder)
        return self._folders[folder]

    def _look(self, path: str) -> Place | None:
        """Return what a path names now. Raises OSError where that cannot be told."""
        found = self._places[path] = place(path)
        return found

    def _siblings(self, path: str) -> list[Place]:
        """Return what rotation may have made of a path, and where the files really lie that were found by a link."""
        folder, name = self._folder_of(path), os.path.basename(path)  # noqa: PTH119
        self._rotated[path] = folder.rotated(name)
        names = [os.path.join(folder.path, other) for other, _ in self._rotated[path]]  # noqa: PTH118
        names += [tail.real for tail in self._trails[path].tails if tail.real]
        return [one for one in map(place, names) if one is not None]

    # looking

    def _due(self, now: datetime) -> bool:
        if self._swept is None:
            return True
        wait = len(self._trails) * (_DEAF if self._inotify is None else _HEARD)
        since = (now - self._swept).total_seconds()
        return wait < _OFTEN or not 0 <= since < wait  # the clock may be set back

    def _sweep(self, now: datetime) -> None:
        """Look at every path."""
        self._list(now)
        for path, trail in list(self._trails.items()):
            before = self._places[path]
            try:
                if self._look(path) != before or path in self._moved or not trail.calm:
                    self._ready[path] = None
                elif before is None and not trail.tails and not self._rotated.get(path):
                    self._forget(path)
            except OSError:
                self._ready[path] = None
        self._swept = now
        self._watch()

    def _list(self, now: datetime) -> None:
        """List the folders that changed, and note what they name and around which paths something moved."""
        again = max(1.0, len(self._trails) * _AGAIN)
        force = self._listed is None or abs((now - self._listed).total_seconds()) >= again
        self._listed = now if force else self._listed
        unsettled = any(trail.unsettled for trail in self._trails.values())
        named = [(pattern, name) for pattern in self._patterns for name in pattern.folders()]
        for _, name in named:
            self._folders.setdefault(name, Folder(name))
        changed = {name for name, folder in self._folders.items() if folder.look(force=force or unsettled)}
        for pattern, name in named:
            if name in changed or not pattern.is_glob:
                for path in pattern.names(self._folders[name]):
                    if path not in self._trails and base_of(path) not in self._trails:
                        self._trail(path)
                        self._moved.add(path)
        if changed or force:
            self._moved |= {path for path in self._trails if force or self._rearranged(path, changed)}

    def _rearranged(self, path: str, changed: Container[str]) -> bool:
        folder = self._folder_of(path)
        return folder.path in changed and folder.rotated(os.path.basename(path)) != self._rotated.get(path)  # noqa: PTH119

    def _visit(self, path: str, now: datetime) -> Found:
        """Look at one path and read on."""
        trail, folder = self._trails[path], self._folder_of(path)
        self._troubles.pop(path, None)
        self._blinded.discard(path)
        try:
            found = self._look(path)
            if found is None and folder.fault is not None:
                raise folder.fault
            if path in self._moved or trail.unsettled or not trail.names(found):
                trail.look(found, self._siblings(path), now)
                self._moved.discard(path)
        except OSError as error:
            self._troubles[path] = f"{path}: {error.strerror}: see that its folder is there and Tocsin may search it"
            self._blinded.add(path)
            return Found([], []) if trail.unsettled else trail.read(now)
        if found is None and not trail.tails and path in self._literal:
            self._troubles[path] = f"{path}: no such file; watched for all the same"
        result = trail.read(now)
        (self._troubled.add if trail.troubles else self._troubled.discard)(path)
        (self._blinded.add if trail.blind else self._blinded.discard)(path)
        return result

    def _forget(self, path: str) -> None:
        """A path that a glob named is gone with all that rotation made of it."""
        if path not in self._literal and path not in self._owing:
            for known in (self._trails, self._places, self._rotated):
                known.pop(path, None)
            self._troubled.discard(path)
            self._blinded.discard(path)

    # being told where to look

    def _watch(self) -> None:
        """With many files, ask the kernel where to look between sweeps."""
        if self._deaf or len(self._trails) * _DEAF < _OFTEN / 10:
            return
        try:
            self._inotify = self._inotify or Inotify()
            for folder in self._folders:
                self._inotify.watch(folder)
        except OSError as error:
            self._deaf = True
            self._troubles["inotify"] = (
                f"{self.name}: the kernel does not tell of changes ({error.strerror}): {len(self._trails)} files are "
                "looked at in turn, which costs more; raise fs.inotify.max_user_watches and max_user_instances"
            )
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None

    def _hear(self) -> None:
        changed = self._inotify.changed() if self._inotify is not None else set()
        if changed is None:
            self._swept = None
            return
        for folder, name in changed:
            path = os.path.join(folder, name)  # noqa: PTH118
            base = base_of(path)
            if path in self._trails:
                self._ready[path] = None
            elif base in self._trails:
                self._ready[base] = None
                self._moved.add(base)
                self._folders[folder].look(force=True)
            elif self._explicit(path):
                self._swept = None
