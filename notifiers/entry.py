"""Entry: one record of `audit.incidents`, the notifier's log, from which all that it knows can be rebuilt."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from notifiers.silence import Silence
from rules.alert import Alert, Level
from rules.event import SCHEMA

State: TypeAlias = Literal["triggered", "acknowledged", "snoozed", "resolved"]
What: TypeAlias = Literal[
    "fired",  # the first alert of an occurrence
    "repeated",  # the same again: silent
    "news",  # a value in a `tell` field that the incident has not seen
    "graver",  # a level above all that was told before
    "woke",  # a live alert in an incident of which nobody heard, or only as old news
    "unmuted",  # what kept it quiet has ended, and it still is so
    "reminded",  # nobody has acknowledged it for the route's repeat_interval
    "settled",  # the alert's final ids are known: silent
    "cleared",  # the condition no longer holds
    "expired",  # an event, and nothing more of it for the time to live
    "acknowledged",  # by a person
    "closed",  # by a person
    "assigned",  # by a person
    "unassigned",  # by a person: nobody has it now
    "noted",  # by a person
    "regraded",  # by a person: its severity is another
    "snoozed",  # by a person, until a moment
    "awake",  # that moment has come, and nobody has closed it
]
Kind: TypeAlias = Literal[
    "page",
    "news",
    "graver",
    "reopened",
    "reminder",
    "awake",
    "acknowledged",
    "snoozed",
    "regraded",
    "unassigned",
    "resolved",
    "silenced",
    "digest",
    "catchup",
    "group",
    "storm",
]
Gathered: TypeAlias = Literal["digest", "catchup", "group", "storm"]  # told with others, in one message


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cause(_Model):
    """The record that made a transition happen; None in an Entry means that time did."""

    topic: str
    offset: int


class Line(_Model):
    """One incident in a message that tells of many."""

    incident: str
    time: datetime
    level: str
    text: str


class Digest(_Model):
    """Many alerts in one message: how many by rule title, and the most telling lines."""

    counts: dict[str, int]
    lines: tuple[Line, ...]
    first: datetime
    last: datetime


class Fate(_Model):
    """What became of an alert for one receiver, and by which name (law 12)."""

    how: Literal["sent", "held", "muted"]
    why: str = ""
    gathering: Gathered | None = None  # held: what it is told with
    until: datetime | None = None  # held: the latest moment at which that is told

    @property
    def heard(self) -> bool:
        """Whether the receiver hears of it as news: a digest of old news is not enough to keep the next one quiet."""
        return self.how == "sent" or self.gathering not in (None, "digest")


class Send(_Model):
    """A message that a receiver must get: *send intended*. `attempt` counts from 1 over all its channels."""

    id: str
    receiver: str
    kind: Kind
    incident: str | None = None
    channel: int = 0  # position in the receiver's ordered channels
    attempt: int = 1
    repeat: bool = False  # an earlier attempt may have arrived
    digest: Digest | None = None
    gathered: tuple[str, ...] = ()  # the names of what was gathered and ends with this send
    merged: tuple[str, ...] = ()  # sends that waited for a service that was away, and are told by this one instead
    alert: Alert | None = None  # what this message is to tell of, whatever came to the incident since


class Answer(_Model):
    """How one attempt ended: *send answered*. `done` ends the send; without it another attempt follows."""

    send: str
    receiver: str
    channel: int
    attempt: int
    done: bool
    incident: str | None = None
    receipt: str | None = None
    failure: str | None = None
    rejected: bool = False  # a retry on this channel cannot help
    uncertain: bool = False  # the message may have arrived although the attempt failed
    after: float | None = None  # the service asked for this many seconds of rest


class Transition(_Model):
    """One step in the life of an incident."""

    incident: str
    key: str
    occurrence: int
    what: What
    state: State
    alert_id: str
    mark: str  # which transition of the alert this was, so that the same one again changes nothing
    event_time: datetime
    replaces: tuple[str, ...] = ()
    told: dict[str, tuple[str, ...]] = {}  # new values of the rule's `tell` fields
    alert: Alert | None = None  # whole where it is shown to people; None for a silent repeat
    fates: dict[str, Fate] = {}  # receiver -> what became of it
    remind: datetime | None = None  # when nobody having acknowledged it is news
    person: str | None = None  # who did it
    assignee: str | None = None  # who has it now
    until: datetime | None = None  # snoozed: when it wakes
    note: str | None = None


class Carried(_Model):
    """An incident as it stands, written anew now and then, so that it outlives the records of how it came to be."""

    incident: str
    key: str
    occurrence: int
    state: State
    alert: Alert
    opened: datetime
    seen: datetime
    last: datetime
    count: int
    told: dict[str, tuple[str, ...]]
    level: Level
    heard: tuple[str, ...]
    muted: dict[str, str]
    remind: datetime | None = None
    person: str | None = None
    until: datetime | None = None
    graded: bool = False
    notes: tuple[str, ...] = ()
    receipts: tuple[tuple[str, int, str], ...] = ()  # receiver, channel, receipt


class Entry(_Model):
    """One record of `audit.incidents`: a transition with the sends that it intends, or an attempt, or an answer."""

    schema_version: int = SCHEMA
    time: datetime
    cause: Cause | None = None
    transition: Transition | None = None
    intended: tuple[Send, ...] = ()
    answered: Answer | None = None
    silence: Silence | None = None  # begun, changed or ended by a person
    carried: Carried | None = None
    command: str | None = None  # the nonce of the person's command that caused it
    refused: str | None = None  # why a person's command was not carried out
