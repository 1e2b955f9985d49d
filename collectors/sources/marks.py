"""What was read of a file, told apart from whatever else may lie there: its first 4 KiB and its last 64 bytes, hashed.

Two files that begin alike (the same header, a copy) have the same mark only as far as they hold the same bytes, so
whichever of them is read on from there, nothing is missed.
"""

from __future__ import annotations

from hashlib import blake2b

from collectors.sources.content import HEAD, MARK, Content


class Prefix:
    """The bytes of a file up to an offset, as far as they are remembered."""

    __slots__ = ("_head", "_last", "at")

    def __init__(self) -> None:
        self.at = 0
        self._head = blake2b(digest_size=12)
        self._last = b""

    @classmethod
    def of(cls, content: Content, upto: int) -> Prefix:
        """Return what a content holds up to an offset; `at` is less where it is shorter. Raises OSError."""
        made = cls()
        made.feed(content.at(0, min(upto, HEAD)))
        if upto > HEAD:
            made._last = content.at(upto - MARK, MARK)
            made.at = upto - MARK + len(made._last)
        return made

    def feed(self, data: bytes) -> None:
        """Add the bytes that follow."""
        if self.at < HEAD:
            self._head.update(data[: HEAD - self.at])
        self.at += len(data)
        self._last = (self._last + data[-MARK:])[-MARK:]

    def copy(self) -> Prefix:
        made = Prefix()
        made.at, made._head, made._last = self.at, self._head.copy(), self._last
        return made

    def mark(self) -> str:
        whole = self._head.copy()
        whole.update(self._last)
        return whole.hexdigest()


def marked(content: Content, at: int, mark: str) -> bool:
    """Say whether a content holds up to an offset what the mark was made of. Raises OSError."""
    prefix = Prefix.of(content, at)
    return prefix.at == at and prefix.mark() == mark


def begins(part: Content, whole: Content) -> bool:
    """Say whether one content is the beginning of another (or all of it), by both its ends. Raises OSError."""
    size = part.size()
    if not 0 < size <= whole.size() or part.at(0, HEAD) != whole.at(0, min(size, HEAD)):
        return False
    back = min(size, HEAD)
    return part.at(size - back, back) == whole.at(size - back, back)
