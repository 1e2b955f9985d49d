"""Random histories of alerts, people, silences, snoozes, failures, outages of the stream and kills, against a model
that knows nothing of notifiers.

The model says, in a few lines, which messages each incident causes. The role must send exactly these, in order; a
kill may add one more, marked as a possible repeat.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifiers.channels import Unavailable
from pipeline.streams import StreamUnavailable
from rules.event import rfc3339
from tests.standins.alerts import NOW, disk, root_login
from tests.standins.channels import Recorder
from tests.standins.desk import Desk
from tests.standins.fuse import Killed

Place: TypeAlias = tuple[str, str]  # what and where: ("Root", "db-1")
HOSTS = ("db-1", "db-2")
TTL = timedelta(hours=4)
SILENCE = timedelta(minutes=10)
SNOOZE = timedelta(minutes=30)


@dataclass
class Case:
    """What the model knows of one incident."""

    state: str = "resolved"
    heard: bool = False
    sources: set[str] = field(default_factory=set)
    last: datetime = NOW
    occurrence: int = 0
    wakes: datetime | None = None  # when a snooze ends
    slept: datetime | None = None  # when the latest one did or will: it counts as the latest that happened
    alert: str = ""  # of a condition: which alert fires


@dataclass
class Model:
    """The rules of paging, said once more and simply."""

    now: datetime = NOW
    cases: dict[Place, Case] = field(default_factory=dict)
    silences: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)  # id, host, starts, ends
    announced: set[str] = field(default_factory=set)
    told: dict[Place, list[str]] = field(default_factory=dict)

    def case(self, place: Place) -> Case:
        return self.cases.setdefault(place, Case())

    def say(self, place: Place, word: str) -> None:
        self.told.setdefault(place, []).append(word)

    def silence_of(self, host: str) -> str | None:
        return next(
            (name for name, of, starts, ends in self.silences if of == host and starts <= self.now < ends), None
        )

    def announce(self, place: Place, silence: str) -> None:
        if silence not in self.announced:
            self.announced.add(silence)
            self.say(place, "SILENCED")

    def login(self, host: str, source: str) -> None:
        place = ("Root", host)
        case, quiet = self.case(place), self.silence_of(host)
        if case.state == "resolved":
            case.state, case.heard, case.sources, case.slept = "triggered", quiet is None, set(), None
            case.occurrence += 1
            self.announce(place, quiet) if quiet else self.say(place, "PAGE")
        elif not case.heard:
            if quiet is None:
                case.state, case.heard, case.wakes, case.slept = "triggered", True, None, None
                self.say(place, "PAGE")
        elif source not in case.sources:
            word = "NEW VALUE" if case.state == "triggered" else "REOPENED"
            case.state, case.wakes, case.slept = "triggered", None, None
            self.announce(place, quiet) if quiet else self.say(place, word)
        if quiet is None:
            case.sources.add(source)
        case.last = self.now

    def fill(self, host: str, name: str) -> bool:
        place = ("Disk", host)
        case, quiet = self.case(place), self.silence_of(host)
        if case.alert:
            return False
        case.alert = name
        if case.state == "resolved":
            case.state, case.heard = "triggered", quiet is None
            case.occurrence += 1
            self.announce(place, quiet) if quiet else self.say(place, "PAGE")
        return True

    def clear(self, host: str) -> str:
        case = self.case(("Disk", host))
        name, case.alert = case.alert, ""
        if name and case.state != "resolved":
            self.end(("Disk", host))
        return name

    def end(self, place: Place) -> None:
        case = self.case(place)
        case.state, case.wakes = "resolved", None
        if case.heard:
            self.say(place, "RESOLVED")

    def ack(self, place: Place) -> None:
        case = self.case(place)
        if case.state in ("triggered", "snoozed"):
            case.state, case.wakes, case.slept = "acknowledged", None, None
            if case.heard:
                self.say(place, "ACKNOWLEDGED")

    def close(self, place: Place) -> None:
        if self.case(place).state != "resolved":
            self.end(place)

    def snooze(self, place: Place, span: timedelta) -> None:
        case = self.case(place)
        if case.state != "resolved":
            case.state, case.wakes = "snoozed", self.now + span
            case.slept = case.wakes
            if case.heard:
                self.say(place, "SNOOZED")

    def wait(self, span: timedelta) -> None:
        self.now += span
        for (what, host), case in self.cases.items():
            last = max(case.last, case.slept) if case.slept else case.last
            if what == "Root" and case.state != "resolved" and last + TTL <= self.now:
                case.state, case.wakes = "resolved", None
            if case.state == "snoozed" and case.wakes is not None and case.wakes <= self.now:
                self._wake((what, host), case)
            if what == "Disk" and case.state == "triggered" and not case.heard and self.silence_of(host) is None:
                case.heard = True
                self.say((what, host), "PAGE")

    def _wake(self, place: Place, case: Case) -> None:
        case.state, case.wakes = "triggered", None
        quiet = self.silence_of(place[1])
        if quiet is None:
            case.heard = True
            self.say(place, "SNOOZE OVER")


class Run:
    """The role and the model, told the same."""

    def __init__(self, folder: Path) -> None:
        self.pager = Recorder()
        self.desk = Desk(folder, security=[self.pager])
        self.desk.storm = self.desk.merge = 10_000
        self.model = Model()
        self.number = 0
        self.kills = 0

    def fresh(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def settle(self) -> None:
        """Let the role do its work; if it dies, a successor goes on."""
        if self.desk.office is not None and self.desk.office.away:
            self.alone()
            return
        try:
            self.desk.settle()
        except Killed:
            self.kills += 1
            self.desk.fuse = None
            self.desk.kill()
            self.desk.settle()

    def alone(self) -> None:
        """Let the role do what it can without the stream."""
        breath = threading.Event()
        for turn in range(40):
            with suppress(StreamUnavailable):
                self.desk.role().step(self.desk.now)
            if turn > 2 and not self.desk.role().sending:
                return
            breath.wait(0.001)

    def away(self) -> None:
        """The stream goes; it comes back before anything but time, a failing service or a kill happens."""
        self.settle()
        self.desk.role()
        assert self.desk.office is not None
        self.desk.office.away = True

    def back(self) -> None:
        if self.desk.office is not None and self.desk.office.away:
            self.desk.office.away = False
            self.settle()

    def login(self, host: str, source: str) -> None:
        self.back()
        self.desk.tell(root_login(self.fresh(), host=host, source=source, time=self.desk.now))
        self.model.login(host, source)
        self.settle()

    def fill(self, host: str) -> None:
        self.back()
        name = self.fresh()
        if self.model.fill(host, name):
            self.desk.tell(disk(name, host=host, time=self.desk.now))
        self.settle()

    def clear(self, host: str) -> None:
        self.back()
        name = self.model.clear(host)
        if name:
            self.desk.tell(disk(name, host=host, step="resolved", time=self.desk.now))
        self.settle()

    def person(self, verb: str, what: str, host: str) -> None:
        self.back()
        incident = next(
            (one.incident for one in reversed(self.pager.sent) if _place(one.subject) == (what, host)), None
        )
        case = self.model.case((what, host))
        if incident is None or not case.heard or case.state == "resolved":
            return
        if not incident.endswith(f"-{case.occurrence}"):
            return  # the page of this occurrence is still on its way
        if verb == "snooze":
            self.desk.command(verb, incident=incident, until=rfc3339(self.desk.now + SNOOZE))
            self.model.snooze((what, host), SNOOZE)
        else:
            self.desk.command(verb, incident=incident)
            (self.model.ack if verb == "ack" else self.model.close)((what, host))
        self.settle()

    def silence(self, host: str) -> None:
        self.back()
        name, ends = self.fresh(), self.desk.now + SILENCE
        self.desk.command("silence", id=name, matchers=[f'host.name="{host}"'], ends=rfc3339(ends), reason="work")
        self.model.silences.append((name, host, self.desk.now, ends))
        self.settle()

    def wait(self, minutes: int) -> None:
        self.desk.now += timedelta(minutes=minutes)
        self.model.wait(timedelta(minutes=minutes))
        self.settle()

    def fail(self, times: int) -> None:
        self.pager.fail.extend(Unavailable("down") for _ in range(times))

    def kill_at(self, write: int) -> None:
        self.back()
        self.desk.fuse = write
        self.desk.kill()

    def kill_away(self) -> None:
        """The role is killed between two steps while the stream is away; its successor finds the stream back."""
        if self.desk.office is not None and self.desk.office.away:
            self.kills += 1
            self.desk.kill()
            self.settle()

    def finish(self) -> None:
        self.pager.fail.clear()
        self.back()
        self.desk.fuse = None
        self.desk.kill()
        for _ in range(3):
            self.wait(2)
        self.desk.close()


def _place(subject: str) -> Place:
    return ("Disk" if "Disk" in subject else "Root", next(host for host in HOSTS if host in subject))


_WORDS = ("SNOOZED", "SNOOZE OVER", "NEW VALUE", "REOPENED", "ACKNOWLEDGED", "RESOLVED", "SILENCED")


def _told(pager: Recorder, *, marked: bool) -> dict[Place, list[str]]:
    told: dict[Place, list[str]] = {}
    for subject in pager.subjects():
        again = subject.startswith("(possible repeat) ")
        bare = subject.removeprefix("(possible repeat) ")
        word = next((one for one in _WORDS if bare.startswith(one)), "PAGE")
        if marked or not again:
            told.setdefault(_place(subject), []).append(word + (" again" if again else ""))
    return told


hosts = st.sampled_from(HOSTS)
whats = st.sampled_from(["Root", "Disk"])
verbs = st.sampled_from(["ack", "resolve", "snooze"])
Step: TypeAlias = Callable[[Run], None]
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda h, s: lambda run: run.login(h, s), hosts, st.sampled_from(["203.0.113.9", "198.51.100.4"])),
    st.builds(lambda h: lambda run: run.fill(h), hosts),
    st.builds(lambda h: lambda run: run.clear(h), hosts),
    st.builds(lambda v, w, h: lambda run: run.person(v, w, h), verbs, whats, hosts),
    st.builds(lambda h: lambda run: run.silence(h), hosts),
    st.builds(lambda m: lambda run: run.wait(m), st.sampled_from([1, 11, 40, 300])),
    st.builds(lambda n: lambda run: run.fail(n), st.integers(1, 3)),
    st.builds(lambda n: lambda run: run.kill_at(n), st.integers(0, 9)),
    st.just(lambda run: run.away()),
    st.just(lambda run: run.kill_away()),
)


def judge(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        for step in history:
            step(run)
        run.finish()
        marked = sum(subject.startswith("(possible repeat)") for subject in run.pager.subjects())
        assert marked <= run.kills
        told = _told(run.pager, marked=True)
        for place, expected in run.model.told.items():
            assert _agrees(told.pop(place, []), expected), (place, told, expected)
        assert told == {}


def _agrees(told: list[str], expected: list[str]) -> bool:
    """Say whether these are the expected messages, a marked one standing for its own or repeating the one before."""
    ends = {0}  # how many of the expected messages what was told so far may stand for
    for one in told:
        word = one.removesuffix(" again")
        own = {at + 1 for at in ends if at < len(expected) and expected[at] == word}
        again = {at for at in ends if at and expected[at - 1] == word} if one != word else set()
        ends = own | again
    return len(expected) in ends


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))  # 300 longer ones below
@given(st.lists(steps, min_size=1, max_size=25))
def test_each_expected_message_is_sent_exactly_once(history: list[Step]) -> None:
    judge(history)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=10, max_size=60))
def test_each_expected_message_is_sent_exactly_once_over_long_histories(history: list[Step]) -> None:
    judge(history)
