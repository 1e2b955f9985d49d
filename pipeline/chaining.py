"""The chains of one writer, as they survive: what is durable with the records, and the key that is not.

Where a chain stands is stored in the journal, in the same commit as its records. The key is kept apart, in one
small file that is overwritten in place, so that a key that was ratcheted away is gone from it. The file also counts
commits: a journal that has fewer went back (restored from a backup, or cut). It names the first key that this one came
from: another one was given since. And another machine, folder or host.id is not where the numbers were used. Each
begins a new epoch, with an event that says so, and never goes on with numbers that were used already.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from struct import Struct

import msgspec

from collectors.assemble import Host
from collectors.chain import Chain, Key, Link
from collectors.own import own_event
from rules.event import Scalar, Value, rfc3339

RATCHET_EVERY = timedelta(minutes=1)
ANCHOR_EVERY = timedelta(minutes=5)
POSITION = "chain"  # where the journal keeps them
_KEY_FILE = Struct(">QQ8s32s")  # number of the key, commits, root, key


class KeyFault(Exception):
    """The key file cannot be used; the message says why."""


class KeyFile:
    """One key, how many commits it has seen, and what the first one was: 72 bytes, written in place and whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = b""  # names the first key, once the file was read or written; tells nothing of it

    def read(self) -> tuple[Key, int] | None:
        """Return the key and the commits, None if there is no file. Raises KeyFault."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFault(f"{self.path}: {error.strerror}") from error
        body, check = data[:-16], data[-16:]
        if len(body) != _KEY_FILE.size or _check(body) != check:
            raise KeyFault(f"{self.path}: damaged")
        index, commits, self.root, secret = _KEY_FILE.unpack(body)
        return Key(index, secret), commits

    def write(self, key: Key, commits: int, *, sync: bool) -> None:
        """Put a key in the place of the one before. Without `sync` a power cut may bring the older one back, which
        does no harm: it is ratcheted again."""
        if key.index == 0:
            self.root = root_of(key.secret)
        body = _KEY_FILE.pack(key.index, commits, self.root, key.secret)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, body + _check(body), 0)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def root_of(secret: bytes) -> bytes:
    """Return what names a first key without telling it."""
    return blake2b(secret, digest_size=8, person=b"tocsin.root").digest()


class _Place(msgspec.Struct, array_like=True):
    epoch: str
    sequence: int
    blocks: str
    rest: str


class _Saved(msgspec.Struct):
    """What is stored with the records."""

    epoch: str
    host: str
    home: str
    root: str
    commits: int
    key: int
    links: dict[str, _Place]
    counts: dict[str, int]  # source -> records sealed in this epoch


class Sealing:
    """Seals one role's records: `open`, then `seal`, `positions` into the same commit, `committed` after it."""

    def __init__(
        self, host: Host, role: str, keys: KeyFile, home: str, publish: Callable[[bytes], None] | None = None
    ) -> None:
        """`home` tells this machine and this state folder from any other; the key file is there. `publish` is given
        each anchor once it is durable, to be kept out of reach of whoever owns the archive."""
        self._host = host
        self._writer = f"{host.id}/{role}"
        self._keys = keys
        self._home = home
        self._publish = publish
        self._unpublished: bytes | None = None
        self._commits = 0
        self._counts: dict[str, int] = {}
        self._ratcheted = self._anchored = datetime.min.replace(tzinfo=UTC)
        self._chain = Chain(self._writer, Key(0, bytes(32)), "")

    def open(self, positions: Mapping[str, str], now: datetime) -> list[dict[str, Value]]:
        """Go on where the journal stands, or begin an epoch; return the events that tell of it. Raises KeyFault."""
        text = positions.get(POSITION)
        saved = msgspec.json.decode(text, type=_Saved) if text else None
        found = self._keys.read()
        if found is None:
            raise KeyFault(f"{self._keys.path}: missing")
        self._ratcheted = self._anchored = now
        reason = self._why_anew(saved, found[1])
        if saved is not None and not reason:
            self._go_on(saved, found[0])
            return []
        key, self._commits = found
        self._counts = {}
        self._chain = Chain(self._writer, key, secrets.token_hex(8))
        return [self._began(reason, saved, now)]

    def seal(self, priority: str, fields: dict[str, Value]) -> bytes:
        """Return the next record of its chain; a record of a source is counted as the source's. What has no class is
        a heartbeat."""
        class_, source = fields.get("tocsin.class"), fields.get("tocsin.source")
        if class_ is None:
            fields["tocsin.source.records"] = self._counts.get(str(source), 0)
            return self._chain.seal(f"{priority}/heartbeat", fields)
        if isinstance(source, str):
            self._counts[source] = self._counts.get(source, 0) + 1
        return self._chain.seal(f"{priority}/{class_}", fields)

    def positions(self) -> dict[str, str]:
        """Return what goes into the commit of the records that were sealed."""
        links = {
            name: _Place(link.epoch, link.sequence, link.blocks.hex(), link.rest.hex())
            for name, link in self._chain.links.items()
        }
        root, index = self._keys.root.hex(), self._chain.key.index
        saved = _Saved(
            self._chain.epoch, self._host.id, self._home, root, self._commits + 1, index, links, self._counts
        )
        return {POSITION: msgspec.json.encode(saved).decode()}

    def committed(self, now: datetime) -> None:
        """Go on behind a commit. A key that has served for a minute is replaced, and gone from the disk."""
        self._commits += 1
        if abs(now - self._ratcheted) >= RATCHET_EVERY:
            self._ratcheted = now
            self._keys.write(self._chain.ratchet(), self._commits, sync=True)
        else:
            self._keys.write(self._chain.key, self._commits, sync=False)
        if self._unpublished is not None and self._publish is not None:
            self._publish(self._unpublished)
            self._unpublished = None

    def anchor(self, now: datetime) -> dict[str, Value] | None:
        """Return, now and then, the event that states every chain's head; the first of a UTC day is marked, so that a
        rule can have it told to people."""
        if abs(now - self._anchored) < ANCHOR_EVERY:
            return None
        daily, self._anchored = now.date() != self._anchored.date(), now
        heads = _heads(self._chain.links)
        fields: dict[str, Value] = {"tocsin.chain.heads": heads, "tocsin.chain.daily": daily}
        self._unpublished = msgspec.json.encode({"time": rfc3339(now), "writer": self._writer, "heads": heads})
        message = f"{len(heads)} chains of {self._writer} stand as stated"
        return own_event("chain-anchor", message, self._host, now, origin=rfc3339(now).encode(), fields=fields)

    def _why_anew(self, saved: _Saved | None, commits: int) -> str:
        """Return why the chain cannot go on where it stood; empty if it can."""
        if saved is None:
            return "state was lost" if commits else "first start"
        if saved.host != self._host.id:
            return "host.id was changed"
        if saved.root != self._keys.root.hex():
            return "key was replaced"
        if commits > saved.commits:
            return "journal went back"
        return "" if saved.home == self._home else "state was copied"

    def _go_on(self, saved: _Saved, key: Key) -> None:
        while key.index < saved.key:  # the power went before the newer key was on the disk
            key = key.ratcheted()
        self._commits, self._counts = saved.commits, dict(saved.counts)
        self._chain = Chain(self._writer, key, saved.epoch, _links(saved))

    def _began(self, reason: str, saved: _Saved | None, now: datetime) -> dict[str, Value]:
        epoch = self._chain.epoch
        fields: dict[str, Value] = {
            "tocsin.chain.reason": reason,
            "tocsin.chain.previous": _heads(_links(saved)) if saved else [],
        }
        message = f"{self._writer} counts from 1 again: {reason}"
        return own_event("chain-epoch", message, self._host, now, origin=epoch.encode(), fields=fields)


def _links(saved: _Saved) -> dict[str, Link]:
    return {
        name: Link(place.epoch, place.sequence, bytes.fromhex(place.blocks), bytes.fromhex(place.rest))
        for name, place in saved.links.items()
    }


def _heads(links: Mapping[str, Link]) -> list[Scalar]:
    """Return one text a chain: name, epoch, number of the newest record, head."""
    return [f"{name} {link.epoch} {link.sequence} {link.head.hex()}" for name, link in sorted(links.items())]


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
