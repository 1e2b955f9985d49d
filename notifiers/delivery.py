"""Delivery: which channel a send tries next, and when. Pure: a receiver is an ordered list of channels.

The first channel is tried first. The next ones open up when the earlier refused the message for good, or when it
has waited FALLBACK for each of them. Nothing is ever given up: a service that is down is asked again, slower and
slower up to SLOWEST, and a message that every channel refused goes round again after ALL_REFUSED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from notifiers.incident import Answer, Send

FALLBACK: Final = timedelta(seconds=60)
ALL_REFUSED: Final = timedelta(minutes=5)
SLOWEST: Final = 60.0
_LONGEST_WISH: Final = 3600.0  # a service's Retry-After is believed up to here


@dataclass(frozen=True, slots=True)
class Pending:
    """A send that has not ended. `open`: an attempt was intended and is not answered."""

    send: Send
    since: datetime
    open: bool
    refused: Mapping[int, datetime] = field(default_factory=dict)  # channel -> until when it is not asked again
    failures: Mapping[int, str] = field(default_factory=dict)  # channel -> how the last attempt there failed


@dataclass(frozen=True, slots=True)
class Down:
    """A channel that failed: how often in a row, and until when it is left alone."""

    failures: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Try:
    """Attempt the send on this channel now."""

    send: Send


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be tried before this moment. `aside`: every channel refused it, others may go before it."""

    until: datetime
    aside: bool = False


def after(pending: Pending, answer: Answer, now: datetime) -> Pending:
    """Return the send after an attempt that failed."""
    refused = {**pending.refused, answer.channel: now + ALL_REFUSED} if answer.rejected else pending.refused
    send = pending.send.model_copy(update={"repeat": pending.send.repeat or answer.uncertain})
    failures = {**pending.failures, answer.channel: answer.failure or "failed"}
    return replace(pending, send=send, open=False, refused=refused, failures=failures)


def rest(down: Down | None, answer: Answer, now: datetime) -> Down:
    """Return until when a channel that was unavailable is left alone."""
    failures = (down.failures if down else 0) + 1
    wished = min(answer.after or 0.0, _LONGEST_WISH)
    return Down(failures, now + timedelta(seconds=max(wished, min(2.0 ** (failures - 1), SLOWEST))))


def following(pending: Pending, channels: int, down: Mapping[int, Down], now: datetime) -> Try | Wait:
    """Return the next attempt of a send, or until when it waits."""
    waits = []
    refused = 0
    for channel in range(channels):
        if pending.refused.get(channel, now) > now:
            refused += 1
            waits.append(pending.refused[channel])
            continue
        opens = pending.since + FALLBACK * (channel - refused)
        rested = down[channel].until if channel in down else opens
        if max(opens, rested) <= now:
            return Try(pending.send.model_copy(update={"channel": channel, "attempt": pending.send.attempt + 1}))
        waits.append(max(opens, rested))
    return Wait(min(waits), aside=refused == channels)
