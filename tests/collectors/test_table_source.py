"""A table by query, on SQLite and a real PostgreSQL: each row once, whatever is stopped, and whoever commits late."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from collectors.sources import Batch, Record
from collectors.sources.database import Access
from collectors.sources.keyset import Overlap
from collectors.sources.table import TableSource
from tests.services.postgres import Postgres

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEN = timedelta(seconds=10)
TURNS = 20_000_000  # reads that never wait, while a query runs in its thread
QUERY = "SELECT id, at, who, statement FROM audit_log"


class Table:
    """An audit table, and the sources that read it one after the other."""

    def __init__(self, access: Access, execute: Callable[[str], object]) -> None:
        self.access, self.execute = access, execute
        self.now = NOON
        self.opened: list[TableSource] = []

    def insert(self, *ids: int) -> None:
        for n in ids:
            self.execute(f"INSERT INTO audit_log VALUES ({n}, '2026-11-22 11:00:00', 'mallory', 'DROP TABLE t{n}')")

    def source(self, position: str | None = None, *, overlap: Overlap = None, text: str | None = None) -> TableSource:
        source = TableSource("table:audit", self.access, TEN, text=text, overlap=overlap)
        source.open(position, self.now)
        self.opened.append(source)
        return source

    def poll(self, source: TableSource, limit: int = 1000) -> Batch:
        """Let the next query run to its end and return what it gave."""
        self.now += TEN
        for _ in range(TURNS):
            batch = source.read(self.now, limit)
            if batch.records or batch.troubles or batch.up_to is not None:
                return batch
        raise AssertionError("no answer")


def ids(records: Sequence[Record]) -> list[int]:
    return [msgspec.json.decode(record.raw, type=dict[str, object])["id"] for record in records]  # type: ignore[misc]


def _made(access: Access, connection: sqlite3.Connection | psycopg.Connection[tuple[object, ...]]) -> Iterator[Table]:
    def execute(statement: str) -> object:
        if isinstance(connection, sqlite3.Connection):
            return connection.execute(statement)
        return connection.execute(statement.encode())

    table = Table(access, execute)
    yield table
    for source in table.opened:
        source.close()
    connection.close()


def _sqlite(folder: Path) -> tuple[Access, sqlite3.Connection]:
    place = str(folder / "app.db")
    connection = sqlite3.connect(place, isolation_level=None)
    connection.execute("CREATE TABLE audit_log (id INTEGER, at TEXT, who TEXT, statement TEXT)")
    return Access("sqlite3", place, QUERY, ["id"]), connection


def _postgres(postgres: Postgres, folder: Path) -> tuple[Access, psycopg.Connection[tuple[object, ...]]]:
    connection = postgres.connect("dba", "acme_staging")
    connection.execute("DROP TABLE IF EXISTS audit_log")
    connection.execute("CREATE TABLE audit_log (id bigint PRIMARY KEY, at timestamptz, who text, statement text)")
    connection.execute("GRANT SELECT ON audit_log TO developer")
    secret = folder / "password"
    secret.write_text(postgres.passwords["developer"] + "\n", "utf-8")
    connect: dict[str, str | int | bool] = {
        "host": "127.0.0.1",
        "port": postgres.port,
        "user": "developer",
        "dbname": "acme_staging",
    }
    access = Access("postgresql", connect, QUERY, ["id"], password_file=secret)
    return access, connection


@pytest.fixture(params=["sqlite3", pytest.param("postgresql", marks=pytest.mark.server)])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    if request.param == "sqlite3":
        yield from _made(*_sqlite(tmp_path))
    else:
        yield from _made(*_postgres(request.getfixturevalue("postgres"), tmp_path))


def _changed(table: Table, **changes: Any) -> Table:
    table.access = replace(table.access, **changes)
    return table


def test_new_rows_are_records_in_order_and_only_what_was_there_at_first_is_backlog(table: Table) -> None:
    table.insert(2, 1)
    source = table.source()
    first = table.poll(source)
    table.insert(3)
    second = table.poll(source)
    assert (ids(first.records), ids(second.records)) == ([1, 2], [3])
    assert [record.backlog for record in [*first.records, *second.records]] == [True, True, False]
    row = msgspec.json.decode(first.records[0].raw, type=dict[str, object])
    assert (row["who"], row["statement"]) == ("mallory", "DROP TABLE t1")
    assert second.up_to == table.now


def test_many_rows_come_in_batches_of_what_is_asked_for(table: Table) -> None:
    table.insert(*range(1, 26))
    source = table.source()
    batches = [table.poll(source, 10) for _ in range(3)]
    assert [len(batch.records) for batch in batches] == [10, 10, 5]
    assert [batch.up_to is None for batch in batches] == [True, True, False]


@pytest.mark.parametrize("overlap", [None, 10])
def test_through_stops_at_any_row_each_row_comes_once_and_has_one_id(table: Table, overlap: Overlap) -> None:
    choose = random.Random(4)
    table.insert(*range(1, 41))
    kept: list[Record] = []
    position: str | None = None
    given: dict[bytes, bytes] = {}
    while len(kept) < 40:
        source = table.source(position, overlap=overlap)
        for _ in range(choose.randrange(1, 3)):
            records = table.poll(source, choose.randrange(1, 9)).records
            done = records[: choose.randrange(0, 9)]
            for record in records:
                assert given.setdefault(record.raw, record.place) == record.place
            kept += done
            if done:
                position = source.position(done[-1:])
            if len(done) < len(records):
                break  # stopped here, the rest not journalled
        source.close()
    assert sorted(ids(kept)) == list(range(1, 41))


def test_a_row_that_was_committed_late_is_read_within_the_overlap_and_none_twice(table: Table) -> None:
    table.insert(5, 7)
    source = table.source(overlap=5)
    first = table.poll(source)
    position = source.position(first.records[-1:])
    table.insert(6, 4)
    assert ids(table.poll(source).records) == [4, 6]
    again = table.source(position, overlap=5)
    found = table.poll(again)
    assert ids(found.records) == [4, 6]
    table.insert(20, 1)
    assert ids(table.poll(again).records) == [20]
    table.insert(14)  # further back than the overlap, as stated
    assert ids(table.poll(again).records) == []


def test_the_text_of_a_row_may_be_the_record(table: Table) -> None:
    table.insert(1)
    source = table.source(text="statement")
    assert [record.raw for record in table.poll(source).records] == [b"DROP TABLE t1"]


def test_a_column_that_the_query_does_not_give_is_named_with_those_that_it_gives(table: Table) -> None:
    source = _changed(table, position=["at", "sequence_number"]).source()
    (said,) = table.poll(source).troubles
    assert said == "table:audit: the query gives no column sequence_number; it gives id, at, who, statement"


def test_a_query_that_is_none_is_told_in_the_databases_own_words(table: Table) -> None:
    source = _changed(table, query="SELECT * FROM no_such_table").source()
    assert "no_such_table" in table.poll(source).troubles[0]


def test_nothing_can_be_written(table: Table) -> None:
    table.insert(1)
    source = _changed(table, query="SELECT 1) x; DELETE FROM audit_log; SELECT * FROM (SELECT 1 AS id").source()
    assert table.poll(source).troubles
    again = _changed(table, query=QUERY).source()
    assert ids(table.poll(again).records) == [1]


def test_rows_that_the_position_cannot_tell_apart_are_told(table: Table) -> None:
    table.insert(1, 2)
    source = _changed(table, position=["who"]).source()
    assert "several rows have the same who" in table.poll(source).troubles[0]


def test_hostile_values_are_data(table: Table) -> None:
    table.execute("INSERT INTO audit_log VALUES (1, NULL, '''; DROP TABLE audit_log; --', '%s %(p1)s ? :p1')")
    source = _changed(table, position=["who", "id"]).source()
    first = table.poll(source)
    position = source.position(first.records)
    table.insert(2)
    assert ids(table.poll(table.source(position)).records) == [2]


def test_another_position_in_the_config_begins_at_the_beginning_and_says_so(table: Table) -> None:
    table.insert(1)
    source = table.source()
    position = source.position(table.poll(source).records)
    again = _changed(table, position=["who", "id"]).source(position)
    assert "`position` was id and is another now" in again.read(NOON, 10).troubles[0]


def test_an_overlap_that_does_not_fit_the_column_is_told(table: Table) -> None:
    table.insert(1)
    source = table.source(overlap=TEN)
    batch = table.poll(source)
    assert "`overlap` must be a number" in batch.troubles[0]
    assert batch.records == ()


def test_a_driver_that_is_not_here_is_named_with_what_brings_it(tmp_path: Path) -> None:
    for driver, said in (("no_such_driver", "pip install 'no_such_driver'"), ("json", "no DB-API 2.0 driver")):
        table = Table(Access(driver, "", QUERY, ["id"]), lambda statement: None)
        source = table.source()
        assert said in table.poll(source).troubles[0]
        source.close()
    assert tmp_path.exists()


def test_a_query_without_end_is_told_and_ended(tmp_path: Path) -> None:
    access, _ = _sqlite(tmp_path)
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id FROM n"
    table = _changed(Table(access, lambda statement: None), query=endless)
    source = table.source()
    assert source.read(NOON, 10).troubles == []
    assert list(source.read(NOON + timedelta(seconds=29), 10).troubles) == []
    said = source.read(NOON + timedelta(seconds=31), 10).troubles
    assert "has not ended within 30 s" in said[0]
    table.now = NOON + timedelta(seconds=31)
    assert "interrupted" in table.poll(source).troubles[0]
    source.close()


# PostgreSQL alone


@pytest.fixture
def audit(postgres: Postgres, tmp_path: Path) -> Iterator[Table]:
    yield from _made(*_postgres(postgres, tmp_path))


def test_committers_side_by_side_lose_no_row_within_the_overlap(audit: Table, postgres: Postgres) -> None:
    """Four writers take numbers and commit in another order, while the source polls and is stopped."""
    choose = random.Random(7)
    writers = [postgres.connect("dba", "acme_staging") for _ in range(4)]
    for writer in writers:
        writer.autocommit = False
    position: str | None = None
    kept: list[Record] = []
    number = 0
    source = audit.source(overlap=8)
    for _ in range(60):
        for writer in choose.sample(writers, 3):
            number += 1
            writer.execute(f"INSERT INTO audit_log VALUES ({number}, now(), 'w', 'x')".encode())
            if choose.random() < 0.7:
                writer.commit()
        if any(_begun(writer) < number - 7 for writer in writers):
            for writer in writers:
                writer.commit()
        records = audit.poll(source).records
        kept += records
        position = source.position(records[-1:]) if records else position
        if choose.random() < 0.2:
            source.close()
            source = audit.source(position, overlap=8)
    for writer in writers:
        writer.commit()
        writer.close()
    kept += audit.poll(source).records
    assert sorted(ids(kept)) == list(range(1, number + 1))


def _begun(writer: psycopg.Connection[tuple[object, ...]]) -> int:
    """Return the least number that the writer has taken and not committed, far above all if none."""
    row = writer.execute(
        b"SELECT coalesce(min(id), 1000000) FROM audit_log WHERE xmin::text = (pg_current_xact_id_if_assigned())::text"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_wrong_password_and_a_database_that_is_away_are_told_and_reading_goes_on_after(
    audit: Table, postgres: Postgres, tmp_path: Path
) -> None:
    audit.insert(1)
    secret = tmp_path / "password"
    right = secret.read_text("utf-8")
    secret.write_text("wrong", "utf-8")
    source = audit.source()
    assert "password authentication failed" in audit.poll(source).troubles[0]
    secret.write_text(right, "utf-8")
    assert ids(audit.poll(source).records) == [1]
    postgres.process.kill()
    try:
        assert audit.poll(source).troubles
        assert "Connection refused" in audit.poll(source).troubles[0]
    finally:
        postgres.start()
    with postgres.connect("dba", "acme_staging") as back:
        back.execute(b"INSERT INTO audit_log VALUES (2, now(), 'x', 'y')")
    assert ids(audit.poll(source).records) == [2]


def test_a_query_that_takes_too_long_is_ended_by_the_server(audit: Table) -> None:
    slow = "SELECT 1 AS id, pg_sleep(60)"
    source = _changed(audit, query=slow, timeout=timedelta(milliseconds=200)).source()
    assert (
        "statement timeout" in audit.poll(source).troubles[0] or "statement timeout" in audit.poll(source).troubles[0]
    )


def test_the_password_stands_in_no_message(audit: Table, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2hunter2", "utf-8")
    source = audit.source()
    assert "hunter2" not in audit.poll(source).troubles[0]


def test_times_are_the_same_text_whatever_zone_the_session_is_in(audit: Table) -> None:
    audit.insert(1)
    first = audit.poll(audit.source()).records
    connect = {**dict(audit.access.connect), "options": "-c timezone=Asia/Tokyo"}  # type: ignore[arg-type]
    second = audit.poll(_changed(audit, connect=connect).source()).records
    assert [record.raw for record in first] == [record.raw for record in second]


def test_a_time_that_python_has_none_for_hides_no_other_row(audit: Table) -> None:
    audit.insert(1)
    for n, moment in ((2, "infinity"), (3, "20000-01-01")):
        audit.execute(f"INSERT INTO audit_log VALUES ({n}, '{moment}', 'mallory', 'x')")
    audit.insert(4)
    found = audit.poll(audit.source()).records
    assert ids(found) == [1, 2, 3, 4]
    assert b'"at":"infinity"' in found[1].raw


def test_a_position_in_the_future_is_told(audit: Table) -> None:
    audit.execute("INSERT INTO audit_log VALUES (1, '2999-01-01', 'mallory', 'x')")
    source = _changed(audit, position=["at", "id"]).source()
    (said,) = audit.poll(source).troubles
    assert "a row has at 2999-01-01T00:00:00+00:00, in the future" in said
