"""A record that was read again under another number: its id is in the index, its seal is not.

A state that was restored from a backup makes a collector read lines again that were archived before. The index keeps
what it has of them, since the id is the same; so that the new number does not look deleted, the whole record is kept
in a document of its own, packed. Its seal is in there, so that nobody can make one up.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Final

import msgspec

from pipeline.indexes import Document
from rules.event import SCHEMA, Fields, Value

REPEAT: Final = "tocsin.repeat"
_SEAL: Final = ("tocsin.writer", "tocsin.chain.epoch", "event.sequence", "tocsin.chain.mac")
_NAMED: Final = ("@timestamp", "host.id", "event.created", *_SEAL[:-1])
_LONGEST: Final = 16 * 1024 * 1024
_fields: Final = msgspec.json.Decoder(dict[str, Value])


def sealed(document: Document) -> bool:
    """Whether it is worth asking what is stored under its id."""
    return b'"tocsin.chain.mac"' in document.value


def another(stored: bytes | Fields, document: Document) -> bool:
    """Whether what is stored under the document's id was sealed as another record than the document."""
    there = _fields.decode(stored) if isinstance(stored, bytes) else stored
    fields = _fields.decode(document.value)
    return any(fields.get(name) != there.get(name) for name in _SEAL)


def repeat(document: Document) -> Document:
    """Return what is stored beside it: of the same class and day, so that both go at one time."""
    fields = _fields.decode(document.value)
    id_ = blake2b(b"repeat\0" + document.value, digest_size=16).hexdigest()
    made: dict[str, Value] = {
        **{name: fields[name] for name in _NAMED if name in fields},
        "event.id": id_,
        "event.kind": "event",
        "event.module": "tocsin",
        "event.dataset": "tocsin.repeat",
        "event.action": "record-repeated",
        "message": f"the event {document.id} was read again",
        REPEAT: b64encode(zlib.compress(document.value)).decode(),
        "tocsin.schema": SCHEMA,
        "tocsin.record": "event",
        "tocsin.class": "tocsin",
    }
    return Document(id_, document.event_class, document.time, msgspec.json.encode(made))


def repeated(packed: object) -> bytes:
    """Return the record that such a document keeps; nothing if it keeps none."""
    try:
        return zlib.decompressobj().decompress(b64decode(str(packed), validate=True), _LONGEST)
    except (ValueError, zlib.error):
        return b""
