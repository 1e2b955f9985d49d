"""The embedded archive damaged beyond its documents: what cannot be read is a finding, never a crash."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pipeline.indexes import Document
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.verify.judge import Anchor, Finding, judge
from pipeline.verify.spool import ALTERED, LETTER, SOUND, Row, Spool
from rules.event import rfc3339

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def stored(folder: Path, count: int = 40) -> Path:
    index = SqliteIndex(folder)
    for n in range(count):
        value = {"event.id": f"{n:032x}", "@timestamp": rfc3339(NOON), "user.name": "root"}
        index.put([Document(f"{n:032x}", "auth", NOON, msgspec.json.encode(value))])
    index.close()
    return folder / "auth-2026-11-22.db"


def faults(folder: Path) -> list[str]:
    index = SqliteIndex(folder)
    found = [one.fault for one in index.scan(None, None) if one.fault]
    index.close()
    return found


def test_a_sound_file_has_no_faults(tmp_path: Path) -> None:
    stored(tmp_path)
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("statement", "count"),
    [
        ("DELETE FROM documents WHERE first = 5", 1),
        ("DELETE FROM documents", 40),
        ("UPDATE documents SET value = x'00ff' WHERE first = 5", 1),
        ("UPDATE hits SET user = 'nobody' WHERE n = 5", 1),
        ("UPDATE hits SET time = time + 1 WHERE n = 5", 1),
        ("UPDATE documents SET dictionary = 99 WHERE first = 5", 1),
        ("DELETE FROM dictionaries", 40),
    ],
)
def test_each_kind_of_damage_is_named(tmp_path: Path, statement: str, count: int) -> None:
    path = stored(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    assert len(faults(tmp_path)) == count


def test_a_file_that_is_none_is_one_fault(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.write_bytes(b"x" * 9000)
    (fault,) = faults(tmp_path)
    assert fault.startswith("the file cannot be read: ")


def rows(*numbers: int, worth: int = SOUND) -> list[Row]:
    return [Row(1, n, worth, n.to_bytes(16, "big"), n.to_bytes(16, "big"), 800_000) for n in numbers]


@pytest.mark.parametrize("run", [1, 3, 1000])
def test_rows_come_back_by_chain_and_number_however_many_runs_there_were(run: int) -> None:
    spool = Spool(run)
    for n in (5, 1, 4, 2, 3):
        for chain in (2, 1, 7):
            spool.add(Row(chain, n, SOUND, bytes(16), bytes(16), 9, old=n == 2))
    spool.sort()
    assert [(row.number, row.old) for row in spool.of(1)] == [(1, False), (2, True), (3, False), (4, False), (5, False)]
    assert list(spool.of(3)) == []
    assert len(list(spool.of(7))) == 5
    spool.close()


def kinds(found: list[Finding]) -> list[tuple[str, int, int]]:
    return [(one.kind, one.first, one.last) for one in found]


def test_an_altered_record_is_not_missing_too() -> None:
    there = [*rows(1, 2), *rows(3, worth=ALTERED), *rows(4, 6)]
    assert kinds(judge(there, [], start=1, kept=0).findings) == [("altered", 3, 3), ("missing", 5, 5)]


def test_a_record_that_is_kept_twice_is_doubled_unless_it_was_set_aside() -> None:
    once, twice = rows(1, 2, 3), rows(2)
    assert kinds(judge([once[0], once[1], *twice, once[2]], [], start=1, kept=0).findings) == [("doubled", 2, 2)]
    letter = rows(2, worth=LETTER)
    assert judge([once[0], once[1], *letter, once[2]], [], start=1, kept=0).findings == []


def test_a_hole_beside_days_that_may_have_gone_is_said_only() -> None:
    found = judge(rows(1, 2, 9), [], start=1, kept=800_000)
    assert found.findings == []
    assert found.unknown[0] == "numbers 3 to 8: they may be older than what is kept"


def test_a_tail_is_cut_only_where_it_must_have_arrived() -> None:
    anchor = Anchor(5, "", "the anchor", sure=True)
    assert kinds(judge(rows(1, 2, 3), [anchor], start=1, kept=0).findings) == [("cut", 4, 5)]
    unsure = judge(rows(1, 2, 3), [Anchor(5, "", "the anchor", sure=False)], start=1, kept=0)
    assert unsure.findings == []
    assert unsure.unknown == ["numbers to 5, which the anchor states, may still be on the way"]


def test_a_chain_that_was_sealed_anew_shows_by_its_head() -> None:
    from collectors.chain import Link

    link = Link("")
    for row in rows(1, 2, 3):
        link.add(row.mac)
    good = Anchor(3, link.head.hex(), "the anchor", sure=True)
    assert judge(rows(1, 2, 3), [good], start=1, kept=0).findings == []
    anew = [Row(1, n, SOUND, bytes(16), bytes(16), 800_000) for n in (1, 2, 3)]
    assert kinds(judge(anew, [good], start=1, kept=0).findings) == [("head", 1, 3)]


def test_a_number_that_is_far_off_costs_nothing() -> None:
    found = judge([*rows(1), *rows(2**62)], [], start=1, kept=0)
    assert kinds(found.findings) == [("missing", 2, 2**62 - 1)]
