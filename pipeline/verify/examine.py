"""One stored document: whether it is what its writer sealed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Literal, TypeAlias

from collectors.chain import MAC, sealed_bytes
from pipeline.indexes.repeats import REPEAT, repeated
from pipeline.records import fields_of
from pipeline.seals import Seals
from pipeline.verify.spool import ALTERED, LETTER, SOUND, UNCHECKED
from pipeline.verify.spool import REPEAT as REPEATED
from rules.event import Fields

Worth: TypeAlias = int
Odd: TypeAlias = Literal["moved", "inserted", "unreadable", "ours"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A record of a chain, and what its seal is worth."""

    host: str
    writer: str
    epoch: str
    number: int
    worth: Worth
    mac: bytes
    id: str


@dataclass(frozen=True, slots=True)
class Strange:
    """A document that stands in no chain. `ours`: an alert or an incident, which are not sealed."""

    kind: Odd
    id: str
    host: str
    why: str


def examine(fields: Fields, place: str, seals: Seals, now: datetime) -> Placed | Strange:
    """Examine a document that is stored under the id `place`."""
    host, writer, mac = fields.get("host.id"), fields.get("tocsin.writer"), fields.get(MAC)
    epoch, number = fields.get("tocsin.chain.epoch"), fields.get("event.sequence")
    name = fields.get("event.id")
    if mac is None and REPEAT in fields:
        kept = letter(repeated(fields[REPEAT]), seals, now)
        return (
            Strange("inserted", place, str(host), "it keeps no record")
            if kept is None
            else replace(kept, worth=REPEATED)
        )
    if host is None and writer is None:
        return Strange("ours", place, "", "")
    if not isinstance(host, str) or not isinstance(writer, str):
        return Strange("inserted", place, str(host), "it names no host or no writer")
    if name != place:
        return Strange("moved", place, host, f"it is the record {name}")
    if not isinstance(mac, str) or not isinstance(epoch, str) or type(number) is not int or not 0 < number < 2**63:
        return _unsealed(place, host, writer, seals, now)
    doubt = seals.authentic(sealed_bytes(fields), seal_of(mac), (host, writer), fields.get("tocsin.chain.key"), now)
    worth = SOUND if doubt is None else ALTERED if doubt.kind == "forged" else UNCHECKED
    return Placed(host, writer, epoch, number, worth, seal_of(mac), place)


def _unsealed(place: str, host: str, writer: str, seals: Seals, now: datetime) -> Strange:
    doubt = seals.authentic(b"", bytes(16), (host, writer), 0, now)
    if doubt is not None and doubt.kind != "forged":
        return Strange("ours", place, host, "")
    return Strange("inserted", place, host, "it bears no seal, and its host is enrolled")


def letter(value: str | bytes, seals: Seals, now: datetime) -> Placed | None:
    """Return the record of a dead letter, if it is what its writer sealed."""
    fields = fields_of(value)
    if fields is None or "event.id" not in fields:
        return None
    try:
        found = examine(fields, str(fields["event.id"]), seals, now)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):  # it holds what no record does
        return None
    if isinstance(found, Strange) or found.worth == ALTERED:
        return None
    return Placed(found.host, found.writer, found.epoch, found.number, LETTER, found.mac, found.id)


def id_bytes(name: str) -> bytes:
    """Return an event's id as 16 bytes; another name as a hash of it."""
    try:
        found = bytes.fromhex(name)
    except ValueError:
        found = b""
    return found if len(found) == 16 else blake2b(name.encode("utf-8", "replace"), digest_size=16).digest()


def seal_of(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return bytes(16)
    return found if len(found) == 16 else bytes(16)
