"""Incident -> message: what a person is told, escaped for the place where it is shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver, rendered for every kind of channel."""

    incident: str  # the incident's id: channels thread by it
    subject: str  # one line, plain text: what, where, who, production or not
    text: str
    html: str
    blocks: tuple[dict[str, object], ...]  # Slack Block Kit
