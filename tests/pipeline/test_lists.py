"""Lists that commands change: every worker judges an event by what its lists held when it was received."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from pipeline.lists import PREFIX, VERB, Stale, arguments
from pipeline.lists import History as Lists
from pipeline.records import Command
from pipeline.roles.detect import Detect
from pipeline.signing import signed
from pipeline.streams import ALERTS, COMMANDS, EVENTS, MATCHES, STATE, Batch, Message, Stored, StreamUnavailable
from rules.alert import Alert
from rules.event import Value, rfc3339
from rules.lists import NEVER, Version
from rules.match import Match, decode
from rules.ruleset import RuleSet, load
from tests.pipeline.detect_worker import KEY
from tests.pipeline.memory_stream import Killed, Log, MemoryStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
RULES = """
title: Somebody who is not on call
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a01
name: stranger
logsource: {product: linux}
detection:
    it: {event.action: login}
    known: {user.name|expand: '%on_call%'}
    condition: it and not known
---
title: Strangers in number
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a02
correlation:
    {type: event_count, rules: [stranger], group-by: [host.id], timespan: 1m, condition: {gte: 3}, generate: true}
---
title: Anybody
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a03
logsource: {product: linux}
detection: {it: {event.action: login}, condition: it}
"""


def ruleset(live: frozenset[str] = frozenset({"on_call"})) -> RuleSet:
    found = load([("r.yml", RULES)], {} if live else {"on_call": ("ann",)}, live)
    assert not found.errors
    return found


def command(after: int, now: datetime, *values: str, key: bytes = KEY) -> Message:
    version = Version(after, now, values, tuple(None for _ in values))
    said = Command(
        verb=VERB,
        person="ada",
        proof="os-user uid=0",
        time=now,
        arguments=arguments("on_call", version, "set", "a test"),
        nonce=f"{after} {now} {values}",
    )
    return Message("ada", signed(said, key).model_dump_json().encode())


def event(number: int, user: str, created: datetime, host: str = "h") -> Message:
    fields: dict[str, Value] = {
        "event.id": f"e{number:04}",
        "@timestamp": rfc3339(created),
        "event.created": rfc3339(created),
        "event.module": "sshd",
        "event.action": "login",
        "user.name": user,
        "host.id": host,
    }
    return Message(host, msgspec.json.encode(fields))


def matched(log: Log, title: str = "Somebody who is not on call") -> dict[str, Match]:
    rule = next(one.about.id for one in ruleset().rules if one.about.title == title)
    found = [decode(one.value) for one in log.topic(MATCHES)[0]]
    return {one.event: one for one in found if isinstance(one, Match) and one.rule == rule}


def alerts(log: Log) -> list[Alert]:
    return [Alert.model_validate_json(one.value) for one in log.topic(ALERTS)[0]]


def role(stream: MemoryStream, rules: RuleSet | None = None) -> Detect:
    return Detect(stream, rules or ruleset(), engine="test", key=lambda: KEY)


@pytest.fixture
def log() -> Log:
    return Log(1, NOW)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_an_event_is_judged_by_what_the_list_held_when_it_was_received_and_the_match_says_by_which_command(
    log: Log,
) -> None:
    source, detect = MemoryStream(log), role(MemoryStream(log))
    source.append(EVENTS, [event(1, "ann", at(-1))])
    detect.step(at(0))
    log.now = at(10)
    source.append(COMMANDS, [command(NEVER, at(10), "ann", "b*")])
    log.now = at(20)
    source.append(COMMANDS, [command(0, at(20), "bob")])
    log.now = at(30)
    known = [("ann", 15), ("bob", 15), ("ann", 25), ("bob", 25), ("bob", 5), ("ann", 99)]
    source.append(EVENTS, [event(n, user, at(second)) for n, (user, second) in enumerate(known, 2)])
    detect.step(at(30))
    found = matched(log)
    assert {name: one.lists["on_call"].offset for name, one in found.items()} == {
        "e0001": NEVER,  # nobody had set it
        "e0004": 1,  # ann, after she was taken out
        "e0006": NEVER,  # it waited on its host since before there was a list
        "e0007": 1,  # a host's clock that is ahead is not believed
    }


def test_the_proof_names_list_hash_and_command_and_a_change_takes_no_count_from_a_correlation(log: Log) -> None:
    source, detect = MemoryStream(log), role(MemoryStream(log))
    source.append(EVENTS, [event(1, "eve", at(-2)), event(2, "eve", at(-1))])
    detect.step(at(0))
    log.now = at(10)
    source.append(COMMANDS, [command(NEVER, at(10), "ann")])
    log.now = at(20)
    source.append(EVENTS, [event(3, "eve", at(15))])
    detect.step(at(20))
    (number,) = [one for one in alerts(log) if one.rule.title == "Strangers in number"]
    assert number.proof.events == ("e0001", "e0002", "e0003")
    assert number.proof.commands == {"on_call": 0}
    first, _, third = [one.proof for one in alerts(log) if one.rule.title == "Somebody who is not on call"]
    assert (first.commands, third.commands) == ({"on_call": NEVER}, {"on_call": 0})
    assert first.lists["on_call"] != third.lists["on_call"]
    assert first.rule_hash == third.rule_hash


CHANGES = [(10, ("ann",)), (20, ("ann", "bob")), (30, ()), (40, ("bob",))]


def lived(log: Log, seed: int) -> tuple[list[list[Message]], dict[str, int]]:
    """Each second's events, some of which wait up to twenty on their host; and by which command each is judged that
    matches."""
    chance = random.Random(seed)
    out: list[list[Message]] = [[] for _ in range(80)]
    expected: dict[str, int] = {}
    for number in range(150):
        second, user = chance.randrange(55), chance.choice(["ann", "bob", "eve"])
        created = second + 0.5
        current = max((n for n, (change, _) in enumerate(CHANGES) if change < created), default=NEVER)
        if current == NEVER or user not in CHANGES[current][1]:
            expected[f"e{number:04}"] = current
        seen = second + 1 + chance.choice([0, 0, 0, chance.randrange(20)])
        out[seen].append(event(number, user, at(created), f"h{chance.randrange(6)}"))
    return out, expected


def live_through(log: Log, seed: int, fleet: Iterator[None]) -> dict[str, int]:
    events, expected = lived(log, seed)
    source = MemoryStream(log)
    for second in range(80):
        log.now = at(second)
        for number, (change, values) in enumerate(CHANGES):
            if change == second:
                source.append(COMMANDS, [command(number - 1, at(second), *values)])
        if events[second]:
            source.append(EVENTS, events[second])
        next(fleet)
    return expected


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_one_worker_or_many_judge_by_the_same_commands(workers: int) -> None:
    log = Log(4, NOW)
    roles = [role(MemoryStream(log)) for _ in range(workers)]

    def fleet() -> Iterator[None]:
        while True:
            for one in roles * 2:
                one.step(log.now)
            yield

    expected = live_through(log, 3, fleet())
    assert len(expected) > 80
    assert {name: one.lists["on_call"].offset for name, one in matched(log).items()} == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_at_any_write_changes_nothing_of_that(seed: int) -> None:
    chance = random.Random(seed)
    log = Log(2, NOW)

    def fleet() -> Iterator[None]:
        living: list[tuple[MemoryStream, Detect]] = []
        while True:
            while len(living) < 2:
                stream = MemoryStream(log, chance.randrange(40))
                living.append((stream, role(stream)))
            for one in list(living):
                try:
                    one[1].step(log.now)
                except Killed:
                    one[0].close()
                    living.remove(one)
            yield

    expected = live_through(log, seed, fleet())
    last = role(MemoryStream(log))
    for members in log.members.values():
        members.clear()
    for second in range(80, 90):
        log.now = at(second)
        last.step(log.now)
    assert {name: one.lists["on_call"].offset for name, one in matched(log).items()} == expected


def test_what_has_left_the_topic_is_read_from_the_state_where_it_stands_as_it_was_signed(log: Log) -> None:
    source, first = MemoryStream(log), role(MemoryStream(log))
    source.append(COMMANDS, [command(NEVER, at(0), "ann")])
    log.now = at(10)
    source.append(EVENTS, [event(1, "eve", at(5))])
    first.step(at(10))
    assert [one.key for one in log.topic(STATE)[0] if one.key.startswith(PREFIX)] == [f"{PREFIX}on_call/0"]
    log.topic(COMMANDS)[0].clear()
    log.members.clear()
    source.append(EVENTS, [event(2, "ann", at(9)), event(3, "eve", at(9))])
    second = role(MemoryStream(log))
    second.step(at(20))
    assert {name: one.lists["on_call"].offset for name, one in matched(log).items()} == {"e0001": 0, "e0003": 0}


def test_a_version_in_the_state_that_nobody_with_the_key_signed_is_nothing(log: Log) -> None:
    """Who may merely write to the stream can command nothing, by whichever topic."""
    forged = command(NEVER, at(0), "eve", key=b"another key, of an intruder")
    saved = {"offset": 0, "time": rfc3339(at(0)), "command": forged.value.decode()}
    source, detect = MemoryStream(log), role(MemoryStream(log))
    source.append(STATE, [Message(f"{PREFIX}on_call/0", msgspec.json.encode(saved))])
    source.append(COMMANDS, [forged])
    log.now = at(10)
    source.append(EVENTS, [event(1, "eve", at(5))])
    detect.step(at(10))
    assert matched(log).keys() == {"e0001"}


def test_a_command_that_follows_another_than_the_last_is_not_taken() -> None:
    known = Lists(KEY)

    def take(offset: int, message: Message) -> bool:
        return known.take(Stored(COMMANDS, 0, offset, at(offset), "", message.value))

    assert take(3, command(NEVER, at(3), "ann"))
    assert take(5, command(3, at(5), "ann", "bob"))
    with pytest.raises(Stale, match="follows that at 3, and not 5"):
        take(6, command(3, at(6), "ann", "carl"))
    assert not take(7, command(5, at(7), "eve", key=b"another key, of an intruder"))
    assert known.timeline("on_call").as_of(at(60)).values == ("ann", "bob")


class Away(MemoryStream):
    """A stream whose audit.commands can be asked, but not be read: its leader is gone, say."""

    away = False
    waited = 0.0
    refuses = False

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        if topic == COMMANDS and self.away:
            self.waited += wait
            return Batch()
        return super().read(topic, group, limit, wait)

    def ends(self, topic: str) -> dict[int, int]:
        if topic == COMMANDS and self.refuses:
            raise StreamUnavailable("no leader")
        return dict(super().ends(topic))


@pytest.mark.parametrize("refuses", [False, True])
def test_where_commands_are_out_of_reach_it_is_judged_by_what_is_known_after_two_seconds_and_said(
    log: Log, caplog: pytest.LogCaptureFixture, *, refuses: bool
) -> None:
    stream = Away(log)
    source, detect = MemoryStream(log), role(stream)
    source.append(COMMANDS, [command(NEVER, at(0), "ann")])
    log.now = at(1)
    source.append(EVENTS, [event(1, "ann", at(1))])
    detect.step(at(1))
    assert matched(log) == {}
    stream.away, stream.refuses = True, refuses
    source.append(COMMANDS, [command(0, at(1), "bob")])
    log.now = at(2)
    source.append(EVENTS, [event(2, "ann", at(2)), event(3, "bob", at(2))])
    detect.step(at(2))
    waited = stream.waited
    found = matched(log)
    assert waited < (0.1 if refuses else 2.1)
    assert found.keys() == {"e0003"}
    assert (found["e0003"].lists["on_call"].offset, found["e0003"].lists["on_call"].behind) == (0, True)
    (told,) = [one for one in alerts(log) if one.proof.commands]
    assert told.proof.values == {"tocsin.lists.behind": ["on_call"]}
    source.append(EVENTS, [event(4, "bob", at(2))])
    detect.step(at(3))
    assert stream.waited == waited  # it is not waited for with every batch
    stream.away = stream.refuses = False
    source.append(EVENTS, [event(5, "bob", at(3)), event(6, "ann", at(3))])
    detect.step(at(33))
    assert matched(log).keys() == {"e0003", "e0004", "e0006"}
    assert not matched(log)["e0006"].lists["on_call"].behind
    assert [one for one in caplog.messages if "out of reach" in one] == [
        "audit.commands is out of reach: its lists are read as last known"
    ]


def test_what_other_rules_find_does_not_wait_for_the_commands(log: Log) -> None:
    stream = Away(log)
    source, detect = MemoryStream(log), role(stream)
    source.append(EVENTS, [event(1, "ann", at(-1))])
    detect.step(at(0))
    stream.away = True
    source.append(COMMANDS, [command(NEVER, at(0), "ann")])
    source.append(EVENTS, [event(2, "ann", at(0))])
    seen: list[set[str]] = []
    stream_read = stream.read

    def read(topic: str, group: str, limit: int, wait: float) -> Batch:
        if topic == COMMANDS and wait:
            seen.append(set(matched(log, "Anybody")))
        return stream_read(topic, group, limit, wait)

    stream.read = read  # type: ignore[method-assign]
    detect.step(at(1))
    assert seen
    assert all("e0002" in one for one in seen)


class Counted(MemoryStream):
    """A stream that knows which topics were asked for."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.topics: set[str] = set()

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        self.topics.add(topic)
        return super().read(topic, group, limit, wait)

    def ends(self, topic: str) -> dict[int, int]:
        self.topics.add(topic)
        return dict(super().ends(topic))


def test_without_such_a_list_the_commands_are_not_looked_at_and_no_key_is_asked_for(log: Log) -> None:
    def no_key() -> bytes:
        raise AssertionError

    stream = Counted(log)
    detect = Detect(stream, ruleset(frozenset()), engine="test", key=no_key)
    MemoryStream(log).append(EVENTS, [event(1, "eve", at(0)), event(2, "ann", at(0))])
    detect.step(at(0))
    assert matched(log).keys() == {"e0001"}
    assert COMMANDS not in stream.topics
    assert b"lists" not in b"".join(one.value for one in log.topic(MATCHES)[0])


def test_only_the_rules_that_read_a_list_are_read_again_and_once_for_each_content(log: Log) -> None:
    source, detect = MemoryStream(log), role(MemoryStream(log))
    made: Sequence[object] = ()
    for second in range(5):
        log.now = at(10 * second)
        source.append(COMMANDS, [command(second - 1, at(10 * second), "ann", *(["bob"] if second % 2 else []))])
        log.now = at(10 * second + 5)
        source.append(EVENTS, [event(10 * second + n, "eve", at(10 * second + 1)) for n in range(3)])
        detect.step(log.now)
        made = list(detect._live._matchers.values())
    assert len(made) == 2
    assert len(matched(log)) == 15
