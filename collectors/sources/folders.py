"""Folders: which files a path or glob names, and what rotation made of each. A folder is listed when it changed."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from collectors.sources.content import Node

_ROTATED: Final = re.compile(r"[.-](?:\d[\d.:_T-]*|old|0)(?:\.gz)?")  # auth.log.1, auth.log-20261122.gz, secure.old
PACKED: Final = (".xz", ".zst", ".bz2", ".lz4", ".Z", ".zip")  # what rotation may be told to make, and is not read


class Place(NamedTuple):
    """A file as it lies there."""

    path: str
    node: Node
    size: int
    changed: int  # its time of change, only to be compared with itself


def place(path: str) -> Place | None:
    """Return what a path names (behind symbolic links), None if it names nothing. Raises OSError for other faults."""
    try:
        found = os.stat(path)  # noqa: PTH116 (ten thousand at each sweep)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Place(path, (found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns)


def real_of(path: str) -> str:
    """Return where a file lies that is reached by symbolic links, "" if there are none."""
    real = os.path.realpath(path)
    return real if real != path else ""


class Folder:
    """The names in one folder, sorted, as last listed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fault: OSError | None = None
        self._inodes: dict[str, int] = {}
        self._names: list[str] = []
        self._stamp: tuple[int, int, int] | None = None
        self._settled = False

    def look(self, *, force: bool) -> bool:
        """List the folder if it may have changed; return whether the list is another one.

        A folder that changes twice within one tick of its clock looks unchanged, so after a change it is listed once
        more. Time stamps are compared for being equal, never for their order.
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116
            stamp = (found.st_dev, found.st_ino, found.st_mtime_ns)
            if stamp == self._stamp and self._settled and not force:
                return False
            self._settled = stamp == self._stamp
            with os.scandir(self.path) as entries:
                inodes = {entry.name: entry.inode() for entry in entries}
        except OSError as error:
            self.fault, self._stamp = error, None
            return False
        self.fault, self._stamp = None, stamp
        changed = inodes != self._inodes
        if changed:
            self._inodes, self._names = inodes, sorted(inodes)
        return changed

    def matching(self, pattern: re.Pattern[str]) -> Iterator[str]:
        """Yield the names that a pattern matches."""
        return (name for name in self._names if pattern.match(name))

    def __contains__(self, name: str) -> bool:
        return name in self._inodes

    def rotated(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return what may have been made of the file of that name by rotation, with inodes."""
        found = []
        for mark in ("-", "."):
            start = bisect_left(self._names, name + mark)
            for other in self._names[start:]:
                if not other.startswith(name + mark):
                    break
                found.append((other, self._inodes[other]))
        return tuple(found)


def rotated_of(name: str, base: str) -> bool:
    """Say whether a name is one that rotation gives to a file: what else begins like it may be another log."""
    return name.startswith(base) and _ROTATED.fullmatch(name, len(base)) is not None


def base_of(name: str) -> str:
    """Return the name that a rotated file had."""
    return re.sub(_ROTATED.pattern + r"\Z", "", name)


def age(name: str, base: str) -> tuple[int, tuple[int, ...]]:
    """Return a key that sorts rotated names oldest first: .2 before .1, dates before later dates."""
    numbers = [int(digits) for digits in re.findall(r"\d{1,18}", name[len(base) :])]
    if not numbers:
        return (1, (0,))
    if len(numbers) == 1 and numbers[0] < 10_000:
        return (1, (-numbers[0],))
    return (0, tuple(numbers))


class Pattern:
    """A path or a glob, as written in the config. `**` stands for any number of folders."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._folder, self._name = os.path.split(text)
        self.is_glob = glob.has_magic(text)
        self._match = re.compile(fnmatch.translate(self._name))

    def folders(self) -> Sequence[str]:
        """Return the folders that may hold what the pattern names."""
        if not glob.has_magic(self._folder):
            return [self._folder or "."]
        return sorted(glob.glob(self._folder, recursive=True))  # noqa: PTH207 (an absolute pattern)

    def names(self, folder: Folder) -> Iterator[str]:
        """Yield the paths it names in a folder; what rotation made of another one that it names is left to that."""
        if not glob.has_magic(self._name):
            yield os.path.join(folder.path, self._name)  # noqa: PTH118 (a path object for each of ten thousand)
            return
        for name in folder.matching(self._match):
            hidden = name.startswith(".") and not self._name.startswith(".")
            base = base_of(name)
            own = base == name or base not in folder or not self._match.match(base)
            if own and not hidden and not name.endswith(PACKED):
                yield os.path.join(folder.path, name)  # noqa: PTH118

    def explicit(self, path: str) -> bool:
        """Say whether a rotated file is named by the pattern itself."""
        return self.is_glob and self._match.match(os.path.basename(path)) is not None  # noqa: PTH119
