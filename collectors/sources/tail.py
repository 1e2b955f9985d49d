"""One file being read to its end, by what it is and not by what it is called. The caller says which file it is."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import compress, repeat
from typing import Final

import msgspec

from collectors.framing import Lines
from collectors.sources import Record
from collectors.sources.content import HEAD, MARK, Content, Node, digest, head_size

CHUNK: Final = 256 * 1024
_WIDE: Final = {codecs.BOM_UTF16_LE: ("utf-16-le", b"\n\0"), codecs.BOM_UTF16_BE: ("utf-16-be", b"\0\n")}
_TRACE: Final = 16


class Replaced(Exception):
    """The file does not hold any more what was read of it: it was cut, or another one is in its place."""


class Relation(Enum):
    """What a content is to a file that was read."""

    HOLDS = "all that was read of the file, and perhaps more"
    PART = "a part of what was read: an older copy, or the file itself, cut"
    OTHER = "another file"


class Known(msgspec.Struct, array_like=True):
    """What is known of a file, as it is stored in the position."""

    identity: str
    head: int  # bytes that the identity is a hash of
    generation: int
    offset: int  # up to here the journal has it
    trace: list[tuple[int, str]]  # offsets, rising, and hashes of the bytes before them
    size: int = 0  # as last seen
    node: Node = (0, 0)
    backlog_until: int = 0
    by_node: bool = False  # never read, only its first record is known: the same file only under the same inode
    real: str = ""  # where it lies, if the path is a symbolic link

    def relation(self, content: Content) -> Relation:
        """Say what the content is to this file. Raises OSError."""
        if not self.identity or digest(content.at(0, self.head)) != self.identity:
            return Relation.OTHER
        if self.by_node:
            return Relation.HOLDS if content.node == self.node else Relation.OTHER
        if not self.offset or content.at(self.offset - 1, 1):
            return Relation.HOLDS if all(_marked(content, *mark) for mark in self.trace[-1:]) else Relation.OTHER
        size = content.size()
        fitting = [mark for mark in self.trace if size is not None and mark[0] <= size]
        return Relation.PART if fitting and _marked(content, *fitting[-1]) else Relation.OTHER


def _marked(content: Content, at: int, mark: str) -> bool:
    back = min(MARK, at)
    return digest(content.at(at - back, back)) == mark


@dataclass(slots=True, eq=False)
class Tail:
    """A file, where reading stands in it, and where the journal stands."""

    path: str
    node: Node | None  # None: it lies nowhere; whoever holds its bytes may take over
    content: Content | None = None  # None while it is closed
    identity: str = ""
    head: int = 0
    generation: int = -1  # tells apart files whose first records are the same; -1: not known yet
    backlog_until: int = 0  # bytes before it stood there before the first start
    size: int = 0  # as last seen while it held what was read
    seen: int = 0  # as last seen, whatever it held
    durable: int = 0  # of the first byte that the journal does not have
    owed: int = 0  # the end of the last record that was given out
    at: int = 0  # of the first byte that was not read
    mark: bytes = b""  # the bytes before it
    trace: list[tuple[int, str]] = field(default_factory=list)  # ends of chunks, with hashes of the bytes before
    lines: Lines | None = None  # None until it is known what the file is
    encoding: str = ""  # UTF-16 with its order; else bytes pass as they are
    more: bool = False  # the last read did not come to the end
    over: bool = False  # nothing of it will be read any more
    real: str = ""
    hint: int | None = None  # its inode when the position was stored; devices are numbered anew at each boot
    quiet_since: float | None = None

    @classmethod
    def resumed(cls, path: str, known: Known) -> Tail:
        """Return a tail that lies nowhere yet, to go on where the journal stands."""
        tail = cls(path, None, None, known.identity, known.head, known.generation, known.backlog_until)
        tail.size = tail.seen = known.size
        tail.at = tail.durable = tail.owed = known.offset
        tail.trace, tail.hint, tail.real = list(known.trace), known.node[1], known.real
        return tail

    def known(self, offset: int | None = None) -> Known:
        """Return what is needed to know the file again and go on at an offset; without one, where the journal is."""
        upto = self.durable if offset is None else offset
        trace = [mark for mark in self.trace if mark[0] <= upto]
        node = self.node or (0, self.hint or 0)
        return Known(
            self.identity, self.head, self.generation, upto,
            trace if offset is not None else trace[-1:], self.size, node, self.backlog_until, real=self.real,
        )  # fmt: skip

    def relation(self, content: Content) -> Relation:
        """Say what the content is to what was read of this file. Raises OSError."""
        return self.known(self.at).relation(content)

    @property
    def lane(self) -> str:
        return f"{self.identity}.{self.generation}"

    @property
    def pending(self) -> int:
        """Bytes of a half line at the end."""
        return self.lines.pending if self.lines else 0

    def take(self, content: Content, path: str) -> None:
        """Go on in this content, which holds what was read so far. Raises OSError."""
        back = min(MARK, self.at)
        mark = content.at(self.at - back, back)
        self.close()
        self.content, self.path, self.node, self.hint, self.mark = content, path, content.node, None, mark
        self.seen = content.size() or self.seen
        if self.identity and self.lines is None:
            self._prepare()

    def _prepare(self) -> None:
        """Cut lines from here on, at the newline of the file's encoding."""
        assert self.content is not None
        self.encoding, newline = _WIDE.get(self.content.at(0, 2), ("", b"\n"))
        self.lines = Lines(self.at, delimiter=newline)

    def learn(self, *, final: bool = False) -> bool:
        """Return whether it is known what the file is: its first record is complete, or will never be."""
        assert self.content is not None
        if not self.identity:
            data = self.content.at(0, HEAD)
            self.head = head_size(data) or (len(data) if final else 0)
            self.identity = digest(data[: self.head])
            if self.identity:
                self._prepare()
        return bool(self.identity)

    def read(self) -> list[Record]:
        """Return the records that the next chunk completes. Raises Replaced, OSError."""
        assert self.content is not None
        assert self.lines is not None
        back = len(self.mark)
        data = self.content.at(self.at - back, back + CHUNK)
        if not data.startswith(self.mark) or digest(self.content.at(0, self.head)) != self.identity:
            raise Replaced
        self.more = len(data) == back + CHUNK
        self.at += len(data) - back
        self.size = max(self.size, self.seen, self.at)
        if len(data) == back:
            return []
        self.mark = data[-MARK:]
        self.trace.append((self.at, digest(self.mark)))
        if len(self.trace) > _TRACE:
            del self.trace[1 : _TRACE // 2 : 2]  # sparser the older
        return self._records(*self.lines.cut(data[back:]))

    def passed_over(self) -> Known:
        """Return the file as known and not to be read, whatever it holds now. Raises OSError."""
        assert self.content is not None
        size = self.content.size()
        known = self.known(0)
        known.by_node = size is None
        if size is not None:
            back = min(MARK, size)
            known.offset, known.trace = size, [(size, digest(self.content.at(size - back, back)))]
        return known

    def rest(self) -> list[Record]:
        """Return the half line at the end of a file that will not grow."""
        frame = self.lines.flush() if self.lines else None
        return self._records([frame.raw], [frame.start, frame.end]) if frame and frame.raw else []

    def settle(self, end: int) -> None:
        """The journal has everything of this file up to `end`."""
        self.durable = max(self.durable, end)
        if self.durable >= self.owed:
            self.durable = max(self.durable, self.at - self.pending)  # empty lines make no records

    def close(self) -> None:
        if self.content is not None:
            self.content.close()
            self.content = None

    def _records(self, raws: Sequence[bytes], edges: Sequence[int]) -> list[Record]:
        """Make a record of each line that is not empty, all in the interpreter's C: this is what tailing costs."""
        if self.encoding:
            raws = [_narrow(raw, self.encoding) for raw in raws]
        shared = repeat(self.lane.encode()), repeat(self.lane), edges[1:], repeat({"log.file.path": self.path}), edges
        if edges[0] >= self.backlog_until:
            records = map(Record, raws, *shared)
        else:
            old = map(self.backlog_until.__gt__, edges)
            records = map(Record, raws, *shared, repeat(None), repeat(False), old)
        made = list(records) if all(raws) else list(compress(records, raws))
        if made:
            self.owed = made[-1].end
        return made


def _narrow(raw: bytes, encoding: str) -> bytes:
    """Return a UTF-16 line as UTF-8, without byte order mark and carriage return."""
    return raw.decode(encoding, "replace").removeprefix("\ufeff").removesuffix("\r").encode()
