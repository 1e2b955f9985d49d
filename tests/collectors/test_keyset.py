"""Where reading stands in a table, as SQL: every placeholder style, the same rows; and as text, undone."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.sources import keyset

COLUMNS = ("a", "b")
ROWS = st.lists(st.tuples(st.integers(0, 4) | st.none(), st.integers(0, 4) | st.none()), max_size=30)


def select(
    rows: list[tuple[int | None, int | None]], after: tuple[int, ...] | None, *, inclusive: bool
) -> list[object]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (a, b)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    sql, bound = keyset.statement("SELECT b, a FROM t", COLUMNS, after, "qmark", inclusive=inclusive)
    found = connection.execute(sql, tuple(bound)).fetchall()
    connection.close()
    return [(a, b) for b, a in found]


@given(ROWS, st.none() | st.tuples(st.integers(0, 4), st.integers(0, 4)) | st.tuples(st.integers(0, 4)), st.booleans())
def test_what_follows_a_key_is_what_python_says_follows_it(
    rows: list[tuple[int | None, int | None]], after: tuple[int, ...] | None, inclusive: bool
) -> None:
    known = sorted((a, b) for a, b in rows if a is not None and b is not None)
    cut = len(after or ())
    expected = [row for row in known if after is None or row[:cut] > after or (inclusive and row[:cut] == after)]
    assert select(rows, after, inclusive=inclusive) == expected


@pytest.mark.parametrize(
    ("style", "mark", "bound"),
    [
        ("qmark", "?", (1, 1)),
        ("numeric", ":2", (1, 1)),
        ("format", "%s", (1, 1)),
        ("named", ":p2", {"p1": 1, "p2": 1}),
        ("pyformat", "%(p2)s", {"p1": 1, "p2": 1}),
    ],
)
def test_values_are_bound_in_the_drivers_own_style(style: str, mark: str, bound: object) -> None:
    sql, found = keyset.statement("SELECT a FROM t WHERE x LIKE '%y'", ["a"], (1,), style)
    assert f"a > {mark}" in sql
    assert found == bound
    assert ("'%%y'" in sql) is (style in ("format", "pyformat"))


@pytest.mark.parametrize(
    "value",
    [
        *(7, -(10**30), "it's", "", Decimal("1.50"), b"\0\xff", date(2026, 11, 22)),
        datetime(2026, 11, 22, 12, 0, 0, 5, UTC),
        datetime(2026, 11, 22, 12),  # noqa: DTZ001  a column without a zone
    ],
)
def test_a_value_that_is_stored_is_the_same_value_again(value: object) -> None:
    again = keyset.decode(keyset.encode(value))
    assert (again, type(again)) == (value, type(value))


@pytest.mark.parametrize("value", [1.5, None, True, [1]])
def test_what_has_no_exact_order_is_no_position(value: object) -> None:
    with pytest.raises(keyset.KeyFault, match="cannot be a position"):
        keyset.encode(value)


def test_an_overlap_is_of_the_columns_own_kind() -> None:
    assert keyset.before(10, 3) == 7
    assert keyset.before(datetime(2026, 11, 22, 12, tzinfo=UTC), timedelta(hours=1)) == datetime(
        2026, 11, 22, 11, tzinfo=UTC
    )
    for value, overlap in ((10, timedelta(1)), (datetime(2026, 1, 1, tzinfo=UTC), 3), ("x", 3)):
        with pytest.raises(keyset.KeyFault, match="`overlap` must be"):
            keyset.before(value, overlap)
