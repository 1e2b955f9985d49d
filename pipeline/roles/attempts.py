"""Attempts: what is written of one that ended, was never answered, or belongs to a receiver that is no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from notifiers.channels import Channel, Rejected
from notifiers.incident import Answer, Entry, Send
from notifiers.postman import Outcome


def answered(outcome: Outcome, now: datetime) -> Entry:
    """Return how an attempt ended."""
    send, failure = outcome.send, outcome.failure
    answer = Answer(
        send=send.id,
        receiver=send.receiver,
        channel=send.channel,
        attempt=send.attempt,
        incident=send.incident,
        done=failure is None,
        receipt=outcome.receipt.id if outcome.receipt else None,
        failure=str(failure) if failure else None,
        rejected=isinstance(failure, Rejected),
        uncertain=getattr(failure, "uncertain", False),
        after=getattr(failure, "after", None),
    )
    return Entry(time=now, answered=answer)


def again(send: Send, receivers: Mapping[str, Sequence[Channel]], now: datetime) -> Entry:
    """Return the next attempt of one that was never answered, marked."""
    channel = send.channel if send.channel < len(receivers.get(send.receiver, ())) else 0
    changes = {"repeat": True, "attempt": send.attempt + 1, "channel": channel}
    return Entry(time=now, intended=(send.model_copy(update=changes),))


def moved(send: Send, root: str, now: datetime) -> Entry:
    """Return the end of a send to a receiver that the config no longer has: the root's receiver gets it."""
    answer = Answer(
        send=send.id,
        receiver=send.receiver,
        channel=send.channel,
        attempt=send.attempt,
        done=True,
        failure="the config has no such receiver",
    )
    return Entry(time=now, intended=(send.model_copy(update={"receiver": root, "channel": 0}),), answered=answer)
