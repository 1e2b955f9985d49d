"""Postman: one thread for each receiver, so that a slow server delays nobody else. It carries; it decides nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from notifiers.channels import Channel, Receipt, Rejected, Unavailable
from notifiers.incident import Send
from notifiers.message import Message

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended: a receipt, or what the channel raised."""

    send: Send
    receipt: Receipt | None = None
    failure: Unavailable | Rejected | None = None


@dataclass(frozen=True, slots=True)
class _Job:
    send: Send
    message: Message
    previous: Receipt | None


class Postman:
    """Takes messages to the channels of each receiver, and brings back how that ended."""

    def __init__(self, receivers: Mapping[str, Sequence[Channel]]) -> None:
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._jobs: dict[str, SimpleQueue[_Job | None]] = {}
        self._threads: list[threading.Thread] = []
        self.busy: dict[str, Send] = {}  # receiver -> what is under way; the caller's thread alone uses it
        for name, channels in receivers.items():
            jobs: SimpleQueue[_Job | None] = SimpleQueue()
            thread = threading.Thread(target=self._carry, args=(jobs, tuple(channels)), name=f"to {name}", daemon=True)
            self._jobs[name] = jobs
            self._threads.append(thread)
            thread.start()

    def take(self, send: Send, message: Message, previous: Receipt | None) -> None:
        """Send this, the receiver being idle; `outcomes` will tell."""
        self.busy[send.receiver] = send
        self._jobs[send.receiver].put(_Job(send, message, previous))

    def outcomes(self) -> Sequence[Outcome]:
        """Return what ended since the last call, without waiting."""
        ended = [self._outcomes.get() for _ in range(self._outcomes.qsize())]
        for outcome in ended:
            self.busy.pop(outcome.send.receiver, None)
        return ended

    def close(self, timeout: float) -> None:
        """Let what is under way end, for so many seconds altogether for each receiver; then leave it."""
        for jobs in self._jobs.values():
            jobs.put(None)
        for thread in self._threads:
            thread.join(timeout)

    def _carry(self, jobs: SimpleQueue[_Job | None], channels: Sequence[Channel]) -> None:
        while (job := jobs.get()) is not None:
            self._outcomes.put(_attempt(job, channels))


def _attempt(job: _Job, channels: Sequence[Channel]) -> Outcome:
    try:
        return Outcome(job.send, receipt=channels[job.send.channel].send(job.message, job.previous))
    except (Unavailable, Rejected) as failure:
        return Outcome(job.send, failure=failure)
    except Exception as error:  # a fault in a channel costs an attempt, never the thread
        _log.exception("channel failed", extra={"receiver": job.send.receiver, "channel": job.send.channel})
        return Outcome(job.send, failure=Unavailable(f"{type(error).__name__}: {error}", uncertain=True))
