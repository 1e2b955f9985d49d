"""Event: something that happened, in ECS words, as it travels through the stream.

A record of `audit.events` is one flat JSON object whose keys are dotted ECS names
(`{"@timestamp": "2026-11-22T02:14:00.000000Z", "user.name": "root", ...}`). Three kinds share the topic,
told apart by `tocsin.record`: an event, a heartbeat ("source S read up to T") and a tick (time passed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | list[Scalar]
Fields: TypeAlias = Mapping[str, Value]
EventClass: TypeAlias = Literal["auth", "db", "system", "metrics", "tocsin"]

SCHEMA: Final = 1
CLASSES: Final[tuple[EventClass, ...]] = ("auth", "db", "system", "metrics", "tocsin")


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `fields` holds every ECS name, flat, `@timestamp` and `event.id` among them."""

    id: str
    time: datetime  # aware, UTC
    fields: Fields


def classify(fields: Fields) -> EventClass:
    """Return the class that decides the event's index and its chain: a function of the event alone."""
    module = fields.get("event.module")
    if module == "tocsin":
        return "tocsin"
    if fields.get("event.kind") == "metric":
        return "metrics"
    categories = fields.get("event.category")
    named = categories if isinstance(categories, list) else [categories]
    if "database" in named or "db.system.name" in fields:
        return "db"
    if fields.get("event.dataset") == "system.auth" or not {"authentication", "iam", "session"}.isdisjoint(named):
        return "auth"
    return "system"


@lru_cache(maxsize=256)  # the records of one batch share the time that they were received at
def rfc3339(moment: datetime) -> str:
    """Return an aware moment as RFC 3339 in UTC with six digits of fraction, so that text sorts as time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def instant(text: str) -> datetime:
    """Return the UTC moment of an RFC 3339 text. Raises ValueError; a text without a zone is an error."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} states no zone")
    return moment.astimezone(UTC)


def nested(fields: Mapping[str, object]) -> dict[str, object]:
    """Return flat dotted names as nested objects, as ECS draws them.

    Where one name is both a value and a parent (`a` and `a.b`), the deeper one keeps its dotted name.
    """
    out: dict[str, object] = {}
    for name, value in fields.items():
        here = out
        *parents, last = name.split(".")
        for parent in parents:
            inner = here.setdefault(parent, {})
            if not isinstance(inner, dict):
                break
            here = inner
        else:
            if not isinstance(here.get(last), dict):
                here[last] = value
                continue
        out[name] = value
    return out
