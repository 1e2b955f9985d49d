"""Whole days go by class, the oldest first, and never what is still to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.indexes.retention import expire, shrink
from pipeline.indexes.sqlite import SqliteIndex
from rules.event import EventClass

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Shelf:
    """An index that is only its days."""

    held: list[tuple[EventClass, date, int]] = field(default_factory=list)

    def days(self) -> Sequence[tuple[EventClass, date, int]]:
        return sorted(self.held, key=lambda one: one[1])

    def drop(self, event_class: EventClass, before: date) -> int:
        old = [one for one in self.held if one[0] == event_class and one[1] < before]
        self.held = [one for one in self.held if one not in old]
        return len(old)


def shelf(**days: Sequence[int]) -> Shelf:
    """Days of November by class, each of 100 bytes."""
    classes: tuple[EventClass, ...] = ("auth", "db", "metrics")
    return Shelf([(one, date(2026, 11, day), 100) for one in classes for day in days.get(one, ())])


def left(index: Shelf) -> list[tuple[str, int]]:
    return [(event_class, day.day) for event_class, day, _ in index.days()]


def test_each_class_is_kept_for_its_own_time() -> None:
    index = shelf(auth=[1, 20], metrics=[1, 20])
    assert expire(index, {"auth": timedelta(days=365), "metrics": timedelta(days=14)}, NOW) == 1
    assert left(index) == [("auth", 1), ("auth", 20), ("metrics", 20)]


def test_a_day_stays_while_any_moment_of_it_is_to_be_kept() -> None:
    index = shelf(metrics=[20, 21])
    expire(index, {"metrics": timedelta(days=1)}, NOW)
    assert left(index) == [("metrics", 21)]


def test_above_the_limit_the_oldest_days_go_first_whatever_their_class() -> None:
    index = shelf(auth=[1, 3], db=[2, 4])
    assert shrink(index, 250, NOW) == 2
    assert left(index) == [("auth", 3), ("db", 4)]


def test_within_the_limit_nothing_goes() -> None:
    index = shelf(auth=[1, 3])
    assert shrink(index, 200, NOW) == 0


def test_the_day_that_is_being_written_stays() -> None:
    index = shelf(auth=[22], db=[21])
    assert shrink(index, 0, NOW) == 1
    assert left(index) == [("auth", 22)]


def test_a_file_that_is_not_the_indexs_stops_nothing_and_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = SqliteIndex(tmp_path)
    names = ["auth-2026-11-22.bak.db", "foo-2026-11-22.db", "auth-2026-13-45.db", "-.db"]
    for name in names:
        (tmp_path / name).write_bytes(b"rubbish")
    for _ in range(2):
        assert expire(index, {"auth": timedelta(days=1)}, datetime(2030, 1, 1, tzinfo=UTC)) == 0
        assert index.drop("auth", date(2030, 1, 1)) == 0
        assert list(index.scan(None, None)) == []
    index.close()
    assert sorted(path.name for path in tmp_path.glob("*.db")) == sorted(names)
    assert len(caplog.messages) == len(names)
