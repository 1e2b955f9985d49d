"""A list that is changed on a real Kafka: workers of any number, one of them killed, judge by the same commands."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pipeline.streams import COMMANDS, MATCHES, Message
from rules.event import Value, rfc3339
from rules.lists import NEVER
from rules.match import Match, decode
from tests.pipeline.detect_worker import Quick, moment
from tests.pipeline.test_detect_kafka import Fleet, fleets, until
from tests.pipeline.test_lists import RULES, command
from tests.services.kafka import Kafka

pytestmark = pytest.mark.server
PEOPLE = ("ann", "bob", "eve")


def events(number: int, count: int, received: datetime) -> list[Message]:
    """Log-ins that were received at one moment, however much later they are sent."""
    chance = random.Random(number)
    out: list[Message] = []
    for n in range(number, number + count):
        fields: dict[str, Value] = {
            "event.id": f"e{n:04}",
            "@timestamp": rfc3339(received),
            "event.created": rfc3339(received),
            "event.module": "sshd",
            "event.action": "login",
            "user.name": PEOPLE[n % 3],
            "host.id": f"h{chance.randrange(8)}",
        }
        out.append(Message(str(fields["host.id"]), msgspec.json.encode(fields)))
    return out


def change(fleet: Fleet, clock: Quick, after: int, *values: str) -> tuple[int, datetime]:
    """Change the list; return the command's offset, and a moment right behind it by the stream's time."""
    fleet.stream.append(COMMANDS, [command(after, clock(moment()), *values)])
    offset = fleet.stream.ends(COMMANDS)[0] - 1
    return offset, clock(moment()) + timedelta(seconds=1)


def judged(fleet: Fleet) -> dict[str, tuple[int, str]]:
    """Return, for each event that the rule matched, the command that it was judged by and its list's hash."""
    found: list[Match] = []
    end, seen, group = fleet.stream.ends(MATCHES)[0], 0, f"judged-{moment()}"
    while seen < end:
        for one in fleet.stream.read(MATCHES, group, 5000, 0.1).messages:
            seen = one.offset + 1
            record = decode(one.value)
            if isinstance(record, Match) and record.lists:
                found.append(record)
    return {one.event: (one.lists["on_call"].offset, one.lists["on_call"].hash) for one in found}


def test_workers_of_any_number_judge_by_the_list_as_it_was_and_a_kill_changes_nothing(
    kafka: Kafka, tmp_path: Path
) -> None:
    began = moment()
    clock = Quick(began)
    with fleets(kafka.servers, tmp_path, began, RULES) as running:
        told: dict[int, dict[str, tuple[int, str]]] = {}
        offsets: dict[int, list[int]] = {}
        for size, fleet in running.items():
            first, behind_first = change(fleet, clock, NEVER, "ann")
            fleet.publish(events(0, 90, behind_first))
            until(fleet.correlates)
            fleet.start()
            second, behind_second = change(fleet, clock, first, "bob")
            late = events(90, 90, behind_first)  # they waited on their hosts
            fleet.kill_owner()
            fleet.publish([*late, *events(180, 90, behind_second)])
            offsets[size] = [NEVER, first, second]
        for size, fleet in running.items():
            until(fleet.settled)
            told[size] = judged(fleet)
    for size, found in told.items():
        _, first, second = offsets[size]
        on_call = {first: "ann", second: "bob"}
        expected = {
            f"e{n:04}": which for n in range(270) if PEOPLE[n % 3] != on_call[which := first if n < 180 else second]
        }
        assert {name: offset for name, (offset, _) in found.items()} == expected, size
