"""A notifying role over the embedded stream, with its time in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from notifiers import inhibit, schedule
from notifiers.channels import Channel
from notifiers.incident import Entry
from notifiers.policy import Policy, checked
from notifiers.route import parse
from pipeline.records import Command
from pipeline.roles.notify import Notify
from pipeline.streams import ALERTS, COMMANDS, INCIDENTS, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert
from rules.event import Value
from tests.standins.alerts import NOW
from tests.standins.fuse import Fuse


class Desk:
    """A notifier with its stream, that can be stopped at any moment and started anew."""

    def __init__(self, folder: Path, **receivers: Sequence[Channel]) -> None:
        self.folder = folder
        self.receivers = receivers
        self.route: dict[str, object] = {"receiver": next(iter(receivers))}
        self.inhibit: list[object] = []
        self.intervals: list[object] = []
        self.storm = 20
        self.now = NOW
        self.stream = SqliteStream(folder)
        self.notify: Notify | None = None
        self.fuse: int | None = None  # the next role dies at this write

    def role(self) -> Notify:
        if self.notify is None:
            stream = self.stream if self.fuse is None else Fuse(self.stream, self.fuse)
            self.notify = Notify(stream, self.policy(), self.receivers, wait=0.005)
        return self.notify

    def policy(self) -> Policy:
        rules, intervals = inhibit.parse(self.inhibit), schedule.parse(self.intervals)
        return checked(Policy(parse(self.route), rules, intervals, storm=self.storm))

    def command(self, verb: str, person: str = "ada", **arguments: Value) -> None:
        said = Command(verb=verb, person=person, proof="test", time=self.now, arguments=arguments)
        self.stream.append(COMMANDS, [Message(person, said.model_dump_json().encode())])

    def tell(self, *alerts: Alert) -> None:
        self.stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])

    def until(self, done: Callable[[], bool], seconds: float = 0) -> None:
        """Step, time standing still or going on by `seconds` a step, until it is so."""
        for _ in range(400):
            if done():
                return
            self.now += timedelta(seconds=seconds)
            self.role().step(self.now)
        raise AssertionError("it never came to that")

    def settle(self) -> None:
        """Step until nothing is left to do at this time."""
        quiet = 0
        for _ in range(400):
            quiet = 0 if self.role().step(self.now) or self.role().sending else quiet + 1
            if quiet == 2:
                return
        raise AssertionError("it never came to rest")

    def wait(self, span: timedelta) -> None:
        """Let time pass, and whatever it makes happen."""
        self.now += span
        self.settle()

    def close(self) -> None:
        if self.notify is not None:
            self.notify.close()
        self.stream.close()

    def kill(self) -> None:
        """Stop as kill -9 does: nothing more is written, nothing is closed."""
        self.stream.close()
        self.stream = SqliteStream(self.folder)
        self.notify = None

    def log(self) -> list[Entry]:
        messages = self.stream.read(INCIDENTS, "test", 10_000, 0).messages
        self.stream.seek(INCIDENTS, "test", {0: 0})
        return [Entry.model_validate_json(one.value) for one in messages]
