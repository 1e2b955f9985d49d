"""Alert: a rule fired for a key. One transition of an alert is one record of `audit.alerts`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from rules.event import SCHEMA, Value

Level: TypeAlias = Literal["informational", "low", "medium", "high", "critical"]
Kind: TypeAlias = Literal["event", "condition"]
Urgency: TypeAlias = Literal["page", "notify", "record"]
Step: TypeAlias = Literal["fired", "updated", "settled", "resolved"]

URGENCY_OF_LEVEL: Mapping[Level, Urgency] = {
    "critical": "page",
    "high": "page",
    "medium": "notify",
    "low": "record",
    "informational": "record",
}


class Rule(BaseModel):
    """What an alert says of the rule that raised it."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    level: Level = "medium"
    kind: Kind = "event"
    urgency: Urgency = "notify"
    tell: tuple[str, ...] = ()  # fields whose new value makes a repeat news
    runbook: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


class Proof(BaseModel):
    """Why the alert fired (law 12): enough for `tocsin explain` to run it again."""

    model_config = ConfigDict(frozen=True)

    rule_hash: str
    engine: str
    lists: dict[str, str] = Field(default_factory=dict)  # list name -> hash of its content
    commands: dict[str, int] = Field(default_factory=dict)  # list name -> offset of the command that had set it, or -1
    events: tuple[str, ...] = ()  # contributing event ids, the first and last 500
    count: int = 0  # all contributing events
    digest: str = ""  # hash over all contributing ids
    window_start: datetime | None = None
    window_end: datetime | None = None
    values: dict[str, Value] = Field(default_factory=dict)  # measured values against their thresholds
    fields: tuple[str, ...] = ()  # the fields that the rule reads


class Alert(BaseModel):
    """One transition of an alert, the value of a record of `audit.alerts`."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA
    step: Step
    id: str  # alert_id(); as first known while fired, final once settled
    replaces: tuple[str, ...] = ()  # the provisional ids that a settled one takes over
    rule: Rule
    key: dict[str, Value]  # the key's fields with their values
    time: datetime  # event time of what caused this transition
    since: datetime  # event time of the first contributor
    received: datetime  # when the collector received what caused it
    old: bool = False  # the event stood in the log before its source's first start
    late: bool = False
    fields: dict[str, Value]  # the event that caused it, as the people paged will read it
    incident: dict[str, Value] = Field(default_factory=dict)  # of a rule that shares its incidents: name and key
    beside: tuple[
        dict[str, Value], ...
    ] = ()  # of a temporal correlation: the newest event of each rule, in their order
    proof: Proof


def alert_id(rule_id: str, key: Mapping[str, Value], first_event_id: str) -> str:
    """Return the alert's id: rule, key values and first contributor, with no rule hash, version or clock in it."""
    material = msgspec.json.encode([rule_id, sorted(key.items()), first_event_id])
    return hashlib.blake2b(material, digest_size=16).hexdigest()
