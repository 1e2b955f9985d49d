"""Host metrics: a sample belongs to its scheduled time, and says what `df` says."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources.host_metrics import HostMetricsSource, file_system, memory, mounts

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN = timedelta(seconds=10)


def _source(position: str | None = None) -> HostMetricsSource:
    source = HostMetricsSource("host_metrics", TEN)
    source.open(position, NOON)
    return source


def test_one_sample_an_interval_at_its_scheduled_time() -> None:
    source = _source()
    first = source.read(NOON + timedelta(seconds=3), 100).records
    assert source.read(NOON + timedelta(seconds=9), 100).records == ()
    second = source.read(NOON + timedelta(seconds=11), 100).records
    assert {record.time for record in first} == {NOON}
    assert {record.time for record in second} == {NOON + TEN}


def test_a_sample_taken_again_after_a_crash_is_the_same_event() -> None:
    first = _source().read(NOON, 100).records
    again = _source().read(NOON + timedelta(seconds=5), 100).records
    assert [record.origin for record in first] == [record.origin for record in again]


def test_after_a_restart_the_interval_already_sampled_is_not_sampled_again() -> None:
    source = _source()
    position = source.position(source.read(NOON, 100).records)
    assert _source(position).read(NOON + timedelta(seconds=5), 100).records == ()


def test_a_file_system_is_as_full_as_the_standard_library_says(tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    sample = file_system(str(tmp_path), "device", "type")
    pct = sample["system.filesystem.used.pct"]
    assert isinstance(pct, float)
    assert pct == pytest.approx(usage.used / (usage.used + usage.free), abs=0.001)
    assert sample["system.filesystem.total"] == usage.total


def test_memory_and_mounts_are_there() -> None:
    actual = memory()["system.memory.actual.used.pct"]
    assert isinstance(actual, float)
    assert 0 < actual < 1
    assert all(Path(mount).is_dir() for mount, _, _ in mounts())
