"""Assemble: what a source read and a format understood -> the event as it leaves the host. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from struct import Struct
from typing import Final

from collectors.environments import Environments
from collectors.formats import Parsed
from collectors.sources import Record
from rules.event import SCHEMA, Value, classify, rfc3339

PART_CHARACTERS: Final = 100_000  # of raw text in one record: below 512 KiB however it is escaped
_SIZES: Final = Struct(">QQQ").pack
_PAST, _AHEAD = timedelta(days=30), timedelta(minutes=1)  # law 10: what a record may claim of its time


@dataclass(frozen=True, slots=True)
class Host:
    """Who collects. `key` makes event ids unguessable outside the installation; it is made with `id`, at install."""

    id: str
    name: str
    key: bytes


def assemble(
    record: Record, parsed: Parsed, host: Host, environments: Environments, received: datetime
) -> dict[str, Value]:
    """Return the fields of one event, in the order they are read by people: time, what, who, where.

    The id is a keyed hash of host, origin and raw record (law 1). A stated time that cannot be believed is kept
    as a claim, and the time received stands in (law 10); a source's first read believes old times.
    """
    stated = record.time or parsed.time
    believed = stated is not None and _believable(stated, received, old=record.backlog)
    fields: dict[str, Value] = {
        "@timestamp": rfc3339(stated if stated is not None and believed else received),
        "event.id": identify(host, record),
        "event.created": rfc3339(received),
        "event.kind": "event",
        **record.known,
        **parsed.fields,
        "host.id": host.id,
        "host.name": host.name,
        "tocsin.schema": SCHEMA,
        "tocsin.record": "event",
    }
    if stated is not None and not believed:
        fields["tocsin.claimed_time"] = rfc3339(stated)
    if record.backlog:
        fields["tocsin.backlog"] = True
    fields["tocsin.class"] = classify(fields)
    fields["service.environment"], base = environments.of_event(fields)
    if base is not None:
        fields["tocsin.environment.base"] = base
    return fields


def identify(host: Host, record: Record) -> str:
    """Return the event's id: 128 bits that depend on where the record stands and what it says, never on when."""
    who, place, raw = host.id.encode(), record.place, record.raw
    sizes = _SIZES(len(who), len(place), len(raw))  # no two different records are the same bytes
    return blake2b(b"%b%b%b%b" % (sizes, who, place, raw), key=host.key, digest_size=16).hexdigest()


def parts(fields: dict[str, Value], raw: str) -> Iterator[dict[str, Value]]:
    """Yield the event with its raw text; a text that is too long goes in numbered parts, the first in the event.

    Long texts beside the raw one (a statement, a command line) are cut in the event; the parts have them whole.
    """
    if len(raw) <= PART_CHARACTERS:
        yield {**fields, "event.original": raw}
        return
    pieces = [raw[n : n + PART_CHARACTERS] for n in range(0, len(raw), PART_CHARACTERS)]
    whole = fields["event.id"]
    for number, piece in enumerate(pieces, 1):
        numbered: dict[str, Value] = {"tocsin.part.number": number, "tocsin.part.count": len(pieces)}
        if number == 1:
            yield {**_shortened(fields), "event.original": piece, **numbered}
            continue
        own = blake2b(f"{whole}:{number}".encode(), digest_size=16).hexdigest()
        kept = {name: value for name, value in fields.items() if name in _PART_FIELDS}
        yield {**kept, "event.id": own, "event.original": piece, **numbered, "tocsin.part.of": whole}


_PART_FIELDS = frozenset(
    (
        *("@timestamp", "event.created", "event.kind", "host.id", "host.name", "service.environment"),
        *("log.file.path", "log.offset", "tocsin.schema", "tocsin.record", "tocsin.class", "tocsin.source"),
        "tocsin.backlog",
    )
)


def _shortened(fields: dict[str, Value]) -> dict[str, Value]:
    limit = PART_CHARACTERS // 4
    return {
        name: value[:limit] + "…" if isinstance(value, str) and len(value) > limit else value
        for name, value in fields.items()
    }


def _believable(stated: datetime, received: datetime, *, old: bool) -> bool:
    return stated <= received + _AHEAD and (old or stated >= received - _PAST)
