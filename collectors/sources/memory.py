"""What is known of the files of one path: of those that are read, and of those that were; and what of it is stored."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Final

import msgspec

from collectors.sources.content import Content, Node
from collectors.sources.folders import Place
from collectors.sources.judging import noted
from collectors.sources.tail import Known, Tail

_REMEMBERED: Final = 16  # files that were read out and are gone from the disk, but still known


class Memory:
    """Keeps tails, oldest first, and what was read out (or is not to be read)."""

    def __init__(self) -> None:
        self.tails: list[Tail] = []
        self.done: list[Known] = []
        self._saved: bytes | None = None  # the position, while it stays the same

    def changed(self) -> None:
        """The position is another one from now on."""
        self._saved = None

    def resume(self, path: str, live: Sequence[Known], done: Sequence[Known]) -> None:
        """Go on from a position: nothing is found yet."""
        self.tails += [Tail.resumed(path, known) for known in live]
        self.done += done

    def revive(self, known: Known, path: str) -> Tail:
        """Go on with a file that was read out."""
        self.done.remove(known)
        self.tails.append(Tail.resumed(path, known))
        return self.tails[-1]

    def name(self, tail: Tail, *, final: bool = False) -> None:
        """Find out what a file is, and tell it apart from others that have the same first record."""
        if tail.learn(final=final) and tail.generation < 0:
            tail.generation = self._generation(tail.identity)

    def note(self, place: Place, content: Content, size: int) -> None:
        """Know a file as read out up to `size`; -1: as not to be read, whatever it holds. Raises OSError."""
        known = noted(place, content, size)
        if known.identity:
            known.generation = self._generation(known.identity)
            self.done.append(known)
            self.changed()

    def finish(self, tail: Tail) -> None:
        """Know a file as read out; call it before it is closed."""
        self.tails.remove(tail)
        if tail.identity:
            known = tail.found_out()
            known.node = tail.node or known.node
            self.done.append(known)
        self.changed()

    def forget(self, present: Container[Node]) -> None:
        """Forget what was read out and is gone, but for the last few."""
        forgotten = [known for known in self.done if known.node not in present][:-_REMEMBERED]
        if forgotten:
            self.done = [known for known in self.done if not any(known is one for one in forgotten)]
            self.changed()

    def settle(self, ends: Mapping[str, int]) -> bool:
        """Note what the journal has; return whether that is all that was given out."""
        for tail in self.tails:
            tail.settle(ends.get(tail.lane, 0))
        self.changed()
        return all(tail.settled for tail in self.tails)

    def position(self) -> bytes:
        """Return what a later start needs."""
        if self._saved is None:
            live = [tail.known() for tail in self.tails if tail.identity and tail.generation >= 0]
            self._saved = msgspec.json.encode((live, self.done))
        return self._saved

    def _generation(self, identity: str) -> int:
        known = [(one.identity, one.generation) for one in self.done]
        known += [(one.identity, one.generation) for one in self.tails]
        return max((generation for one, generation in known if one == identity), default=-1) + 1
