"""A channel in memory, held to the same promises as the real ones: it can be told to fail, and can be left hanging."""

from __future__ import annotations

import threading
from collections import deque

from notifiers.channels import Receipt, Rejected, Unavailable
from notifiers.message import Message


class Recorder:
    """A Channel that keeps what it was sent. `fail` holds what the next attempts raise, in order."""

    kind = "recorder"

    def __init__(self, *fail: Unavailable | Rejected | BaseException) -> None:
        self.fail = deque(fail)
        self.sent: list[Message] = []
        self.attempts = 0
        self.previous: list[Receipt | None] = []
        self.open = threading.Event()  # while it is clear, every send hangs
        self.open.set()

    def send(self, message: Message, previous: Receipt | None) -> Receipt:
        self.attempts += 1
        assert self.open.wait(30)
        if self.fail:
            raise self.fail.popleft()
        self.sent.append(message)
        self.previous.append(previous)
        return Receipt(f"{message.incident}/{len(self.sent)}")

    def subjects(self) -> list[str]:
        return [message.subject for message in self.sent]
