"""The open files of a source: no more than there is room for."""

from __future__ import annotations

from collections import OrderedDict

from collectors.sources.tail import Tail


class Shelf:
    """Closes the file that rested longest when another one needs its place. It is opened again when it is read."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._open: OrderedDict[Tail, None] = OrderedDict()

    def use(self, tail: Tail) -> None:
        self._open[tail] = None
        self._open.move_to_end(tail)
        if len(self._open) > self._room:
            self._open.popitem(last=False)[0].close()

    def drop(self, tail: Tail) -> None:
        self._open.pop(tail, None)
        tail.close()
