"""What the witness remembers of a host: where its chains stand, and how many records each source had. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

WINDOW: Final = 256  # numbers of a chain whose seals are remembered
_MARK: Final = 4  # letters of a seal
_UNSEEN: Final = bytes(_MARK)
_CLOSED: Final = 2  # epochs before the last that are remembered


@dataclass(slots=True)
class Chain:
    """Where one chain stands, and the newest seals of it."""

    epoch: str
    last: int  # the newest number
    key: int  # the newest record's key, and the first number that was sealed with it
    since: int
    floor: int  # nothing is known of numbers up to this
    tail: int = 0  # how far the epoch went, where its end was stated
    closed: tuple[Chain, ...] = ()  # epochs before this one
    marks: bytearray = field(default_factory=lambda: bytearray(WINDOW * _MARK))

    def remember(self, number: int, mark: bytes) -> None:
        at = number % WINDOW * _MARK
        self.marks[at : at + _MARK] = mark

    def remembered(self, number: int) -> bytes | None:
        """Return the mark of a number, empty if it was passed over, None if it is too long ago."""
        if number <= max(self.floor, self.last - WINDOW):
            return None
        at = number % WINDOW * _MARK
        mark = bytes(self.marks[at : at + _MARK])
        return b"" if mark == _UNSEEN else mark

    def go_on(self, number: int, key: int, mark: bytes) -> None:
        """Go on to a later number; what lies between was passed over."""
        if number - self.last >= WINDOW:
            self.marks = bytearray(WINDOW * _MARK)
        else:
            for passed in range(self.last + 1, number):
                self.remember(passed, _UNSEEN)
        if key != self.key:
            self.key, self.since = key, number
        self.last = number
        self.remember(number, mark)

    def followed_by(self, epoch: str, key: int) -> Chain:
        """Return the chain of the next epoch, before its first record."""
        return Chain(epoch, 0, key, 1, 0, closed=(self, *self.closed)[:_CLOSED])


@dataclass(slots=True)
class Source:
    """How many records of one source there were: in this epoch, and in those before."""

    epoch: str
    base: int | None  # records of this epoch that came before we looked; None until a heartbeat told
    counted: int = 0  # records of this epoch that arrived since
    written: int = 0  # in this epoch, by the newest heartbeat
    missing: int = 0  # of these, by then
    up_to: str = ""
    before: tuple[int, int] = (0, 0)  # written and lost in the epochs before


@dataclass(slots=True)
class Host:
    """One host. `whole` is an epoch that was seen to begin, so that its chains must begin at 1."""

    whole: str = ""
    chains: dict[str, Chain] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    changed: bool = False


class _Place(msgspec.Struct, array_like=True):
    epoch: str
    last: int
    key: int
    since: int
    tail: int = 0
    closed: list[tuple[str, int, int]] = []


class _Kept(msgspec.Struct):
    whole: str
    chains: dict[str, _Place]
    sources: dict[str, Source]


def kept(host: Host) -> bytes:
    """Return a host's state as it is stored: without the seals."""
    chains = {
        name: _Place(
            one.epoch, one.last, one.key, one.since, one.tail, [(old.epoch, old.last, old.key) for old in one.closed]
        )
        for name, one in host.chains.items()
    }
    return msgspec.json.encode(_Kept(host.whole, chains, host.sources))


def restored(state: bytes) -> Host:
    """Return a stored host. Raises msgspec.MsgspecError."""
    found = msgspec.json.decode(state, type=_Kept)
    chains = {}
    for name, one in found.chains.items():
        closed = tuple(Chain(epoch, last, key, last + 1, last) for epoch, last, key in one.closed)
        chains[name] = Chain(one.epoch, one.last, one.key, one.since, one.last, one.tail, closed)
    return Host(found.whole, chains, found.sources)


def sources(state: bytes) -> dict[str, Source]:
    """Return the sources of a stored host. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(state, type=_Kept).sources
