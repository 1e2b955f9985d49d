"""The records of the topics that no lower layer owns: ticks, heartbeats, dead letters, commands.

`audit.alerts` is rules.alert.Alert, `audit.incidents` notifiers.incident.Entry, `audit.matches` rules.match.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict

from rules.event import SCHEMA, Value, rfc3339

PUBLISHED: Final = "ruleset"  # the verb by which detection tells what it judges by
ENGINE: Final = "tocsin"  # who says so: detection has no key, so this is unsigned, and nothing acts on it


class DeadLetter(BaseModel):
    """What could not be taken, whole, with the reason: the value of `audit.deadletter`."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    stage: Literal["collect", "detect", "correlate", "index", "notify"]
    reason: str
    time: datetime
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    event_id: str | None = None
    value: str  # the record, as text (bytes that are no UTF-8 as backslash escapes)


class Command(BaseModel):
    """What a person did, with who and how that was proved: the value of `audit.commands`."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    verb: str  # VERBS and OTHERS of notifiers.orders; replay, enrol, revoke of the command line; PUBLISHED
    person: str
    proof: str  # how the person was authenticated, e.g. "os-user uid=0"
    time: datetime
    arguments: dict[str, Value]
    nonce: str = ""  # never twice: a record that is copied within the stream is no second command
    mac: str = ""  # HMAC-SHA256 over all the rest, with the key that command line, console and notifier share


def fields_of(value: bytes | str) -> dict[str, object] | None:
    """Return the fields of a record that anybody may have written; None for what is no JSON object, or bottomless."""
    try:
        return msgspec.json.decode(value.encode() if isinstance(value, str) else value, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None


def tick(now: datetime) -> bytes:
    """Return the record that says that time passed on a partition where nothing else did."""
    return msgspec.json.encode({"tocsin.schema": SCHEMA, "tocsin.record": "tick", "@timestamp": rfc3339(now)})


def heartbeat(host_id: str, source: str, up_to: datetime) -> dict[str, Value]:
    """Return the fields of "source S of host H has been read up to T"."""
    return {
        "tocsin.schema": SCHEMA,
        "tocsin.record": "heartbeat",
        "@timestamp": rfc3339(up_to),
        "host.id": host_id,
        "tocsin.source": source,
    }
