"""The chain: what leaves a host is numbered and sealed, so that what is missing, altered or moved shows (law 7). Pure.

A writer (a role on a host) keeps one chain for each class of event. Every record of it says where it stands:

    tocsin.writer         <host.id>/<role>/<priority>/<class>: the chain's name
    tocsin.chain.epoch    16 hex digits, made when the writer began to count from 1
    event.sequence        1, 2, 3 ... within the epoch
    tocsin.chain.key      how often the writer's key had been ratcheted: which key the seal is made with
    tocsin.chain.mac      the seal: keyed BLAKE2b (RFC 7693), 128 bits, over the record as JSON with sorted names,
                          without this field, which stands last in the bytes

A key is replaced by a hash of itself, and the old one erased: who takes a host over can seal what comes after, and
nothing of what came before (the forward integrity of Schneier and Kelsey, 1999). The centre holds the first key.

The *head* of a chain is a hash over all of its seals, in order. A head kept elsewhere pins every record behind it,
even against somebody who holds the keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from rules.event import Value

BLOCK: Final = 8  # seals that the head takes in at a time
MAC: Final = "tocsin.chain.mac"
_SEAL: Final = b"tocsin.seal"  # BLAKE2's personalization: no other hash of ours can be taken for a seal
_MARK: Final = b',"tocsin.chain.mac":"'
_TAIL: Final = len(_MARK) + 32 + len(b'"}')
_HEX: Final = re.compile(rb"[0-9a-f]{32}")
_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and how often it was ratcheted since the host was enrolled."""

    index: int
    secret: bytes  # 32 bytes

    def ratcheted(self) -> Key:
        """Return the key that follows; this one cannot be had back from it."""
        return Key(self.index + 1, blake2b(key=self.secret, digest_size=32, person=b"tocsin.ratchet").digest())

    def sealing(self) -> blake2b:
        """Return the hash that a record's bytes are fed to; whoever seals or checks many copies it."""
        return blake2b(key=self.secret, digest_size=16, person=_SEAL)

    def seal(self, body: bytes) -> bytes:
        """Return the seal of a record's bytes: 16 bytes."""
        return blake2b(body, key=self.secret, digest_size=16, person=_SEAL).digest()


@dataclass(slots=True)
class Link:
    """Where one chain stands: its newest record's number, and what its head is made of.

    The head takes in whole blocks of seals, since a hash for each record would cost as much as the seal.
    """

    epoch: str
    sequence: int = 0
    blocks: bytes = bytes(16)
    rest: bytes = b""  # the seals since the last whole block

    def add(self, mac: bytes) -> None:
        """Go on behind one more record."""
        self.sequence += 1
        self.rest += mac
        if len(self.rest) == 16 * BLOCK:
            self.blocks, self.rest = self.head, b""

    @property
    def head(self) -> bytes:
        """A hash over all seals of the chain, in order: 16 bytes."""
        if not self.rest:
            return self.blocks
        return blake2b(self.blocks + self.rest, digest_size=16, person=b"tocsin.head").digest()


class Chain:
    """One writer's chains. What was sealed counts once its bytes are durable: `saved` goes into the same commit."""

    def __init__(self, writer: str, key: Key, epoch: str, links: Mapping[str, Link] | None = None) -> None:
        self._writer = writer
        self.epoch = epoch
        self._links = dict(links or {})
        self._names: dict[str, str] = {}
        self.key = key
        self._sealer = key.sealing()

    @property
    def links(self) -> Mapping[str, Link]:
        """Where each chain stands, by name (`<priority>/<class>`)."""
        return self._links

    def seal(self, name: str, fields: dict[str, Value]) -> bytes:
        """Return the next record of the chain `name`, as it leaves the host; `fields` is the callee's to keep."""
        link = self._links.get(name) or self._links.setdefault(name, Link(self.epoch))
        fields["event.sequence"] = link.sequence + 1
        fields["tocsin.chain.epoch"] = link.epoch
        fields["tocsin.chain.key"] = self.key.index
        fields["tocsin.writer"] = self._names.get(name) or self._names.setdefault(name, f"{self._writer}/{name}")
        body = _encoder.encode(fields)
        sealer = self._sealer.copy()
        sealer.update(body)
        mac = sealer.digest()
        link.add(mac)
        return body[:-1] + _MARK + mac.hex().encode() + b'"}'

    def ratchet(self) -> Key:
        """Go on with the next key and return it; whoever stores keys puts it in the place of the old one."""
        self.key = self.key.ratcheted()
        self._sealer = self.key.sealing()
        return self.key


def opened(value: bytes) -> tuple[bytes, bytes] | None:
    """Return a delivered record's sealed bytes and its seal, or None for one that bears none."""
    cut = len(value) - _TAIL
    if cut < 1 or not value.startswith(_MARK, cut) or not value.endswith(b'"}'):
        return None
    text = value[cut + len(_MARK) : -2]
    return (value[:cut] + b"}", bytes.fromhex(text.decode())) if _HEX.fullmatch(text) else None


def fits(sealing: blake2b, value: bytes) -> bool:
    """Whether a delivered record bears the seal that `Key.sealing` makes of it: `opened` and compared, at once."""
    made = sealing.copy()
    made.update(value[:-_TAIL] + b"}")
    return value[-_TAIL:] == b'%b%b"}' % (_MARK, made.hexdigest().encode())


def sealed_bytes(fields: Mapping[str, Value]) -> bytes:
    """Return the bytes that the seal was made over, from a record's fields as an archive gives them back."""
    return _encoder.encode({name: value for name, value in fields.items() if name != MAC})


class Ring:
    """The keys of one writer from the first on, each found from the nearest one known before it."""

    STEP: Final = 1024  # one key in so many is remembered

    def __init__(self, first: Key, reached: Key | None = None) -> None:
        """`reached`, whose number is a multiple of STEP, saves the way to it."""
        self._known = {0: first}
        self._last = first
        if reached is not None:
            self._known[reached.index] = reached

    def key(self, index: int, furthest: int) -> Key | None:
        """Return the key that was ratcheted `index` times; None beyond `furthest`, which no honest host can have
        reached: what a stranger claims must not cost more than that."""
        if not 0 <= index <= furthest:
            return None
        key = self._nearest(index)
        if key.index < self._last.index <= index:
            key = self._last
        while key.index < index:
            key = key.ratcheted()
            if key.index % self.STEP == 0:
                self._known[key.index] = key
        self._last = key
        return key

    def _nearest(self, index: int) -> Key:
        step = index - index % self.STEP
        while step not in self._known:
            step -= self.STEP
        return self._known[step]
