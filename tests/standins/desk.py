"""A notifying role over the embedded stream, with its time in the test's hands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from notifiers import inhibit, schedule
from notifiers.channels import Channel
from notifiers.incident import Entry
from notifiers.policy import Policy, checked
from notifiers.render import Renderer
from notifiers.route import parse
from pipeline.records import Command
from pipeline.roles.intents import Intents
from pipeline.roles.notify import Means, Notify
from pipeline.roles.writer import Recollection, Writer
from pipeline.signing import signed
from pipeline.streams import ALERTS, COMMANDS, INCIDENTS, Batch, Message, Stream, StreamUnavailable
from rules.alert import Alert
from rules.event import Value
from tests.standins.alerts import NOW
from tests.standins.fuse import Fuse
from tests.standins.prompt import PromptStream

KEY = b"what command line, console and notifier share"


class Office:
    """A Stream whose append times are the test's, and that can be away: then it takes and gives nothing."""

    def __init__(self, inner: Stream, times: Mapping[int, datetime]) -> None:
        self.inner = inner
        self.away = False
        self.full = False  # it can be read, and takes nothing
        self.changes: deque[Batch] = deque()  # of ownership: what the next reads of alerts give
        self._times = times  # of commands, by offset

    def _reach(self, *, write: bool = False) -> Stream:
        if self.away or (self.full and write):
            raise StreamUnavailable("away")
        return self.inner

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        self._reach(write=True).append(topic, messages)

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        if topic == ALERTS and self.changes:
            return self.changes.popleft()
        batch = self._reach().read(topic, group, limit, wait)
        timed = [replace(one, time=self._times.get(one.offset, one.time)) for one in batch.messages]
        return replace(batch, messages=timed) if topic == COMMANDS else batch

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._reach(write=True).commit(topic, group, offsets)

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._reach().seek(topic, group, offsets)

    def ends(self, topic: str) -> Mapping[int, int]:
        return self._reach().ends(topic)

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return self._reach().committed(topic, group)

    def close(self) -> None:
        self.inner.close()


def rounds(role: Callable[[], Notify]) -> Iterator[bool]:
    """Give so many rounds as a test may take, and say of each whether a message is under way.

    Those do not count: how many there are is for the machine to say.
    """
    idle, busy = 400, 60_000
    while idle and busy:
        sending = role().sending
        yield sending
        idle, busy = (idle, busy - 1) if sending else (idle - 1, busy)


def settle(role: Callable[[], Notify], now: datetime) -> None:
    """Step until nothing is left to do at this time."""
    quiet = 0
    for _ in rounds(role):
        quiet = 0 if role().step(now) or role().sending else quiet + 1
        if quiet == 2:
            return
    raise AssertionError("it never came to rest")


class Desk:
    """A notifier with its stream, that can be stopped at any moment and started anew."""

    def __init__(self, folder: Path, **receivers: Sequence[Channel]) -> None:
        self.folder = folder
        self.receivers = receivers
        self.route: dict[str, object] = {"receiver": next(iter(receivers))}
        self.inhibit: list[object] = []
        self.intervals: list[object] = []
        self.storm = 20
        self.merge = 5
        self.now = NOW
        self.stream = PromptStream(folder)
        self.notify: Notify | None = None
        self.fuse: int | None = None  # the next role dies at this write
        self.times: dict[int, datetime] = {}
        self.office: Office | None = None  # the stream as the role sees it
        self.intents: Path | None = folder / "intents.ndjson"
        self.recollection: Recollection | None = None
        self.renderer = Renderer()

    def role(self) -> Notify:
        if self.notify is None:
            inner: Stream = self.stream if self.fuse is None else Fuse(self.stream, self.fuse)
            self.office = Office(inner, self.times)
            writer = Writer(self.renderer, self.recollection)
            means = Means(KEY, writer, Intents(self.intents))
            self.notify = Notify(self.office, self.policy(), self.receivers, means)
        return self.notify

    def policy(self) -> Policy:
        rules, intervals = inhibit.parse(self.inhibit), schedule.parse(self.intervals)
        return checked(Policy(parse(self.route), rules, intervals, storm=self.storm, merge=self.merge))

    def command(self, verb: str, person: str = "ada", **arguments: Value) -> None:
        offset = self.stream.ends(COMMANDS)[0]
        said = Command(
            verb=verb, person=person, proof="test", time=self.now, arguments=arguments, nonce=f"{self.folder} {offset}"
        )
        self.put(signed(said, KEY))

    def put(self, said: Command) -> None:
        """Append a command as it is, now."""
        self.times[self.stream.ends(COMMANDS)[0]] = self.now
        self.stream.append(COMMANDS, [Message(said.person, said.model_dump_json().encode())])

    def tell(self, *alerts: Alert) -> None:
        self.stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])

    def until(self, done: Callable[[], bool], seconds: float = 0) -> None:
        """Step until it is so; time stands still, or goes on by `seconds` a step while no message is under way."""
        for busy in rounds(self.role):
            if done():
                return
            self.now += timedelta(seconds=0 if busy else seconds)
            self.role().step(self.now)
        raise AssertionError("it never came to that")

    def settle(self) -> None:
        """Step until nothing is left to do at this time."""
        settle(self.role, self.now)

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
        self.stream = PromptStream(self.folder)
        self.notify = None

    def log(self) -> list[Entry]:
        messages = self.stream.read(INCIDENTS, "test", 10_000, 0).messages
        self.stream.seek(INCIDENTS, "test", {0: 0})
        return [Entry.model_validate_json(one.value) for one in messages]
