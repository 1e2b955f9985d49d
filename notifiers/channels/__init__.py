"""Channels: the last step to a person, one I/O adapter a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from notifiers.message import Message


class Unavailable(Exception):
    """The service did not take the message now; a retry may help, not before `after` seconds if given.

    `uncertain` says that the message may have arrived all the same (the answer was lost on the way back), so that
    whoever tries again marks it as a possible repeat.
    """

    def __init__(self, reason: str, after: float | None = None, *, uncertain: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.uncertain = uncertain


class Rejected(Exception):
    """The service refused the message or the credentials; a retry cannot help, another channel may."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The service's own id of what was sent, with which it can be updated or threaded."""

    id: str


class Channel(Protocol):
    """Sends one message. `previous` is the receipt of the incident's earlier message on this channel, if any:
    a channel that can, updates or threads that one."""

    kind: str

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        """Return the receipt once the service has taken the message. Raises Unavailable or Rejected."""
        ...
