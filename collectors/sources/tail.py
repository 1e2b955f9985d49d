"""One file being read to its end, by what it is and not by what it is called. The caller says which file it is."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from typing import Final

import msgspec

from collectors.framing import Lines
from collectors.sources import Record
from collectors.sources.content import HEAD, Content, Node, digest, head_size
from collectors.sources.folders import Place
from collectors.sources.marks import Prefix, marked

CHUNK: Final = 256 * 1024
_WIDE: Final = {codecs.BOM_UTF16_LE: ("utf-16-le", b"\n\0"), codecs.BOM_UTF16_BE: ("utf-16-be", b"\0\n")}
_MARKS: Final = 16
_COPIES: Final = 7


class Replaced(Exception):
    """The file does not hold any more what was read of it: it was cut, or another one is in its place."""


class Known(msgspec.Struct, array_like=True):
    """What is known of a file, as it is stored in the position."""

    identity: str
    head: int  # bytes that the identity is a hash of
    generation: int
    offset: int  # up to here the journal has it; -1: never read, and known only by where it lies
    marks: list[tuple[int, str]]  # offsets, rising, and marks of all before them; the last one is of `offset`
    size: int = 0  # as last seen
    node: Node = (0, 0)
    backlog_until: int = 0
    packed: tuple[Node, int, int] | None = None  # where a gzip'd file lies, its size and time: it does not change
    real: str = ""  # where it lies, if the path is a symbolic link

    @property
    def firm(self) -> bool:
        """Whether more than the first record is known: that alone proves nothing."""
        return self.offset > self.head + 1  # the byte is UTF-16's

    def fits(self, content: Content) -> bool:
        """Say whether a content holds all that was read of this file. Raises OSError."""
        return self.offset >= 0 and self._same(content) and all(marked(content, *mark) for mark in self.marks[-1:])

    def lies(self, place: Place, content: Content) -> bool:
        """Say whether this is the gzip'd file that lies there, going by the outside."""
        if self.packed is None or self.packed[1:] != (place.size, place.changed):
            return False
        return self.packed[0][1] == place.node[1] and self._same(content)  # devices are numbered anew at each boot

    def shared(self, content: Content) -> int:
        """Return how far a content is proven to be the same, though it does not hold all. Raises OSError."""
        if not self._same(content):
            return 0
        upto = content.size()
        usable = [mark for mark in self.marks if mark[0] <= upto]
        return next((mark[0] for mark in reversed(usable) if marked(content, *mark)), 0)

    def _same(self, content: Content) -> bool:
        return bool(self.identity) and digest(content.at(0, self.head)) == self.identity


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
    owed: int = 0  # the end of the last record that was given out
    front: Prefix = field(default_factory=Prefix)  # all that was read
    stored: Prefix = field(default_factory=Prefix)  # all that the journal has
    between: bytearray = field(default_factory=bytearray)  # what was read and is not journalled
    marks: list[tuple[int, str]] = field(default_factory=list)  # of the ends of chunks
    copies: list[tuple[int, str]] = field(default_factory=list)  # of the ends of copies that were met
    lines: Lines | None = None  # None until it is known what the file is
    encoding: str = ""  # UTF-16 with its order; else bytes pass as they are
    more: bool = False  # the last read did not come to the end
    checked: bool = False  # what is open is the file, not another one in its place
    quiet: bool = False  # the last read gave nothing
    over: bool = False  # nothing of it will be read any more
    real: str = ""
    looks: int = 0  # how often it was looked for since it lies nowhere
    before: Known | None = None  # as the position had it, until the file is found
    quiet_since: float | None = None

    @classmethod
    def resumed(cls, path: str, known: Known) -> Tail:
        """Return a tail that lies nowhere yet, to go on where the journal stands."""
        tail = cls(path, None, None, known.identity, known.head, known.generation, known.backlog_until)
        tail.size = tail.seen = known.size
        tail.owed = tail.front.at = tail.stored.at = known.offset
        tail.before, tail.real = known, known.real
        return tail

    @property
    def at(self) -> int:
        """Offset of the first byte that was not read."""
        return self.front.at

    @property
    def settled(self) -> bool:
        """Whether the journal has all that was given out."""
        return self.stored.at >= self.owed

    def known(self) -> Known:
        """Return what is needed to know the file again and go on where the journal stands."""
        return self._known(self.stored, self.copies)

    def found_out(self) -> Known:
        """Return what is needed to know the file again, as it was read out."""
        return self._known(self.front, self.copies)

    def remembered(self) -> Known:
        """Return all that is known of what was read, for as long as this process lives."""
        return self._known(self.front, [*self.marks, *self.copies])

    def _known(self, prefix: Prefix, others: Sequence[tuple[int, str]]) -> Known:
        if self.before is not None:
            return self.before
        marks = sorted({mark for mark in others if mark[0] < prefix.at})
        marks += [(prefix.at, prefix.mark())] if prefix.at else []
        return Known(
            self.identity, self.head, self.generation, prefix.at, marks, self.size, self.node or (0, 0),
            self.backlog_until, real=self.real,
        )  # fmt: skip

    @property
    def lane(self) -> str:
        return f"{self.identity}.{self.generation}"

    @property
    def pending(self) -> int:
        """Bytes of a half line at the end."""
        return self.lines.pending if self.lines else 0

    def take(self, content: Content, path: str) -> None:
        """Go on in this content, which holds what was read so far. Raises OSError."""
        if self.before is not None:
            self.front = Prefix.of(content, self.at)
            self.stored, self.copies, self.before = self.front.copy(), self.before.marks[:-1], None
        self.close()
        self.content, self.path, self.node = content, path, content.node
        self.over, self.quiet_since, self.looks = False, None, 0
        if self.identity and self.lines is None:
            self._prepare()

    def begin(self, content: Content, offset: int) -> None:
        """Read from an offset on, as if what stands before it had been read. Raises OSError."""
        self.front = Prefix.of(content, offset)
        self.stored, self.owed = self.front.copy(), offset

    def copied(self, content: Content) -> None:
        """Note that a copy was met: when the file has been read further and is then cut, it holds nothing new."""
        size = content.size()
        self.copies = [*self.copies[-_COPIES:], (size, Prefix.of(content, size).mark())]

    def shrunk(self, place: Place) -> bool:
        """Say whether a file is cut: that shows though it may be barred."""
        return place.size < self.at and not place.path.endswith(".gz")

    def intact(self) -> bool:
        """Say whether the file holds what was read of it. Raises OSError."""
        assert self.content is not None
        if not (self.checked and self.content.packed):  # which would have to be uncompressed again
            whole = self.at >= self.head
            self.checked = (
                marked(self.content, self.at, self.front.mark())
                if whole
                else digest(self.content.at(0, self.head)) == self.identity
            )
        return self.checked

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
        data = self.content.at(self.at, CHUNK)
        if not self.intact():  # asked after the bytes were taken: what was cut meanwhile is noticed as well
            raise Replaced
        self.more, self.quiet = len(data) == CHUNK, not data
        self.size = max(self.size, self.seen, self.at + len(data))
        if not data:
            return []
        self.front.feed(data)
        self.between += data
        if self.at > self.head + 1:  # the first record alone proves nothing
            self.marks.append((self.at, self.front.mark()))
        if len(self.marks) > _MARKS:
            del self.marks[1 : _MARKS // 2 : 2]  # sparser the older
        return self._records(*self.lines.cut(data))

    def rest(self) -> list[Record]:
        """Return the half line at the end of a file that will not grow."""
        frame = self.lines.flush() if self.lines else None
        return self._records([frame.raw], [frame.start, frame.end]) if frame and frame.raw else []

    def settle(self, end: int) -> None:
        """The journal has everything of this file up to `end`."""
        self._store(end)
        if self.settled:
            self._store(self.at - self.pending)  # empty lines make no records

    def _store(self, upto: int) -> None:
        size = upto - self.stored.at
        if size > 0:
            self.stored.feed(bytes(self.between[:size]))
            del self.between[:size]

    def close(self) -> None:
        if self.content is not None:
            self.content.close()
            self.content, self.checked = None, False

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
