"""What of a path's files can be opened now, and what cannot: that is told, and nothing is concluded from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from collectors.sources.content import Content, Node, open_content
from collectors.sources.tail import Tail

_HINTS: Final[dict[type[OSError], str]] = {
    PermissionError: "give the right to read it: add Tocsin's user to the file's group (often adm), or run as root",
}


class Sight:
    """Opens files, and remembers what came of it since the last `clear`."""

    def __init__(self) -> None:
        self.blind = False  # something that is there cannot be read
        self.waiting = False  # something that is there is not yet complete
        self.barred: set[int] = set()  # inodes of what cannot be opened
        self.troubles: dict[str, str] = {}

    def clear(self) -> None:
        """Look anew."""
        self.blind = self.waiting = False
        self.barred.clear()
        self.troubles.clear()

    def open(self, path: str, node: Node) -> Content | None:
        """Open a file; None if that cannot be now."""
        try:
            return open_content(path)
        except FileNotFoundError:
            self.waiting = True  # renamed in this very moment: the next look finds it
        except OSError as error:
            self.barred.add(node[1])
            self.trouble(path, error)
        return None

    def opened(self, tail: Tail) -> Content | None:
        """Return what a tail reads, opened again if it was closed; None if that cannot be."""
        if tail.content is None and tail.node is not None:
            content = self.open(tail.path, tail.node)
            if content is not None and content.node != tail.node:
                content.close()
                self.waiting = True
                return None
            tail.content = content
        return tail.content

    @contextmanager
    def lent(self, tail: Tail) -> Iterator[Content | None]:
        """Open the file of a tail for a moment: nothing else is closed for it."""
        closed = tail.content is None
        try:
            yield self.opened(tail)
        finally:
            if closed:
                tail.close()

    def trouble(self, path: str, error: OSError) -> None:
        """Tell that something that is there cannot be read."""
        self.blind = True
        hint = _HINTS.get(type(error), "it is tried again")
        self.troubles[path] = f"{path}: {error.strerror or error}; {hint}"
