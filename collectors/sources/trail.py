"""What one path has named over time: the file under the name now, and those that rotation took away from it.

A file that is not where it lay (cut, or gone while it was closed) is an orphan. Whatever holds what was read of it takes
over: the copy of copytruncate, the gzip'd one, the file itself come back. If nothing does, the rest is lost.

Nothing counts as read that is not proven to be: by its first 4 KiB and the last 64 bytes that were read, or as the
beginning of a file that is there and is read itself. In doubt a line comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import PurePath
from typing import Final

import msgspec

from collectors.sources import Loss, Record
from collectors.sources.content import HEAD, Content, Node, digest, head_size, open_content
from collectors.sources.folders import PACKED, Place, age, real_of, rotated_of
from collectors.sources.judging import LINGER, Found, Missed, fitting, rested, shared
from collectors.sources.marks import Prefix, begins
from collectors.sources.shelf import Shelf
from collectors.sources.tail import Known, Replaced, Tail

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
        self._judged: dict[Node, tuple[Place, Known | None]] = {}  # what needs nothing while it stays so, and why
        self._barred: set[int] = set()  # inodes of what is there and cannot be opened
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
        self._partial = {node: since for node, since in self._partial.items() if node in nodes}
        if any(node not in nodes for node in self._judged):
            self._judged.clear()  # what they were copies of may be gone
        for tail in list(self.tails):
            self._find(tail, nodes)
        if self._unknown(nodes):
            self._barred.clear()
            for tail in list(self.tails):
                self._verify(tail)
            hints = {known.node[1] for known in self.done} | {tail.known().node[1] for tail in self.tails}
            # first what lies where it lay, then what copies may have been made of
            order = lambda place: (place.node[1] not in hints, place.node != self._current)  # noqa: E731
            for place in sorted(self._unknown(nodes), key=order):
                self._meet(place, nodes, now)
        self.tails.sort(key=lambda tail: tail.node is not None and tail.node == self._current)
        self._forget(nodes)

    def _find(self, tail: Tail, nodes: Mapping[Node, Place]) -> None:
        """Note where a file lies now."""
        place = nodes.get(tail.node) if tail.node else None
        if place is not None:
            tail.path, tail.seen = place.path, place.size
            if tail.content is None and not tail.identity:
                self.tails.remove(tail)  # nothing is known of it but its inode, which may be another's now
            elif tail.content is None and place.size < tail.at and not place.path.endswith(".gz"):
                self._orphan(tail)  # cut: that shows though it may be barred
        elif tail.content is None and tail.node is not None:
            self._orphan(tail)

    def _orphan(self, tail: Tail) -> None:
        self._shelf.drop(tail)
        tail.node, tail.more, tail.looks, self._saved = None, False, 0, None
        self._judged.clear()  # a copy of it may be all that there is now

    def _verify(self, tail: Tail) -> None:
        """See that a file is what it was, before others are judged by it."""
        if tail.node is None:
            return
        with self._lent(tail) as content:
            try:
                if content is None:
                    return
                if tail.intact():
                    self._name_it(tail)
                    return
            except OSError as error:
                self._trouble(tail.path, error)
                return
        self._orphan(tail)

    def _name_it(self, tail: Tail, *, final: bool = False) -> None:
        if tail.learn(final=final) and tail.generation < 0:
            tail.generation = self._generation(tail.identity)

    def _unknown(self, nodes: Mapping[Node, Place]) -> list[Place]:
        followed = {tail.node for tail in self.tails}
        return [place for place in nodes.values() if place.node not in followed and not self._was_judged(place)]

    def _was_judged(self, place: Place) -> bool:
        before, _ = self._judged.get(place.node, (None, None))
        return before is not None and (before.size, before.changed) == (place.size, place.changed)

    def _forget(self, nodes: Mapping[Node, Place]) -> None:
        forgotten = [known for known in self.done if known.node not in nodes][:-_REMEMBERED]
        if forgotten:
            self.done = [known for known in self.done if known not in forgotten]
            self._saved = None

    def _meet(self, place: Place, nodes: Mapping[Node, Place], now: datetime) -> None:
        """Follow a file that was not followed, or note that there is no need."""
        content = self._open(place.path, place.node)
        if content is None:
            return
        waiting, self._waiting = self._waiting, False
        try:
            if content.node != place.node:
                self._waiting = True  # it was renamed in this very moment
            elif not self._placed(place, content, nodes, now) and not self._waiting:
                known = next((known for known in self.done if known.node == place.node), None)
                self._judged[place.node] = (place, known)
        except OSError as error:
            self._trouble(place.path, error)
        self._waiting |= waiting
        if all(tail.content is not content for tail in self.tails):
            content.close()

    def _placed(self, place: Place, content: Content, nodes: Mapping[Node, Place], now: datetime) -> bool:
        """Return whether the content is read: taken over, or begun with."""
        here = place.node == self._current
        ours = here or rotated_of(PurePath(place.path).name, self._name) or self._explicit(place.path)
        if content.packed and self._recognized(place, content):
            return False
        if content.packed and not self._complete(place, content, now):
            return False
        for tail in self.tails:  # the shelf may have closed what lies nowhere any more
            if tail.content is None and tail.node is not None and tail.node not in nodes:
                self._orphan(tail)
        missed = self._missing(ours=ours)
        fits = fitting(missed, content)
        if fits and fits[0].known.firm:
            return self._resume(fits[0], place, content)
        if not here and self._is_copy(content, nodes):
            return False
        proven = shared(missed, content)
        if fits and fits[0].known.offset >= proven:
            return self._resume(fits[0], place, content)
        if not ours or (not here and not content.at(0, 1)):
            return False
        return self._fresh(place, content, proven)

    def _recognized(self, place: Place, content: Content) -> bool:
        """Say whether this is a gzip'd file that was read, or is not to be: it does not change."""
        return any(
            known.lies(place.node, place.size) and digest(content.at(0, known.head)) == known.identity
            for known in self.done
        )

    def _missing(self, *, ours: bool) -> list[Missed]:
        """Return those that a file may be: not those that are open, or are known to lie elsewhere."""
        orphans = [
            Missed(tail.remembered(), tail)
            for tail in self.tails
            if tail.node is None or (tail.content is None and tail.node[1] in self._barred)
        ]
        taken = [known for _, known in self._judged.values()]
        done = [known for known in self.done if ours and not any(known is one for one in taken)]
        return orphans + [Missed(known, None) for known in done]

    def _is_copy(self, content: Content, nodes: Mapping[Node, Place]) -> bool:
        """Say whether a file is the beginning of one that is there, and is read or was."""
        for tail in self.tails:
            with self._lent(tail) as own:
                if own is not None and begins(content, own):
                    tail.copied(content)
                    self._saved = None
                    return True
        read_out = [nodes[known.node].path for _, known in self._judged.values() if known and known.node in nodes]
        for path in read_out:
            with closing(open_content(path)) as other:
                if begins(content, other):
                    return True
        return False

    def _resume(self, missed: Missed, place: Place, content: Content) -> bool:
        """Go on in a file that holds all that was read of it; return whether there is anything more."""
        known, tail = missed
        if tail is None:
            if place.node != self._current and not content.at(known.offset, 1):
                if known.node != place.node:
                    known.node, self._saved = place.node, None
                known.packed = place.size if content.packed else -1
                return False
            self.done.remove(known)
            tail = Tail.resumed(place.path, known)
            self.tails.append(tail)
        return self._take(tail, content, place)

    def _fresh(self, place: Place, content: Content, offset: int) -> bool:
        """Read a new file from its first byte, or behind what is proven to have been read."""
        if offset and not content.at(offset, 1) and place.node != self._current:
            self._note(place, content, offset)  # an older copy
            return False
        tail = Tail(place.path, None)
        tail.begin(content, offset)
        return self._take(tail, content, place)

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

    def _take(self, tail: Tail, content: Content, place: Place) -> bool:
        tail.take(content, place.path)
        tail.real = real_of(place.path) or tail.real
        tail.seen = place.size
        if tail not in self.tails:
            self._name_it(tail)
            self.tails.append(tail)
        self._saved = None
        self._shelf.use(tail)
        return True

    def _pass_over(self, place: Place) -> None:
        """Know a file that is not to be read, whatever it holds."""
        content = self._open(place.path, place.node)
        if content is None:
            return
        try:
            self._note(place, content, -1 if content.packed else content.size())
        except OSError as error:
            self._trouble(place.path, error)
        content.close()

    def _note(self, place: Place, content: Content, size: int) -> None:
        """Know a file as read out."""
        data = content.at(0, HEAD)
        head = head_size(data) or len(data)
        if head:
            identity, packed = digest(data[:head]), place.size if content.packed else -1
            marks = [(size, Prefix.of(content, size).mark())] if size > 0 else []
            known = Known(identity, head, self._generation(identity), size, marks, node=place.node, packed=packed)
            self.done.append(known)
            self._saved = None

    def _open(self, path: str, node: Node) -> Content | None:
        try:
            return open_content(path)
        except FileNotFoundError:
            self._waiting = True  # renamed in this very moment: the next look finds it
        except OSError as error:
            self._barred.add(node[1])
            self._trouble(path, error)
        return None

    def _opened(self, tail: Tail) -> Content | None:
        """Return what a tail reads, opened again if it was closed; None if that cannot be."""
        if tail.content is None and tail.node is not None:
            content = self._open(tail.path, tail.node)
            if content is not None and content.node != tail.node:
                content.close()
                self._waiting = True
                return None
            tail.content = content
        return tail.content

    @contextmanager
    def _lent(self, tail: Tail) -> Iterator[Content | None]:
        """Open the file of a tail for a moment: nothing else is closed for it."""
        closed = tail.content is None
        try:
            yield self._opened(tail)
        finally:
            if closed:
                tail.close()

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
            if tail.over and tail.settled:
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
            self._orphan(tail)
            tail.looks = 1  # the list of files that is made next is newer than this
            return
        except OSError as error:
            self._trouble(tail.path, error)
            tail.more = False
            return
        found.records += records
        if not tail.quiet or tail.node == self._current:
            tail.quiet_since = None
        else:
            self._linger(tail, found, now)

    def _ready(self, tail: Tail, now: datetime) -> bool:
        """Return whether the file is open and it is known what it is."""
        if self._opened(tail) is None:
            return False
        self._shelf.use(tail)
        if tail.generation < 0:
            final = tail.node != self._current and rested(tail, now)
            self._name_it(tail, final=final)
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
        tail.looks += 1
        if tail.over or tail.looks < 2 or self._waiting or self._blind:
            return
        if self._current is None and not rested(tail, now):
            return  # moved away for a moment
        tail.over = True
        found.records += tail.rest()
        deleted = self._current is None and tail.before is None  # and it had been read out
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
        node, packed = tail.node, tail.seen if tail.content and tail.content.packed else -1
        self._shelf.drop(tail)
        self.tails.remove(tail)
        self._judged.clear()
        self._saved = None
        if tail.identity:
            known = tail.found_out()
            known.node, known.packed = node or known.node, packed
            self.done.append(known)

    def _generation(self, identity: str) -> int:
        """Tell a file apart from others of this path that have the same first record."""
        known = [*self.done, *self.tails]
        return max((one.generation for one in known if one.identity == identity), default=-1) + 1

    # what a later start needs

    def settle(self, ends: Mapping[str, int]) -> bool:
        """Note what the journal has; return whether that is all that was given out."""
        for tail in self.tails:
            tail.settle(ends.get(tail.lane, 0))
        self._saved = None
        return all(tail.settled for tail in self.tails)

    def position(self) -> bytes:
        """Return what is followed, and what was read out."""
        if self._saved is None:
            live = [tail.known() for tail in self.tails if tail.identity and tail.generation >= 0]
            self._saved = msgspec.json.encode((live, self.done))
        return self._saved

    def close(self) -> None:
        for tail in self.tails:
            self._shelf.drop(tail)
