"""The witness: in the order of each chain's numbers, what is missing, and who sends that should not. Pure.

Within one chain records arrive in order, and so do a source's records and its heartbeats, which say how many there
were. So a number that is left out was lost; a number that comes again with the same seal was sent again; and a number
with another seal, or an epoch that goes on after the next one began, means that two machines speak under one name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from pipeline.watched import Chain, Host, Source, kept, restored

# What of a record is looked at, in the order in which `saw` takes it.
WITNESSED: Final = (
    "host.id",
    "tocsin.writer",
    "tocsin.chain.key",
    "tocsin.chain.epoch",
    "event.sequence",
    "tocsin.source",
    "tocsin.source.records",
    "tocsin.class",
    "event.action",
    "tocsin.record",
    "@timestamp",
)
HOSTS_KEPT: Final = 50_000  # that nobody enrolled; as many more have room that somebody did
_CHAINS_KEPT: Final = 64  # of one host
_SOURCES_KEPT: Final = 2_000
_HIGHEST: Final = 2**53  # what JSON carries everywhere
_SEAL: Final = slice(-34, -30)  # the first letters of a record's seal, as it stands in the bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a chain that were passed over, both ends included."""

    host: str
    writer: str
    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Lost:
    """So many more records of a source were written than arrived."""

    host: str
    source: str
    epoch: str
    records: int


@dataclass(frozen=True, slots=True)
class Late:
    """A number that was passed over came after later ones."""

    host: str
    writer: str
    epoch: str
    number: int


@dataclass(frozen=True, slots=True)
class Clone:
    """Two machines, or two states of one, speak under one name."""

    host: str
    writer: str
    epoch: str
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Record:
    """One record's place in its chain."""

    host: str
    writer: str
    epoch: str
    key: int
    number: int
    mark: bytes

    def clone(self, reason: str) -> _Answer:
        return False, (Clone(self.host, self.writer, self.epoch, self.number, reason),)

    def gap(self, epoch: str, first: int, last: int) -> tuple[Gap, ...]:
        return (Gap(self.host, self.writer, epoch, first, last),) if first <= last else ()


Finding: TypeAlias = Gap | Lost | Late | Clone
_NOTHING: Final[Sequence[Finding]] = ()
_Said: TypeAlias = tuple[object, ...]
_Answer: TypeAlias = tuple[bool, Sequence[Finding]]  # whether the record is new, and what is found


class Witness:
    """Watches the hosts of one partition. Feed it in order what was found to be sound; repeats change nothing."""

    def __init__(self, states: Mapping[str, bytes] | None = None, room: int = HOSTS_KEPT) -> None:
        """`states` is what `changed` returned before, each host's last."""
        self._room = room
        self.full = False  # a host that was not known before was turned away
        self._hosts: dict[str, Host] = {}
        for host, state in (states or {}).items():
            self._hosts[host] = restored(state)

    def saw(self, said: _Said, value: bytes, *, enrolled: bool = False) -> Sequence[Finding]:
        """Return what the record shows; `said` are its values of WITNESSED. Strangers take no room of the enrolled."""
        host, writer, key, epoch, number, source, counted, class_, action, record, time = said
        if type(number) is not int or type(key) is not int or type(epoch) is not str:
            return _NOTHING  # of no chain
        if type(host) is not str or type(writer) is not str or not (0 < number < _HIGHEST and 0 <= key < _HIGHEST):
            return _NOTHING
        state = self._hosts.get(host) or self._host(host, enrolled)
        if state is None:
            return _NOTHING
        chain = state.chains.get(writer)
        if chain is not None and chain.epoch == epoch and chain.last + 1 == number and chain.key == key:
            chain.last = number
            chain.remember(number, value[_SEAL])
            found = _NOTHING
        else:
            new, found = _placed(state, _Record(host, writer, epoch, key, number, value[_SEAL]))
            if not new:
                return found
        state.changed = True
        if type(source) is str:
            if record == "heartbeat":
                return [*found, *_measured(state, host, source, epoch, counted, time)]
            known = state.sources.get(source)
            if known is not None and known.epoch == epoch:
                known.counted += 1
            else:
                _counted(state, source, epoch)
        elif action == "chain-epoch" and class_ == "tocsin":
            return [*found, *_began(state, _Record(host, writer, epoch, key, number, b""), value)]
        return found

    def changed(self) -> dict[str, bytes]:
        """Return the state of each host that changed since this was asked last."""
        out: dict[str, bytes] = {}
        for name, state in self._hosts.items():
            if state.changed:
                state.changed = False
                out[name] = kept(state)
        return out

    def _host(self, name: str, enrolled: bool) -> Host | None:
        if len(self._hosts) >= self._room * (1 + enrolled):
            self.full = True
            return None
        state = self._hosts[name] = Host()
        return state


def _placed(state: Host, one: _Record) -> _Answer:
    """Place a record that is not simply the next one of its chain."""
    chain = state.chains.get(one.writer)
    if chain is None:
        return _first(state, one)
    if chain.epoch == one.epoch:
        return _later(chain, one) if one.number > chain.last else _again(chain, one)
    for closed in chain.closed:
        if closed.epoch == one.epoch:
            if one.number > closed.last:
                return one.clone("an epoch goes on after the next one began")
            return _again(closed, one)
    return _next_epoch(state, chain, one)


def _first(state: Host, one: _Record) -> _Answer:
    """What comes before the first record is known to be missing only where the epoch was seen to begin."""
    if len(state.chains) >= _CHAINS_KEPT:
        return False, _NOTHING
    start = 0 if state.whole == one.epoch else one.number - 1
    chain = state.chains[one.writer] = Chain(one.epoch, start, one.key, one.number, start)
    chain.go_on(one.number, one.key, one.mark)
    return True, one.gap(one.epoch, start + 1, one.number - 1)


def _later(chain: Chain, one: _Record) -> _Answer:
    if one.key < chain.key:
        return one.clone("a later number is sealed with an earlier key")
    missing = one.gap(one.epoch, chain.last + 1, one.number - 1)
    chain.go_on(one.number, one.key, one.mark)
    return True, missing


def _again(chain: Chain, one: _Record) -> _Answer:
    """A number that should have come before: sent again, late, or another's."""
    mark = chain.remembered(one.number)
    if mark is None:
        newer = one.key > chain.key or (one.key == chain.key and one.number < chain.since)
        return one.clone("an earlier number is sealed with a later key") if newer else (False, _NOTHING)
    if not mark:
        chain.remember(one.number, one.mark)
        return True, (Late(one.host, one.writer, one.epoch, one.number),)
    return (False, _NOTHING) if mark == one.mark else one.clone("one number has two seals")


def _next_epoch(state: Host, chain: Chain, one: _Record) -> _Answer:
    cut = one.gap(chain.epoch, chain.last + 1, chain.tail)
    following = state.chains[one.writer] = chain.followed_by(one.epoch, one.key)
    following.go_on(one.number, one.key, one.mark)
    return True, (*cut, *one.gap(one.epoch, 1, one.number - 1))


def _began(state: Host, one: _Record, value: bytes) -> Sequence[Finding]:
    """An epoch begins; how far the chains of the one before went is stated, where that is known."""
    state.whole = one.epoch
    stem = one.writer.rsplit("/", 2)[0]
    fields = msgspec.json.decode(value)
    previous = fields.get("tocsin.chain.previous")
    for text in previous if isinstance(previous, list) else ():
        name, before, number, *_ = [*str(text).split(" "), "", ""]
        chain = state.chains.get(f"{stem}/{name}")
        if chain is not None and chain.epoch == before and number.isdecimal():
            chain.tail = int(number[:15])
    known = (chain.epoch for name, chain in state.chains.items() if name.startswith(f"{stem}/"))
    if fields.get("tocsin.chain.reason") == "first start" and any(epoch != one.epoch for epoch in known):
        return one.clone("it says that it starts for the first time, and does not")[1]
    return _NOTHING


def _counted(state: Host, source: str, epoch: str) -> None:
    known = _source(state, source, epoch)
    if known is not None:
        known.counted += 1


def _measured(state: Host, host: str, source: str, epoch: str, counted: object, time: object) -> Sequence[Finding]:
    """Compare what a heartbeat says was written with what arrived."""
    known = _source(state, source, epoch)
    if known is None or type(counted) is not int or not 0 <= counted < _HIGHEST:
        return _NOTHING
    if known.base is None:
        known.base = max(0, counted - known.counted)
    missing = max(0, counted - known.base - known.counted)
    more, known.missing = missing - known.missing, missing
    known.written, known.up_to = counted, time if isinstance(time, str) else known.up_to
    return (Lost(host, source, epoch, more),) if more > 0 else _NOTHING


def _source(state: Host, name: str, epoch: str) -> Source | None:
    """Return the source, in this epoch; None for one too many."""
    known = state.sources.get(name)
    if known is None:
        if len(state.sources) >= _SOURCES_KEPT:
            return None
        known = state.sources[name] = Source(epoch, 0 if state.whole == epoch else None)
    elif known.epoch != epoch:
        written, lost = known.before
        before = (written + max(known.written, (known.base or 0) + known.counted), lost + known.missing)
        known = state.sources[name] = Source(epoch, 0, up_to=known.up_to, before=before)
    return known
