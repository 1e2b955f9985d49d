"""One file being read to its end, by what it is and not by what it is called.

A file is known by a hash of its first line (up to 4 KiB of it). Device and inode serve to notice a rotation and
never enter an identity: copies, restores and inode reuse change nothing.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from collectors.sources import Record

CHUNK = 256 * 1024
HEAD = 4096
LONGEST = 16 * 1024 * 1024  # a line is parsed whole up to here; a longer one is cut into lines of this size


class _Bytes(Protocol):
    """Random access to what a file holds, uncompressed."""

    def at(self, offset: int, size: int) -> bytes: ...
    def size(self) -> int: ...
    def close(self) -> None: ...


class _Plain:
    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self.node = (found.st_dev, found.st_ino)

    def at(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)


class _Gzip:
    node = None

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115 (closed by close)
        self._size: int | None = None

    def at(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def size(self) -> int:
        if self._size is None:
            self._size = self._file.seek(0, os.SEEK_END)
        return self._size

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Tail:
    """An open file, where reading stands in it, and where the journal stands. Call `learn` before `read`."""

    path: Path
    content: _Plain | _Gzip
    generation: int = 0  # tells apart files whose first lines are the same
    offset: int = 0  # of the first byte that no record has been made of
    durable: int = 0  # of the first byte that the journal does not have
    backlog_until: int = 0  # bytes before it stood there before the first start
    head: bytes = b""  # the first line, up to HEAD bytes, once it is complete
    rest: bytes = field(default=b"", repr=False)  # the half line that follows `offset`
    counted: bool = False  # the generation has been told apart from files with the same first line
    quiet_since: float | None = None

    @classmethod
    def open(cls, path: Path) -> Tail:
        """Open a file at its beginning. Raises OSError."""
        content = _Gzip(path) if path.suffix == ".gz" else _Plain(path)
        return cls(path, content, head=head_of(content))

    def learn(self, *, final: bool = False) -> bool:
        """Return whether it is known what the file is: its first line is complete, or will never be."""
        if not self.head:
            self.head = head_of(self.content) or (self.content.at(0, HEAD) if final else b"")
        return bool(self.head)

    @property
    def identity(self) -> str:
        """What the file is: empty until its first line is complete."""
        return identity_of(self.head)

    @property
    def lane(self) -> str:
        return f"{self.identity}.{self.generation}"

    def replaced(self) -> bool:
        """Say whether the file was cut, or holds something else than it did (copytruncate, rewritten in place)."""
        if self.content.size() < self.offset + len(self.rest):
            return True
        return bool(self.head) and self.content.at(0, len(self.head)) != self.head

    def read(self, *, final: bool = False) -> list[Record]:
        """Return the complete lines of the next chunk; with `final`, at the end of the file, the half line too."""
        chunk = self.content.at(self.offset + len(self.rest), CHUNK)
        data = self.rest + chunk
        end = data.rfind(b"\n") + 1
        if not chunk and final:
            end = len(data)
        elif len(data) - end > LONGEST:
            end += LONGEST
        lines, self.rest = data[:end], data[end:]
        return list(self._records(lines))

    def _records(self, lines: bytes) -> Iterator[Record]:
        lane, path, identity = self.lane, str(self.path), self.lane.encode()
        stop = self.offset + len(lines)
        for line in lines.split(b"\n"):
            start = self.offset
            self.offset = min(start + len(line) + 1, stop)
            if line:
                yield Record(
                    raw=line,
                    origin=b"%s:%d" % (identity, start),
                    lane=lane,
                    end=self.offset,
                    fields={"log.file.path": path, "log.offset": start},
                    backlog=start < self.backlog_until,
                )


def head_of(content: _Bytes) -> bytes:
    """Return the first line up to HEAD bytes, empty while it is shorter and has no end."""
    data = content.at(0, HEAD)
    end = data.find(b"\n") + 1
    return data[:end] if end else data if len(data) == HEAD else b""


def identity_of(head: bytes) -> str:
    return blake2b(head, digest_size=12).hexdigest() if head else ""
