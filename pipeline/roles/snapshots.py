"""The correlator's state in audit.state: a record for each key that changed, then a manifest that says how far it goes.

Every owner writes under a name of its own, and begins with the whole of its state. So an owner that was cut off, and
comes back with a snapshot still to be written, spoils nothing: whoever restores takes the one owner whose manifest goes
furthest, and lets go of all others.

Each key has two slots, written in turn: what is whole stays while what follows it is not yet. A log that is compacted
keeps the last record of a key alone, and that may be of a snapshot that nobody finished.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from pipeline.streams import STATE, Message, Stream
from pipeline.streams.whole import own_group, whole

PART_BYTES: Final = 400_000  # no record of the stream exceeds 512 KiB
_PREFIX: Final = "correlate/"
_MANIFEST: Final = "manifest"
_PART: Final = "\x00"  # stands in a key before the number of a part
_SECOND: Final = "\x01"  # ends the key of the second slot
_GONE: Final = b"null"


class Manifest(msgspec.Struct):
    """Closes a snapshot: what its owner wrote before it in audit.state is whole, what stands after it is not."""

    epoch: int  # grows with each snapshot, from owner to owner
    offset: int  # of audit.matches, to be read next
    markers: dict[int, datetime]


class Kept(msgspec.Struct):
    """One key's state; null: the key is gone, or its state stands in so many parts of its own."""

    state: msgspec.Raw
    parts: int = 0


_EMPTY: Final = msgspec.json.encode(Kept(msgspec.Raw(_GONE)))


class Snapshots:
    """What one owner of the matches writes to audit.state; another takes over by `restored`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._group = own_group("correlate")
        self._own = ""
        self._buried: list[str] = []  # keys to be emptied once the snapshot that lets them go is whole
        self._slots: dict[str, int] = {}  # place -> the slot that was written last
        self._over: list[str] = []  # places whose last record says that they are gone

    def restored(self) -> tuple[Manifest, dict[str, bytes]]:
        """Return where the owner that went furthest stood, with the state of each key; from now on own it."""
        records: dict[str, dict[str, bytes]] = {}
        pending: dict[str, dict[str, bytes]] = {}
        manifests: dict[str, Manifest] = {}
        keys: dict[str, None] = {}
        for message in whole(self._stream, STATE, self._group):
            if not message.key.startswith(_PREFIX):
                continue
            owner, place = _owned(message.key)
            keys[message.key] = None
            if not message.value:
                keys.pop(message.key)
            elif place == _MANIFEST:
                manifests[owner] = msgspec.json.decode(message.value, type=Manifest)
                _settle(records.setdefault(owner, {}), pending.pop(owner, {}))
                continue
            pending.setdefault(owner, {})[place] = message.value
        self._own, self._buried = uuid.uuid4().hex[:16], list(keys)
        best = max(manifests, key=lambda one: (manifests[one].offset, manifests[one].epoch), default="")
        return manifests.get(best, Manifest(0, 0, {})), _joined(records.get(best, {}))

    @property
    def due(self) -> bool:
        """Whether keys are still to be emptied."""
        return bool(self._buried)

    def messages(self, manifest: Manifest, changed: Mapping[str, bytes]) -> list[Message]:
        """Return the records of a snapshot: what changed (empty bytes: it is gone), then the manifest."""
        for place in self._over:
            if place not in changed:
                del self._slots[place]
        kept = [one for place, state in changed.items() for one in _parts(self._next(place), state)]
        written = {one.key for one in kept}
        emptied = [Message(key, b"") for key in self._buried if key not in written]
        # Other owners' records go after the manifest that takes their place, and so does what this one lets go.
        mine = f"{_PREFIX}{self._own}/"
        first = [one for one in emptied if one.key.startswith(mine)]
        last = [one for one in emptied if not one.key.startswith(mine)]
        self._over = [place for place, state in changed.items() if not state]
        self._buried = [self._key(place, slot) for place in self._over for slot in self._oldest_first(place)]
        return [*first, *kept, Message(self._key(_MANIFEST), msgspec.json.encode(manifest)), *last]

    def _next(self, place: str) -> str:
        slot = self._slots[place] = 1 - self._slots.get(place, 1)
        return self._key(place, slot)

    def _oldest_first(self, place: str) -> tuple[int, int]:
        """To empty the one that says that the place is gone first would bring back what was there before."""
        return 1 - self._slots[place], self._slots[place]

    def _key(self, place: str, slot: int = 0) -> str:
        return f"{_PREFIX}{self._own}/{place}{_SECOND * slot}"


def _settle(whole_: dict[str, bytes], fresh: Mapping[str, bytes]) -> None:
    """Take a whole snapshot's records; those of the later slot come last."""
    for key, value in fresh.items():
        whole_.pop(key, None)
        whole_[key] = value


def _owned(key: str) -> tuple[str, str]:
    """Return a key's owner and place; the first layout named no owner."""
    rest = key.removeprefix(_PREFIX)
    if rest == _MANIFEST or rest.startswith("["):
        return "", rest
    owner, _, place = rest.partition("/")
    return owner, place


def _parts(key: str, state: bytes) -> list[Message]:
    """Return the records of one key's state: a long one in parts, since no record exceeds the stream's limit."""
    if len(state) <= PART_BYTES:
        return [Message(key, msgspec.json.encode(Kept(msgspec.Raw(state or _GONE))))]
    parts = [state[at : at + PART_BYTES] for at in range(0, len(state), PART_BYTES)]
    numbered = [Message(f"{key}{_PART}{number}", part) for number, part in enumerate(parts)]
    return [*numbered, Message(key, msgspec.json.encode(Kept(msgspec.Raw(_GONE), len(parts))))]


def _joined(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return each key's state, put together where it stands in parts."""
    out: dict[str, bytes] = {}
    for key, value in records.items():
        if _PART in key or not value:
            continue
        kept = msgspec.json.decode(value, type=Kept)
        parts = [records.get(f"{key}{_PART}{number}", b"") for number in range(kept.parts)]
        out[key.removesuffix(_SECOND)] = b"".join(parts) if parts else bytes(kept.state)
    return {place: state for place, state in out.items() if state != _GONE}
