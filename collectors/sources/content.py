"""What a file holds, by offset, uncompressed; and what it is, whatever it is called.

A file is known by a hash of its first record (up to 4 KiB). That it is still the file that was read, and not one
that was put in its place under the same name or even the same inode, shows in the last bytes that were read of it.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from hashlib import blake2b
from typing import Final, Protocol

HEAD: Final = 4096
MARK: Final = 64
_PACKED: Final = 64 * 1024  # of compressed bytes in one step; what comes out of one step is bounded as well
Node = tuple[int, int]  # device and inode: they serve to follow a file and never enter an identity


class Content(Protocol):
    """Random access to what a file holds."""

    node: Node
    packed: bool
    final: bool  # it ends where `at` returns nothing, and will not grow

    def at(self, offset: int, size: int) -> bytes: ...
    def size(self) -> int: ...
    def close(self) -> None: ...


class Plain:
    """A file as it is. Raises OSError for what is no regular file."""

    packed = final = False

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            os.close(self._file)
            raise OSError(errno.EINVAL, "not a regular file")
        self.node = (found.st_dev, found.st_ino)

    def at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset)

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def close(self) -> None:
        os.close(self._file)


class Gzip:
    """What a gzip file holds. `final` once its end was seen: one that is still being written, or was cut, has none."""

    packed = True

    def __init__(self, path: str) -> None:
        self._packed = Plain(path)
        self.node = self._packed.node
        self.final = False
        self._head = b""  # what is asked for again and again
        self._rewind()

    def _rewind(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._next = 0  # offset of the first compressed byte not yet taken
        self._start, self._held = 0, b""  # uncompressed: what is at hand, and where it begins

    def at(self, offset: int, size: int) -> bytes:
        """Return bytes as they are uncompressed. Going back costs a start from the beginning."""
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        if offset < self._start:
            self._rewind()
        while self._start + len(self._held) < offset + size and (piece := self._more()) is not None:
            skipped = min(max(offset - self._start, 0), len(self._held))
            self._start, self._held = self._start + skipped, self._held[skipped:] + piece
        if not self._start and len(self._held) >= HEAD:
            self._head = self._held[:HEAD]
        begin = offset - self._start
        return self._held[begin : begin + size]

    def _more(self) -> bytes | None:
        """Return the next uncompressed bytes (perhaps none yet); None if there are no more for now."""
        packed = self._inflate.unconsumed_tail
        if not packed:
            packed = self._packed.at(self._next, _PACKED)
            self._next += len(packed)
        if not packed:
            return None
        try:
            piece = self._inflate.decompress(packed, 4 * _PACKED)
        except zlib.error as error:
            raise OSError(errno.EIO, f"damaged gzip ({error})") from error
        if self._inflate.eof:
            self._member()
        return piece

    def _member(self) -> None:
        """One member has ended: another may follow, or zeros, or nothing."""
        self._next -= len(self._inflate.unused_data)
        following = self._packed.at(self._next, 2)
        self.final = following != b"\x1f\x8b"
        self._inflate = zlib.decompressobj(wbits=31)
        if self.final:
            self._next = self._packed.size() or 0

    def size(self) -> int:
        """Return how much it holds, up to its end as far as it is there: all of it is uncompressed."""
        at = self._start + len(self._held)
        while piece := self.at(at, 4 * _PACKED):
            at += len(piece)
        return at

    def close(self) -> None:
        self._packed.close()


def open_content(path: str) -> Content:
    """Open a file, gzip'd or not. Raises OSError."""
    return Gzip(path) if path.endswith(".gz") else Plain(path)


def head_size(data: bytes) -> int:
    """Return where the first record ends in a file that begins so; 0 while that is not known.

    Empty lines before it belong to it: files that begin with one are not all the same.
    """
    first = len(data) - len(data.lstrip(b"\r\n"))
    return data.find(b"\n", first) + 1 or (HEAD if len(data) >= HEAD else 0)


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=12).hexdigest() if data else ""
