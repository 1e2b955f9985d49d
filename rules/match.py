"""The records of `audit.matches`: what match workers tell the correlator (JSON, told apart by `record`)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from rules.event import SCHEMA, Event, Value, rfc3339
from rules.lists import Used

TEXT_LIMIT = 2_000  # characters of one value that a match carries: it is read by people, and the index has the whole


class Match(msgspec.Struct, frozen=True, tag_field="record", tag="match", omit_defaults=True):
    """A rule's predicate held for one event."""

    rule: str
    meaning: str  # hash of what the rule meant
    event: str  # the event's id
    time: datetime  # event time
    appended: datetime  # when the stream took the event
    received: datetime  # when the collector did
    fields: dict[str, Value]
    old: bool = False  # stood in the log before its source's first start
    lists: dict[str, Used] = {}  # that change by the hour, as the rule read them
    schema_version: int = SCHEMA


class Verdict(msgspec.Struct, frozen=True, tag_field="record", tag="verdict", omit_defaults=True):
    """A condition's verdict on a key changed (as far as this worker knows; a repeat changes nothing)."""

    rule: str
    meaning: str
    state: Literal["holds", "between", "clear", "there"]  # between: neither so bad as to hold, nor so good as to clear
    key: dict[str, Value]
    event: str
    time: datetime
    appended: datetime
    received: datetime
    fields: dict[str, Value]
    old: bool = False
    lists: dict[str, Used] = {}  # that change by the hour, as the rule read them
    schema_version: int = SCHEMA


class Marker(msgspec.Struct, frozen=True, tag_field="record", tag="marker", omit_defaults=True):
    """Partition `partition` of audit.events is judged up to `up_to`, the stream's own time."""

    partition: int
    up_to: datetime
    schema_version: int = SCHEMA


Record: TypeAlias = Match | Verdict | Marker

_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
encode = msgspec.json.Encoder().encode


def decode(value: bytes) -> Record:
    """Return the record; raises msgspec.DecodeError."""
    return _DECODER.decode(value)


def shown(event: Event) -> dict[str, Value]:
    """Return the event's fields with long texts cut: what a match carries to the people who are paged."""
    return {
        name: value[:TEXT_LIMIT] + "…" if isinstance(value, str) and len(value) > TEXT_LIMIT else value
        for name, value in event.fields.items()
    }


_BESIDE = (
    *(
        "@timestamp",
        "event.id",
        "service.environment",
        "db.namespace",
        "tocsin.db.target",
        "host.name",
        "host.id",
        "tocsin.environment.base",
    ),
    *("user.name", "source.ip", "db.query.text", "db.operation.name", "process.command_line", "message"),
    *("tocsin.db.kind", "tocsin.db.object", "tocsin.db.object_type"),
)


def beside(match: Match, also: tuple[str, ...] = ()) -> dict[str, Value]:
    """Return what is shown of an event that stands beside the one that made an alert: when, where, who and what."""
    found = {name: match.fields[name] for name in (*_BESIDE, *also) if match.fields.get(name) is not None}
    return {**found, "@timestamp": rfc3339(match.time), "event.id": match.event}
