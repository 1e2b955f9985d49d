"""What one path has named over time: the file under the name now, and those that rotation took away from it.

A file that lies nowhere any more (cut, or gone while it was closed) is an orphan. Whatever holds what was read of it
takes over: the copy of copytruncate, the gzip'd one, the file itself come back. If nothing does, the rest is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Final

import msgspec

from collectors.sources import Loss, Record
from collectors.sources.content import Content, Node, open_content
from collectors.sources.folders import PACKED, Place, age, real_of, rotated_of
from collectors.sources.judging import LINGER, Found, only_part, rested, same_for_long
from collectors.sources.shelf import Shelf
from collectors.sources.tail import Known, Relation, Replaced, Tail

_REMEMBERED: Final = 16  # files that were read out and are gone from the disk, but still known
_HINTS: Final[dict[type[OSError], str]] = {
    PermissionError: "give the right to read it: add Tocsin's user to the file's group (often adm), or run as root",
}


class Trail:
    """Follows one path. `look` where things lie, then `read`; `position` is what a later start needs."""

    def __init__(self, path: str, shelf: Shelf, explicit: Callable[[str], bool]) -> None:
        self.path = path
        self.tails: list[Tail] = []  # oldest first
        self.done: list[Known] = []  # read out, or not to be read
        self.troubles: dict[str, str] = {}
        self._name = PurePath(path).name
        self._shelf = shelf
        self._explicit = explicit  # whether the config itself names a file
        self._blind = False  # something that is there cannot be read
        self._waiting = False  # something that is there is not yet complete
        self._current: Node | None = None
        self._looks: dict[Tail, int] = {}  # orphan -> how often it was looked for
        self._passed: dict[Node, Place] = {}  # copies, and what was read out: not opened again while they stay so
        self._packed: list[str] = []  # what rotation packed in a way that is not read
        self._partial: dict[Node, tuple[int, float]] = {}  # gzip'd files without an end: their size, since when
        self._saved: bytes | None = None  # the position, while it stays the same

    @property
    def blind(self) -> bool:
        """Whether something that is there was not read."""
        return self._blind

    @property
    def unsettled(self) -> bool:
        """Whether it must be looked again where things lie."""
        return self._blind or self._waiting or any(tail.node is None for tail in self.tails)

    @property
    def calm(self) -> bool:
        """Whether nothing is to be done until something changes."""
        if self.unsettled or len(self.tails) > 1:
            return False
        return all(tail.node == self._current and tail.at >= tail.seen for tail in self.tails)

    # where things lie

    def names(self, current: Place | None) -> bool:
        """Note what the path names; return whether that is the file it named before."""
        if (current.node if current else None) != self._current:
            return False
        for tail in self.tails:
            if current is not None and tail.node == self._current:
                tail.seen = current.size
        return True

    def start(self, current: Place | None, siblings: Sequence[Place], now: datetime) -> None:
        """A first start: what is there is backlog; what rotation made of it is known, and not read."""
        named = [place for place in siblings if self._explicit(place.path)]
        for place in siblings:
            if place not in named and rotated_of(PurePath(place.path).name, self._name):
                self._pass_over(place)
        self.look(current, named, now)
        for tail in self.tails:
            tail.backlog_until = tail.seen

    def resume(self, live: Sequence[Known], done: Sequence[Known]) -> None:
        """Go on from a position: nothing is found yet."""
        self.tails = [Tail.resumed(self.path, known) for known in live]
        self.done = list(done)

    def look(self, current: Place | None, siblings: Sequence[Place], now: datetime) -> None:
        """Find out which file lies where, and begin with those that were not known."""
        self._blind = self._waiting = False
        self.troubles.clear()
        self._current = current.node if current else None
        places = sorted(siblings, key=lambda place: age(PurePath(place.path).name, self._name))
        self._packed = [place.path for place in places if place.path.endswith(PACKED)]
        nodes = {place.node: place for place in [*places, *([current] if current else [])]}
        for tail in list(self.tails):
            if tail.node in nodes and tail.content is None and not tail.identity:
                self.tails.remove(tail)  # closed, and nothing is known of it but its inode, which may be another's now
                continue
            if tail.content is not None and tail.learn() and tail.generation < 0:  # before copies of it are met
                tail.generation = self._generation(tail)
            if tail.node in nodes:
                tail.path, tail.seen = nodes[tail.node].path, nodes[tail.node].size
            elif tail.content is None:
                tail.node = None
        self._meet_unknown(nodes, now)
        self.tails.sort(key=lambda tail: tail.node is not None and tail.node == self._current)
        forgotten = [known for known in self.done if known.node not in nodes][:-_REMEMBERED]
        if forgotten:
            self.done = [known for known in self.done if known not in forgotten]
            self._saved = None

    def _meet_unknown(self, nodes: Mapping[Node, Place], now: datetime) -> None:
        followed = {tail.node for tail in self.tails}
        if None in followed:
            self._passed = {}  # a copy of what was followed may be all that there is now
        self._passed = {node: place for node, place in self._passed.items() if node in nodes}
        self._partial = {node: since for node, since in self._partial.items() if node in nodes}
        unknown = [place for place in nodes.values() if place.node not in followed and not self._was_passed(place)]
        hints = {tail.hint for tail in self.tails} | {known.node[1] for known in self.done}
        for place in sorted(unknown, key=lambda place: place.node[1] not in hints):  # first what lies where it lay
            if not self._meet(place, now) and not self._blind and not self._waiting:
                self._passed[place.node] = place

    def _was_passed(self, place: Place) -> bool:
        before = self._passed.get(place.node)
        return before is not None and (before.size, before.changed) == (place.size, place.changed)

    def _meet(self, place: Place, now: datetime) -> bool:
        """Return whether a file that was not followed is from now on."""
        content = self._open(place.path)
        if content is None:
            return False
        try:
            kept = content.node == place.node and self._placed(place, content, now)
        except OSError as error:
            self._trouble(place.path, error)
            kept = False
        if not kept:
            content.close()
        return kept

    def _placed(self, place: Place, content: Content, now: datetime) -> bool:
        """Return whether the content is kept: taken over by a tail, or begun with."""
        here = place.node == self._current
        for tail in sorted(self.tails, key=lambda tail: (tail.node is not None, tail.hint != content.node[1])):
            if here and (tail.node is not None or not same_for_long(tail.hint, tail.at, content)):
                relation = Relation.OTHER if tail.node is not None else only_part(tail.relation(content))
            else:
                relation = tail.relation(content)
            if relation is Relation.HOLDS and tail.node is None:
                return self._take(tail, content, place)
            if relation is Relation.PART and here:
                return self._begin(place, content, content.size() or 0)
            if relation is not Relation.OTHER:
                return False  # a copy of what is followed, or of what was read of it
        known = self._known(content, here=here)
        return self._fresh(place, content, now) if known is None else self._revived(known, place, content)

    def _known(self, content: Content, *, here: bool) -> Known | None:
        """Find the file among those that were read out."""
        for known in sorted(self.done, key=lambda known: known.node != content.node):
            if here and not same_for_long(known.node[1], known.offset, content):
                continue
            if known.relation(content) is Relation.HOLDS or (not here and known.relation(content) is Relation.PART):
                return known
        return None

    def _revived(self, known: Known, place: Place, content: Content) -> bool:
        """A file that was read out: go on where it has grown, or come back under its name."""
        if place.node != self._current and (known.by_node or content.at(known.offset, 1) == b""):
            if known.node != content.node:
                known.node, self._saved = content.node, None
            return False
        self.done.remove(known)
        tail = Tail.resumed(place.path, known)
        self.tails.append(tail)
        return self._take(tail, content, place)

    def _fresh(self, place: Place, content: Content, now: datetime) -> bool:
        """A file that nothing is known of: read from its first byte, if it is ours."""
        here = place.node == self._current
        ours = here or rotated_of(PurePath(place.path).name, self._name) or self._explicit(place.path)
        if not ours or (not here and not content.at(0, 1)):
            return False
        if place.path.endswith(".gz") and not self._complete(place, content, now):
            return False
        return self._begin(place, content, 0)

    def _complete(self, place: Place, content: Content, now: datetime) -> bool:
        """Whether a gzip'd file has its end, or will never have it."""
        at = 0
        while piece := content.at(at, 1 << 20):
            at += len(piece)
        size, since = self._partial.get(place.node, (-1, 0.0))
        if content.final or (size == place.size and now.timestamp() - since > LINGER):
            return True
        if size != place.size:
            self._partial[place.node] = (place.size, now.timestamp())
        self._waiting = True
        return False

    def _begin(self, place: Place, content: Content, offset: int) -> bool:
        tail = Tail(place.path, None)
        tail.at = tail.durable = tail.owed = offset
        self.tails.append(tail)
        return self._take(tail, content, place)

    def _take(self, tail: Tail, content: Content, place: Place) -> bool:
        tail.take(content, place.path)
        tail.real = real_of(place.path) or tail.real
        tail.seen = place.size
        tail.over, tail.quiet_since = False, None
        if tail.learn() and tail.generation < 0:
            tail.generation = self._generation(tail)
        self._looks.pop(tail, None)
        self._saved = None
        self._shelf.use(tail)
        return True

    def _pass_over(self, place: Place) -> None:
        content = self._open(place.path)
        if content is None:
            return
        tail = Tail(place.path, None)
        try:
            tail.take(content, place.path)
            if tail.learn(final=True):
                tail.generation = self._generation(tail)
                self.done.append(tail.passed_over())
        except OSError as error:
            self._trouble(place.path, error)
        content.close()

    def _open(self, path: str) -> Content | None:
        try:
            return open_content(path)
        except FileNotFoundError:
            self._waiting = True  # renamed in this very moment: the next look finds it
        except OSError as error:
            self._trouble(path, error)
        return None

    def _trouble(self, path: str, error: OSError) -> None:
        self._blind = True
        hint = _HINTS.get(type(error), "it is tried again")
        self.troubles[path] = f"{path}: {error.strerror or error}; {hint}"

    # reading

    def read(self, now: datetime) -> Found:
        """Read on, older files first; a younger one waits until the older has nothing more at once."""
        found = Found([], [])
        for tail in list(self.tails):
            if tail.node is None:
                self._missed(tail, found, now)
            else:
                self._advance(tail, found, now)
            if tail.over and tail.durable >= tail.owed:
                self._finish(tail)
            if tail.more and not tail.over:
                found.more = True
                break
        if found.records or found.losses:
            self._saved = None
        return found

    def _advance(self, tail: Tail, found: Found, now: datetime) -> None:
        records: list[Record] = []
        try:
            if tail.over or not self._ready(tail, now):
                return
            records = tail.read()
        except Replaced:
            self._shelf.drop(tail)
            tail.node, tail.more, self._saved = None, False, None
            self._looks[tail] = 1  # the list of files that is made next is newer than this
            return
        except OSError as error:
            self._trouble(tail.path, error)
            tail.more = False
            return
        found.records += records
        if records or tail.node == self._current:
            tail.quiet_since = None
        else:
            self._linger(tail, found, now)

    def _ready(self, tail: Tail, now: datetime) -> bool:
        """Return whether the file is open and it is known what it is."""
        if tail.content is None:
            content = self._open(tail.path)
            if content is None or content.node != tail.node:
                if content is not None:
                    content.close()
                self._waiting = True
                return False
            tail.content = content
        self._shelf.use(tail)
        if tail.generation < 0:
            final = tail.node != self._current and rested(tail, now)
            if tail.learn(final=final):
                tail.generation = self._generation(tail)
            tail.over = final and not tail.identity  # it is empty
        return tail.generation >= 0

    def _linger(self, tail: Tail, found: Found, now: datetime) -> None:
        """A file that was rotated away gives nothing new: after a while, or at a sealed end, it is read out."""
        content = tail.content
        if content is None or not (content.final or rested(tail, now)):
            return
        tail.over = True
        found.records += tail.rest()
        if content.packed and not content.final:
            reason = f"{tail.path}: this gzip file has no end; what followed {tail.at} bytes (unpacked) is lost"
            found.losses.append(Loss(self._origin(tail), reason))

    def _missed(self, tail: Tail, found: Found, now: datetime) -> None:
        """An orphan that nobody took over is lost, once it has been looked for in a list of files made since."""
        looks = self._looks[tail] = self._looks.get(tail, 0) + 1
        if tail.over or looks < 2 or self._waiting or self._blind:
            return
        if self._current is None and not rested(tail, now):
            return  # moved away for a moment
        tail.over = True
        found.records += tail.rest()
        deleted = self._current is None and tail.hint is None  # and it had been read out
        if tail.size > tail.at or (tail.identity and not deleted):
            found.losses.append(self._loss(tail))

    def _loss(self, tail: Tail) -> Loss:
        size = tail.size - tail.at
        what = f"{size} bytes that were seen there" if size > 0 else "what was written after that, if anything,"
        packed = f" ({', '.join(self._packed)} cannot; let rotation use gzip)" if self._packed else ""
        reason = (
            f"{self.path}: cut or replaced when {tail.at} bytes of it had been read, and no copy is here that can be "
            f"read{packed}: {what} are lost"
        )
        return Loss(self._origin(tail), reason, size_bytes=size if size > 0 else None)

    def _origin(self, tail: Tail) -> bytes:
        """The same for the same loss: a file has but one end."""
        return f"{self.path}:{tail.lane}:{'' if tail.identity else tail.size}".encode()

    def _finish(self, tail: Tail) -> None:
        self._shelf.drop(tail)
        self.tails.remove(tail)
        self._looks.pop(tail, None)
        self._saved = None
        if tail.identity:
            self.done.append(tail.known(tail.at))

    def _generation(self, tail: Tail) -> int:
        """Tell a file apart from others of this path that have the same first record."""
        known = [(known.identity, known.generation) for known in self.done]
        known += [(other.identity, other.generation) for other in self.tails]
        return max((generation for identity, generation in known if identity == tail.identity), default=-1) + 1

    # what a later start needs

    def settle(self, ends: Mapping[str, int]) -> bool:
        """Note what the journal has; return whether that is all that was given out."""
        for tail in self.tails:
            tail.settle(ends.get(tail.lane, 0))
        self._saved = None
        return all(tail.durable >= tail.owed for tail in self.tails)

    def position(self) -> bytes:
        """Return what is followed, and what was read out."""
        if self._saved is None:
            live = [tail.known() for tail in self.tails if tail.identity and tail.generation >= 0]
            self._saved = msgspec.json.encode((live, self.done))
        return self._saved

    def close(self) -> None:
        for tail in self.tails:
            self._shelf.drop(tail)
