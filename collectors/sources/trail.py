"""What one path has named over time: the file under the name now, and those that rotation took away from it.

A file that is not where it lay (cut, or gone while it was closed) is an orphan. Whatever holds what was read of it
takes over: the copy of copytruncate, the gzip'd one, the file itself come back. If nothing does, the rest is lost.

Nothing counts as read that is not proven to be: by its first 4 KiB and the last 64 bytes that were read, or as the
beginning of a file that is there and is read itself. In doubt a line comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import PurePath

from collectors.sources import Record
from collectors.sources.content import Content, Node, open_content
from collectors.sources.folders import PACKED, Place, age, real_of, rotated_of
from collectors.sources.judging import (
    Found,
    Missed,
    Unfinished,
    end_lost,
    fitting,
    rest_lost,
    rested,
    shared,
)  # fmt: skip
from collectors.sources.marks import begins
from collectors.sources.memory import Memory
from collectors.sources.shelf import Shelf
from collectors.sources.sight import Sight
from collectors.sources.tail import Known, Replaced, Tail


class Trail:
    """Follows one path. `look` where things lie, then `read`; `position` is what a later start needs."""

    def __init__(self, path: str, shelf: Shelf, explicit: Callable[[str], bool]) -> None:
        self.path = path
        self.memory = Memory()
        self.tails = self.memory.tails
        self._name = PurePath(path).name
        self._shelf = shelf
        self._explicit = explicit  # whether the config itself names a file
        self._sight = Sight()
        self._current: Node | None = None
        self._judged: dict[Node, tuple[Place, Known | None]] = {}  # what needs nothing while it stays so, and why
        self._unmet: set[int] = set()  # inodes of what is still to be judged in this look
        self._packed: list[str] = []  # what rotation packed in a way that is not read
        self._unfinished = Unfinished()

    @property
    def blind(self) -> bool:
        """Whether something that is there was not read."""
        return self._sight.blind

    @property
    def troubles(self) -> Mapping[str, str]:
        """What cannot be read, and how to mend it."""
        return self._sight.troubles

    @property
    def unsettled(self) -> bool:
        """Whether it must be looked again where things lie."""
        return self._sight.blind or self._sight.waiting or any(tail.node is None for tail in self.tails)

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

    def look(self, current: Place | None, siblings: Sequence[Place], now: datetime) -> None:
        """Find out which file lies where, and begin with those that were not known."""
        self._sight.clear()
        self._current = current.node if current else None
        places = sorted(siblings, key=lambda place: age(PurePath(place.path).name, self._name))
        self._packed = [place.path for place in places if place.path.endswith(PACKED)]
        nodes = {place.node: place for place in [*places, *([current] if current else [])]}
        self._unfinished.keep(nodes)
        if any(not self._was_judged(nodes.get(node)) for node in self._judged):
            self._judged.clear()  # what others were copies of may be gone, and its inode another's
        for tail in list(self.tails):
            self._find(tail, nodes)
        if self._unknown(nodes):
            for tail in list(self.tails):
                self._verify(tail)
            hints = {known.node[1] for known in self.memory.done} | {tail.known().node[1] for tail in self.tails}
            # first what copies may have been made of, then what lies where it lay
            order = lambda place: (place.node != self._current, place.node[1] not in hints)  # noqa: E731
            unknown = sorted(self._unknown(nodes), key=order)
            self._unmet = {place.node[1] for place in unknown}
            for place in unknown:
                self._unmet.discard(place.node[1])
                self._meet(place, nodes, now)
        self.tails.sort(key=lambda tail: tail.node is not None and tail.node == self._current)
        self.memory.forget(nodes)

    def _find(self, tail: Tail, nodes: Mapping[Node, Place]) -> None:
        """Note where a file lies now."""
        place = nodes.get(tail.node) if tail.node else None
        if place is not None:
            tail.path, tail.seen = place.path, place.size
            if tail.content is None and not tail.identity:
                self.tails.remove(tail)  # nothing is known of it but its inode, which may be another's now
                self._judged.clear()
            elif tail.content is None and (tail.at <= tail.head + 1 or tail.shrunk(place)):
                self._orphan(tail)  # cut, or another one that begins the same: it is judged as any other
        elif tail.content is None and tail.node is not None:
            self._orphan(tail)

    def _orphan(self, tail: Tail) -> None:
        self._shelf.drop(tail)
        tail.node, tail.more, tail.looks = None, False, 0
        self.memory.changed()
        self._judged.clear()  # a copy of it may be all that there is now

    def _verify(self, tail: Tail) -> None:
        """See that a file is what it was, before others are judged by it."""
        if tail.node is None:
            return
        with self._sight.lent(tail) as content:
            try:
                if content is None:
                    return
                if tail.intact():
                    self.memory.name(tail)
                    return
            except OSError as error:
                self._sight.trouble(tail.path, error)
                return
        self._orphan(tail)

    def _unknown(self, nodes: Mapping[Node, Place]) -> list[Place]:
        followed = {tail.node for tail in self.tails}
        return [place for place in nodes.values() if place.node not in followed and not self._was_judged(place)]

    def _was_judged(self, place: Place | None) -> bool:
        before, _ = self._judged.get(place.node, (None, None)) if place else (None, None)
        return before is not None and place is not None and before[1:] == place[1:]

    def _meet(self, place: Place, nodes: Mapping[Node, Place], now: datetime) -> None:
        """Follow a file that was not followed, or note that there is no need."""
        content = self._sight.open(place.path, place.node)
        if content is None:
            return
        waiting, self._sight.waiting = self._sight.waiting, False
        try:
            if content.node != place.node:
                self._sight.waiting = True  # it was renamed in this very moment
            elif not self._placed(place, content, nodes, now) and not self._sight.waiting:
                known = next((known for known in self.memory.done if known.node == place.node), None)
                self._judged[place.node] = (place, known)
        except OSError as error:
            self._sight.trouble(place.path, error)
        self._sight.waiting |= waiting
        if all(tail.content is not content for tail in self.tails):
            content.close()

    def _placed(self, place: Place, content: Content, nodes: Mapping[Node, Place], now: datetime) -> bool:
        """Return whether the content is read: taken over, or begun with."""
        here = place.node == self._current
        ours = here or rotated_of(PurePath(place.path).name, self._name) or self._explicit(place.path)
        if content.packed and any(known.lies(place, content) for known in self.memory.done):
            return False
        if content.packed and not self._unfinished.ended(place, content, now):
            self._sight.waiting = True
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
        fits = [one for one in fits if one.known.node[1] not in self._unmet]  # the first record alone proves nothing
        if fits and fits[0].known.offset >= proven:
            return self._resume(fits[0], place, content)
        if not ours or (not here and not content.at(0, 1)):
            return False
        return self._fresh(place, content, proven)

    def _missing(self, *, ours: bool) -> list[Missed]:
        """Return those that a file may be: not those that are open, or are known to lie elsewhere."""
        orphans = [
            Missed(tail.remembered(), tail)
            for tail in self.tails
            if tail.node is None or (tail.content is None and tail.node[1] in self._sight.barred)
        ]
        taken = [known for _, known in self._judged.values()]
        done = [known for known in self.memory.done if ours and not any(known is one for one in taken)]
        return orphans + [Missed(known, None) for known in done]

    def _is_copy(self, content: Content, nodes: Mapping[Node, Place]) -> bool:
        """Say whether a file is the beginning of one that is there, and is read or was."""
        for tail in self.tails:
            with self._sight.lent(tail) as own:
                if own is not None and begins(content, own):
                    tail.copied(content)
                    self.memory.changed()
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
                    known.node = place.node
                    self.memory.changed()
                known.packed = place[1:] if content.packed else None
                return False
            tail = self.memory.revive(known, place.path)
        return self._take(tail, content, place)

    def _fresh(self, place: Place, content: Content, offset: int) -> bool:
        """Read a new file from its first byte, or behind what is proven to have been read."""
        if offset and not content.at(offset, 1) and place.node != self._current:
            self.memory.note(place, content, offset)  # an older copy
            return False
        tail = Tail(place.path, None)
        tail.begin(content, offset)
        return self._take(tail, content, place)

    def _take(self, tail: Tail, content: Content, place: Place) -> bool:
        tail.take(content, place.path)
        tail.real = real_of(place.path) or tail.real
        tail.seen = place.size
        if tail not in self.tails:
            self.memory.name(tail)
            self.tails.append(tail)
        self.memory.changed()
        self._shelf.use(tail)
        return True

    def _pass_over(self, place: Place) -> None:
        """Know a file that is not to be read, whatever it holds."""
        content = self._sight.open(place.path, place.node)
        if content is None:
            return
        try:
            self.memory.note(place, content, -1 if content.packed else content.size())
        except OSError as error:
            self._sight.trouble(place.path, error)
        content.close()

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
            self.memory.changed()
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
            self._sight.trouble(tail.path, error)
            tail.more = False
            return
        found.records += records
        if not tail.quiet or tail.node == self._current:
            tail.quiet_since = None
        else:
            self._linger(tail, found, now)

    def _ready(self, tail: Tail, now: datetime) -> bool:
        """Return whether the file is open and it is known what it is."""
        if self._sight.opened(tail) is None:
            self._judged.clear()  # a copy of it may be all that can be read
            return False
        self._shelf.use(tail)
        if tail.generation < 0:
            final = tail.node != self._current and rested(tail, now)
            self.memory.name(tail, final=final)
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
            found.losses.append(end_lost(self.path, tail))

    def _missed(self, tail: Tail, found: Found, now: datetime) -> None:
        """An orphan that nobody took over is lost, once it has been looked for in a list of files made since."""
        tail.looks += 1
        if tail.over or tail.looks < 2 or self._sight.waiting or self._sight.blind:
            return
        if self._current is None and not rested(tail, now):
            return  # moved away for a moment
        tail.over = True
        found.records += tail.rest()
        deleted = self._current is None and tail.before is None  # and it had been read out
        if tail.size > tail.at or (tail.identity and not deleted):
            found.losses.append(rest_lost(self.path, tail, self._packed))

    def _finish(self, tail: Tail) -> None:
        self.memory.finish(tail)
        self._shelf.drop(tail)
        self._judged.clear()

    def close(self) -> None:
        for tail in self.tails:
            self._shelf.drop(tail)
