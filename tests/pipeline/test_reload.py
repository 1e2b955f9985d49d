"""Rule files that change while detection runs: taken between two events, or kept out if they are broken."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from notifiers.route import parse
from pipeline import rulesets
from pipeline.records import Command
from pipeline.reload import EVERY, Reload, digest
from pipeline.roles.detect import Detect
from pipeline.roles.notify import Notify
from pipeline.streams import ALERTS, COMMANDS, DEADLETTER, EVENTS, INCIDENTS, Message
from pipeline.streams.sqlite import SqliteStream
from rules.alert import Alert
from rules.event import rfc3339
from rules.faults import Fault
from rules.ruleset import RuleSet, load
from tests.standins.channels import Recorder
from tests.standins.prompt import PromptStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
OFTEN = """
title: Refused
name: refused
logsource: {product: linux}
detection: {it: {event.outcome: failure}, condition: it}
---
title: Refused often
correlation: {type: event_count, rules: [refused], group-by: [host.id], timespan: 10m, condition: {gte: 3}}
"""
ROOT = "title: Root\nlogsource: {product: linux}\ndetection: {it: {user.name: %s}, condition: it}\n"


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[SqliteStream]:
    stream = PromptStream(tmp_path / "stream")
    yield stream
    stream.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "often.yml").write_text(OFTEN)
    (folder / "root.yml").write_text(ROOT % "root")
    return folder


def read(folder: Path) -> RuleSet:
    faults: list[Fault] = []
    return load(rulesets.sources([str(folder)], faults), {})


def event(number: int, user: str) -> Message:
    stamp = rfc3339(NOW + timedelta(seconds=number))
    fields = {"event.id": f"e{number}", "@timestamp": stamp, "host.id": "h", "user.name": user}
    return Message("h", msgspec.json.encode(fields | {"event.outcome": "failure"}))


def titles(stream: SqliteStream) -> list[tuple[str, tuple[str, ...]]]:
    found = [Alert.model_validate_json(one.value) for one in stream.read(ALERTS, "test", 100, 0).messages]
    return [(one.rule.title, one.proof.events) for one in found]


@pytest.fixture
def judge(stream: SqliteStream, folder: Path) -> Callable[[Message, datetime], list[tuple[str, tuple[str, ...]]]]:
    rules = Reload(partial(read, folder), [str(folder)])
    role = Detect(stream, rules.ruleset, engine="test", renewed=rules)

    def judged(message: Message, now: datetime) -> list[tuple[str, tuple[str, ...]]]:
        stream.append(EVENTS, [message])
        while role.step(now):
            pass
        return titles(stream)

    return judged


Judge = Callable[[Message, datetime], list[tuple[str, tuple[str, ...]]]]


def test_a_changed_rule_judges_the_next_event_and_the_others_keep_their_state(folder: Path, judge: Judge) -> None:
    assert judge(event(1, "ada"), NOW) == []
    assert judge(event(2, "root"), NOW) == [("Root", ("e2",))]
    (folder / "root.yml").write_text(ROOT % "ada")
    assert judge(event(3, "ada"), NOW + EVERY) == [("Refused often", ("e1", "e2", "e3")), ("Root", ("e3",))]


def test_files_are_not_looked_at_more_often_than_every_few_seconds(folder: Path, judge: Judge) -> None:
    judge(event(1, "bob"), NOW)
    (folder / "root.yml").write_text(ROOT % "ada")
    assert judge(event(2, "ada"), NOW + EVERY - timedelta(seconds=1)) == []


def test_a_broken_file_keeps_the_old_rules_and_is_told_once_with_its_line(
    folder: Path, judge: Judge, caplog: pytest.LogCaptureFixture
) -> None:
    judge(event(1, "bob"), NOW)
    (folder / "root.yml").write_text(
        "title: Root\nlogsource: {product: linux}\ndetection: {it: {user.name|fuzzy: ada}, condition: it}\n"
    )
    with caplog.at_level(logging.ERROR, "tocsin"):
        assert judge(event(2, "root"), NOW + EVERY) == [("Root", ("e2",))]
        os.utime(folder / "root.yml", ns=(1, 1))
        judge(event(3, "bob"), NOW + 2 * EVERY)
    (told,) = caplog.messages
    assert f"{folder / 'root.yml'}:3: " in told


def test_a_rule_set_is_published_by_its_hash_at_first_and_when_it_means_something_else(
    folder: Path, judge: Judge, stream: SqliteStream
) -> None:
    hashes = [digest(read(folder))]
    judge(event(1, "bob"), NOW)
    os.utime(folder / "root.yml", ns=(1, 1))
    judge(event(2, "bob"), NOW + EVERY)
    (folder / "root.yml").write_text(ROOT % "ada")
    hashes.append(digest(read(folder)))
    judge(event(3, "bob"), NOW + 2 * EVERY)
    said = [Command.model_validate_json(one.value) for one in stream.read(COMMANDS, "test", 10, 0).messages]
    assert [one.arguments["hash"] for one in said] == hashes
    assert {(one.verb, one.person, one.proof) for one in said} == {
        ("ruleset", "tocsin", f"process-user uid={os.getuid()}")
    }


def test_the_notifier_passes_over_published_rule_sets(judge: Judge, stream: SqliteStream) -> None:
    judge(event(1, "bob"), NOW)
    notify = Notify(stream, parse({"receiver": "all"}), {"all": [Recorder()]}, wait=0)
    for _ in range(3):
        notify.step(NOW)
    notify.close()
    assert stream.ends(COMMANDS)[0] == 1
    assert not [one for topic in (INCIDENTS, DEADLETTER) for one in stream.read(topic, "test", 10, 0).messages]


def test_what_changed_just_before_a_reload_survives_a_crash_just_after_it(
    stream: SqliteStream, folder: Path, tmp_path: Path
) -> None:
    role = Detect(stream, read(folder), engine="test")
    stream.append(EVENTS, [event(1, "bob")])
    while role.step(NOW):
        pass
    stream.append(EVENTS, [event(2, "bob")])
    while role.step(NOW):  # within a second of the last snapshot: not yet written
        pass
    role.reload(read(folder))
    stream.append(EVENTS, [Message("h", b'{"tocsin.record":"tick"}')])
    for second in range(1, 4):
        role.step(NOW + timedelta(seconds=second))
    again = PromptStream(tmp_path / "stream")
    again.append(EVENTS, [event(4, "bob")])
    successor = Detect(again, read(folder), engine="test")
    while successor.step(NOW + timedelta(seconds=5)):
        pass
    assert ("Refused often", ("e1", "e2", "e4")) in titles(again)
    again.close()
