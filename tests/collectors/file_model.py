"""A folder of logs, on the disk and as a model of what must come out of it. It imports nothing of what it tests.

The model knows of each file its bytes, and how many of them were there at the last look whose records became durable
(they are safe). A line must come out once if it was complete and never destroyed before it was safe. Lines that were
destroyed before may come out (a deleted file can still be open), and if one does not, and the reader knew the file,
a loss must have been told. Half lines at the end of a file that was rotated or cut may come out as they stand.
"""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(eq=False)
class File:
    """One file: what it holds, and up to where that is safe."""

    data: bytes = b""
    safe: int = 0
    noticed: bool = False  # seen, with a complete first record, by a look that became durable
    readable: bool = True
    packed: bool = False
    copied: bool = False  # by copytruncate: nobody has it open for writing

    def lines(self, begin: int = 0) -> set[bytes]:
        """Complete lines that end behind an offset; empty ones make no record."""
        ends, at = set(), 0
        for line in self.data.split(b"\n")[:-1]:
            at += len(line) + 1
            if line and at > begin:
                ends.add(line)
        return ends


@dataclass
class Destroyed:
    lines: set[bytes]
    size: int
    look: int  # after how many looks
    noticed: bool  # the reader can know that something is gone: not what came between a copy and its cut


@dataclass
class Folder:
    """Performs random steps on a real folder and on the model. `name` is what is watched."""

    place: Path
    chance: random.Random
    header: bytes = b""  # what each file begins with
    dated: bool = False  # rotated names carry a date instead of a number
    name: str = "auth.log"
    files: dict[str, File] = field(default_factory=dict)
    must: set[bytes] = field(default_factory=set)
    scraps: set[bytes] = field(default_factory=set)
    destroyed: list[Destroyed] = field(default_factory=list)
    looks: int = 0
    count: int = 0
    days: int = 0

    def path(self, name: str) -> Path:
        return self.place / name

    # what writers do

    def write(self, *, name: str | None = None, whole: bool = True) -> None:
        name = name or self.name
        for _ in range(self.chance.randrange(1, 4)):
            self.append(name, self._line() + (b"\n" if whole else b""))

    def append(self, name: str, data: bytes) -> None:
        file = self.files.setdefault(name, File())
        before = len(file.data)
        if not before and data:
            data = self.header + data
        file.data += data
        with self.path(name).open("ab") as real:
            real.write(data)
        self.must |= file.lines(before) - {self.header.rstrip()}
        self.scraps |= {file.data.rpartition(b"\n")[2], self.header.rstrip()}

    def _line(self) -> bytes:
        self.count += 1
        token = b"<%x>" % self.count  # no two make a third
        kind = self.chance.randrange(12)
        if kind == 0:
            return token  # tiny
        if kind == 1:
            return token + b"\x00\xff\xfe\r" + self.chance.randbytes(9).replace(b"\n", b"")
        if kind == 2:
            return token + b"\n"  # and an empty line behind it
        return b"Nov 22 12:00:00 web-1 app[7]: number " + token + b" " + b"." * self.chance.randrange(200)

    # what rotation does

    def rotate(self, *, keep: int = 9) -> None:
        if self.name in self.files:
            self.shift(keep)
            self._move(self.name, self._first())
        if self.chance.random() < 0.7:
            self.append(self.name, b"")

    def copytruncate(self, *between: Callable[[], None]) -> None:
        """What is written between copy and cut is lost by nature, unless it was read in between."""
        file = self.files.get(self.name)
        if file is None:
            return
        self.shift(9)
        copy = self._first()
        shutil.copyfile(self.path(self.name), self.path(copy))
        self.path(copy).chmod(0o644)
        self.files[copy] = File(file.data, file.safe, file.noticed, copied=True)
        for act in between:
            act()
        self.cut(copied=len(self.files[copy].data))

    def cut(self, *, copied: int = 0) -> None:
        file = self.files.get(self.name)
        if file is not None:
            self._destroy(file, copied)
            os.truncate(self.path(self.name), 0)
            self.files[self.name] = File(readable=file.readable)

    def rewrite(self) -> None:
        """Cut, and at once as long as before or longer, with another first line."""
        size = len(self.files[self.name].data) if self.name in self.files else 0
        self.cut()
        while self.name in self.files and len(self.files[self.name].data) <= size:
            self.write()

    def delete(self) -> None:
        file = self.files.pop(self.name, None)
        if file is not None:
            self._destroy(file, 0)
            self.path(self.name).unlink()
        if self.chance.random() < 0.7:
            self.append(self.name, b"")

    def pack(self) -> None:
        """Gzip one of the rotated files, as logrotate does: beside it first, then it goes."""
        plain = [name for name, file in self.files.items() if name != self.name and not file.packed]
        if plain:
            name = self.chance.choice(plain)
            file = self.files.pop(name)
            self.path(name + ".gz").write_bytes(gzip.compress(file.data, 1))
            self.path(name).unlink()
            self.files[name + ".gz"] = File(file.data, file.safe, file.noticed, packed=True)

    def late(self) -> None:
        """A writer that still has the rotated file open."""
        name = self._first(made=True)
        file = self.files.get(name)
        if file is not None and not file.packed and not file.copied and (not file.data or file.data.endswith(b"\n")):
            self.write(name=name)

    def bar(self) -> None:
        self._flip(readable=False)

    def unbar(self) -> None:
        self._flip(readable=True)

    def _flip(self, *, readable: bool) -> None:
        names = [n for n, file in self.files.items() if file.readable is not readable]
        for name in names if readable else names[-1:]:
            self.files[name].readable = readable
            self.path(name).chmod(0o644 if readable else 0)

    def shift(self, keep: int) -> None:
        """Make room for the next rotated name; the oldest one goes."""
        rotated = sorted(name for name in self.files if name != self.name)
        if self.dated:
            self.days += 1
        for name in rotated[: -keep or None] if self.dated else [n for n in rotated if self._number(n) >= keep]:
            self._destroy(self.files.pop(name), 0)
            self.path(name).unlink()
        if not self.dated:
            for name in sorted((n for n in self.files if n != self.name), key=self._number, reverse=True):
                end = ".gz" if name.endswith(".gz") else ""
                self._move(name, f"{self.name}.{self._number(name) + 1}{end}")

    def _first(self, *, made: bool = False) -> str:
        return f"{self.name}-{20260000 + self.days}" if self.dated else f"{self.name}.1"

    def _number(self, name: str) -> int:
        return int(name.removeprefix(self.name + ".").removesuffix(".gz"))

    def _move(self, old: str, new: str) -> None:
        self.path(old).rename(self.path(new))
        self.files[new] = self.files.pop(old)

    def _destroy(self, file: File, copied: int) -> None:
        lines = file.lines(max(file.safe, copied))
        self.must -= lines
        self.destroyed.append(Destroyed(lines, len(file.data), self.looks, file.noticed and not copied))

    # what the reader saw

    def looked(self) -> None:
        """All that could be read became durable."""
        self.looks += 1
        for file in self.files.values():
            if file.readable:
                complete = file.data.rfind(b"\n") + 1
                file.safe = max(file.safe, complete)
                file.noticed |= len(file.lines()) > bool(self.header)
