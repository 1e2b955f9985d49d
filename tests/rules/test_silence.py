"""Absence: what was there and is no more, judged only as far as somebody looked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipeline.records import heartbeat, tick
from pipeline.roles.detect import Detect
from pipeline.streams import ALERTS, EVENTS, Message
from rules.alert import Alert
from rules.correlator import Correlator
from rules.event import Value
from rules.match import Marker, Verdict
from rules.ruleset import load
from tests.pipeline.memory_stream import Log, MemoryStream

BEGAN = datetime(2026, 11, 22, 2, tzinfo=UTC)
LIBRARY = Path(__file__).parents[2] / "rules" / "library" / "tocsin" / "host_silent.yml"
BACKUP = """
title: No backup
id: 1b8f4a52-7a1c-4c0e-9f3d-2d6c8e1f5a78
logsource: {category: application}
detection: {done: {event.action: backup-done}, condition: done}
level: high
alert: {kind: condition, key: [host.id], absent: 2m}
"""
RULES = load([("host_silent.yml", LIBRARY.read_text("utf-8")), ("backup.yml", BACKUP)], {})
SILENT, MISSED = (one.about.id for one in RULES.rules)
MEANING = {one.about.id: one.about.meaning for one in RULES.rules}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def there(rule: str, seconds: float, *, source: str = "a", up_to: float | None = None) -> Verdict:
    time = at(seconds if up_to is None else up_to)
    fields: dict[str, Value] = {"host.id": "h", "tocsin.source": source}
    return Verdict(
        rule, MEANING[rule], "there", {"host.id": "h"}, f"e{time:%H%M%S}", time, at(seconds), at(seconds), fields
    )


class Told:
    """A correlator, and what it told: (second, step, title)."""

    def __init__(self) -> None:
        self.correlator = Correlator(RULES, "test")
        self.said: list[tuple[int, str, str]] = []
        self.ids: list[str] = []

    def feed(self, record: Verdict | Marker, seconds: int) -> None:
        for alert in self.correlator.feed(record, at(seconds)):
            self.said.append((seconds, alert.step, alert.rule.title))
            self.ids.append(alert.id)

    def tick(self, seconds: int) -> None:
        self.feed(Marker(0, at(seconds)), seconds)

    def ticks(self, first: int, last: int) -> None:
        for second in range(first, last + 1, 10):
            self.tick(second)


def test_a_host_that_falls_silent_is_told_once_and_resolves_when_it_is_heard_again() -> None:
    told = Told()
    for second in range(0, 61, 15):
        told.feed(there(SILENT, second), second)
    told.ticks(70, 900)
    told.feed(there(SILENT, 910), 910)
    told.ticks(920, 1000)
    assert told.said == [(360, "fired", "Host silent"), (910, "resolved", "Host silent")]
    assert told.ids[0] == told.ids[1]


def test_a_gap_in_the_clock_gives_what_was_held_back_time_to_come() -> None:
    told = Told()
    told.feed(there(SILENT, 0), 0)
    told.ticks(10, 60)
    told.tick(1000)  # nobody appended ticks for a quarter of an hour
    told.ticks(1010, 1290)
    assert told.said == []
    told.tick(1300)
    assert told.said == [(1300, "fired", "Host silent")]


def test_absence_is_judged_only_up_to_where_its_source_was_read() -> None:
    told = Told()
    told.feed(there(SILENT, 0), 0)
    told.feed(there(MISSED, 0), 0)
    for second in range(10, 200, 10):  # another source tells; the one of the backup stands still
        told.feed(there(SILENT, second, source="b"), second)
    assert told.said == []
    told.feed(there(SILENT, 200, up_to=110), 200)
    assert told.said == []
    told.feed(there(SILENT, 210, up_to=125), 210)
    told.tick(220)
    assert told.said == [(220, "fired", "No backup")]
    told.feed(there(MISSED, 230), 230)
    assert told.said[1:] == [(230, "resolved", "No backup")]


def test_a_silent_host_inhibits_its_other_absences() -> None:
    told = Told()
    told.feed(there(SILENT, 0), 0)
    told.feed(there(MISSED, 1), 1)
    told.ticks(10, 2000)
    assert told.said == [(300, "fired", "Host silent")]


def test_a_successor_goes_on_waiting() -> None:
    told = Told()
    told.feed(there(SILENT, 0), 0)
    told.ticks(10, 200)
    successor = Told()
    successor.correlator.clock = told.correlator.clock
    successor.correlator.restore(told.correlator.changed())
    successor.ticks(210, 1000)
    assert [step for _, step, _ in successor.said] == ["fired"]
    assert told.said == []


def test_a_worker_passes_on_heartbeats_that_a_rule_waits_for_and_no_more_of_them_than_it_takes() -> None:
    log = Log(1, BEGAN)
    source, role = MemoryStream(log), Detect(MemoryStream(log), RULES, engine="test")
    for second in range(0, 700):
        log.now = at(second)
        if second < 60:
            source.append(EVENTS, [Message("h", msgspec.json.encode(heartbeat("h", "a", at(second))))])
        source.append(EVENTS, [Message("h", tick(at(second)))])
        role.step(log.now)
        role.step(log.now)
    told = [Alert.model_validate_json(one.value) for one in log.topic(ALERTS)[0]]
    assert [(one.step, one.rule.title, one.key) for one in told] == [("fired", "Host silent", {"host.id": "h"})]
    passed = [one for one in log.topic("audit.matches")[0] if b'"there"' in one.value]
    assert len(passed) == 6


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("{absent: 5m}", "alert: 'absent' is for 'kind: condition'"),
        ("{kind: condition, key: [a], absent: soon}", "alert.absent: 'soon' is no duration such as 30s, 5m, 2h, 1d"),
        ("{kind: condition, key: [a], absent: 5m, for: 1m}", "alert: 'for' says nothing beside 'absent'"),
    ],
)
def test_an_absence_is_held_to_its_words(block: str, fault: str) -> None:
    text = (
        f"title: t\nid: {SILENT}\nlogsource: {{product: x}}\ndetection: {{s: {{a: b}}, condition: s}}\nalert: {block}\n"
    )
    assert fault in str(load([("t.yml", text)], {}).errors[0])
