"""Message: what is sent to one receiver, rendered for every kind of channel. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from notifiers.escape import inert, line

BLOCK = 2900  # Slack takes 3000 characters in one text object


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as data, for receivers that are programs: Alertmanager's words."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts: datetime
    ends: datetime | None = None  # None: it fires


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver."""

    incident: str  # the incident's id: channels thread by it
    subject: str  # one line, plain text: what, where, who, production or not
    text: str
    html: str
    blocks: tuple[dict[str, object], ...]  # Slack Block Kit
    time: datetime  # when it was rendered
    change: str = ""  # one line: what is new since the receiver's last message on this incident; empty at first
    loud: bool = True  # worth telling everybody in the channel, not only those who follow the thread
    alerts: tuple[Told, ...] = ()
    left_out: int = 0  # alerts that the message counts and `alerts` does not hold
    actions: tuple[str, ...] = ()  # what a person may do about it now: ack, resolve, silence, explain


def plain(name: str, title: str, now: datetime) -> Message:
    """Return a message of one line, for when a template fails: a page goes out plain rather than not at all."""
    text = inert(title, 400)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    block: dict[str, object] = {"type": "section", "text": plain_text(text)}
    body, html = f"{text}\n", f"<p>{escaped}</p>"
    return Message(incident=name, subject=line(text, 400), text=body, html=html, blocks=(block,), time=now)


def plain_text(text: str) -> dict[str, object]:
    """Return a text object in which Slack reads neither mentions nor links."""
    return {"type": "plain_text", "text": text[:BLOCK] or " ", "emoji": False}
