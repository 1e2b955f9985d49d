"""A command on a schedule, with real programs: what it prints, and what it does wrong."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Batch, Record
from collectors.sources.command import CommandSource, Schedule

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TURNS = 1_000_000  # reads that never wait: a program needs milliseconds


def schedule(*command: str) -> Schedule:
    return Schedule(command, MINUTE, timedelta(seconds=10))


def shell(script: str) -> Schedule:
    return schedule("/bin/sh", "-c", script)


def opened(what: Schedule, position: str | None = None, now: datetime = NOON) -> CommandSource:
    source = CommandSource("command:test", what)
    source.open(position, now)
    return source


def until_something(source: CommandSource, now: datetime = NOON, limit: int = 100) -> Batch:
    """Read until it gives records or troubles: as the role does, again and again."""
    for _ in range(TURNS):
        batch = source.read(now, limit)
        if batch.records or batch.troubles:
            return batch
    raise AssertionError("nothing came")


def raws(records: Sequence[Record]) -> list[bytes]:
    return [record.raw for record in records]


def test_each_line_is_a_record_known_by_its_scheduled_time_and_number() -> None:
    source = opened(shell("printf 'one\\n\\ntwo\\377\\0'"))
    first = until_something(source, NOON + timedelta(seconds=7))
    again = until_something(opened(shell("printf 'one\\n\\ntwo\\377\\0'")), NOON + timedelta(seconds=50))
    assert raws(first.records) == [b"one", b"two\xff\0"]
    assert [r.origin for r in first.records] == [r.origin for r in again.records]
    later = until_something(source, NOON + MINUTE)
    assert raws(later.records) == raws(first.records)
    assert not {r.origin for r in later.records} & {r.origin for r in first.records}


def test_it_runs_once_an_interval() -> None:
    source = opened(shell("echo x"))
    until_something(source)
    assert [source.read(NOON + timedelta(seconds=n), 10).records for n in range(1, 60)] == [[]] * 59
    assert raws(until_something(source, NOON + MINUTE).records) == [b"x"]


def test_nothing_waits_for_it(tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    source = opened(schedule("cat", str(fifo)))
    batches = [source.read(NOON + timedelta(seconds=n), 10) for n in range(9)]
    source.close()
    assert all(not batch.records and not batch.troubles for batch in batches)
    assert {batch.up_to for batch in batches} == {NOON}  # nothing is claimed of the time since it began


def test_one_that_takes_too_long_is_ended_with_its_children_and_what_it_printed_is_kept(tmp_path: Path) -> None:
    fifo, pid = tmp_path / "never", tmp_path / "pid"
    os.mkfifo(fifo)
    source = opened(shell(f"echo early; cat {fifo} & echo $! > {pid}; wait"))
    for _ in range(TURNS):
        source.read(NOON, 10)
        if pid.exists() and pid.read_text("ascii").strip():
            break
    child = os.pidfd_open(int(pid.read_text("ascii")))  # readable when it has ended
    batch = until_something(source, NOON + timedelta(seconds=10))
    assert raws(batch.records) == [b"early"]
    assert batch.troubles == ["command:test: was ended after 10 s; raise `timeout` if it needs more"]
    assert select.select([child], [], [], 60)[0], "its child still runs"
    os.close(child)


def test_its_status_and_its_error_output_are_told() -> None:
    (said,) = until_something(opened(shell("echo out; echo 'no \033[2J right' >&2; exit 3"))).troubles
    assert said == "command:test: ended with status 3: no ?[2J right"
    (said,) = until_something(opened(shell("kill -9 $$"))).troubles
    assert said == "command:test: was ended by signal 9"
    (said,) = until_something(opened(shell("echo careful >&2"))).troubles
    assert said == "command:test: says on its error output: careful"


def test_one_that_still_runs_when_it_is_due_again_is_not_run_twice(tmp_path: Path) -> None:
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    source = opened(replace(schedule("cat", str(fifo)), timeout=timedelta(minutes=5)))
    source.read(NOON, 10)
    troubles = [trouble for n in range(1, 4) for trouble in source.read(NOON + n * MINUTE, 10).troubles]
    source.close()
    assert len(troubles) == 3
    assert "still runs when it is due again" in troubles[0]


def test_it_has_no_shell_no_input_and_hardly_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", "secret")
    found = raws(until_something(opened(replace(schedule("env"), env={"PGHOST": "db-7"}))).records)
    assert {line.split(b"=")[0] for line in found} == {b"PATH", b"LANG", b"HOME", b"PGHOST"}
    assert raws(until_something(opened(schedule("echo", "$HOME; rm", "`x`"))).records) == [b"$HOME; rm `x`"]
    assert raws(until_something(opened(shell("wc -c; pwd"))).records) == [b"0", b"/"]


def test_more_than_it_may_print_is_cut_ended_and_told_as_lost() -> None:
    source = opened(replace(schedule("yes"), longest=1000))
    batch = until_something(source, limit=1000)
    assert raws(batch.records) == [b"y"] * 500
    assert "printed more than 1000 bytes" in batch.troubles[0]
    assert "printed more than 1000 bytes" in batch.losses[0].reason


@pytest.mark.parametrize(
    ("command", "said"),
    [("no-such-program", "no program 'no-such-program'"), ("/etc/passwd", "'/etc/passwd' may not be run")],
)
def test_what_cannot_be_run_is_told_with_what_to_do(command: str, said: str) -> None:
    source = opened(schedule(command))
    assert said in source.read(NOON, 10).troubles[0]
    assert source.read(NOON, 10) == Batch([], NOON, [], [])


def test_lines_that_were_not_journalled_come_again_within_the_interval_and_only_those() -> None:
    source = opened(shell("seq 5"))
    first = until_something(source, limit=3)
    rest = source.read(NOON, 10)
    again = opened(shell("seq 5"), source.position(first.records))
    assert until_something(again, NOON + timedelta(seconds=30)).records == rest.records
    done = opened(shell("seq 5"), again.position(rest.records))
    assert done.read(NOON + timedelta(seconds=40), 10).records == []


def test_lines_that_cannot_come_again_are_a_loss() -> None:
    source = opened(shell("seq 5"))
    position = source.position(until_something(source, limit=3).records)
    late = opened(shell("seq 5"), position, NOON + MINUTE)
    (loss,) = late.read(NOON + MINUTE, 10).losses
    late.close()
    assert (loss.records, "the last 2 lines of the run at 2026-11-22T12:00:00+00:00" in loss.reason) == (2, True)
