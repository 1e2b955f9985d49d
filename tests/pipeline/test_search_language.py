"""The search language: what is written, what it means, and what is said of what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.language import SearchError, parse
from rules.evaluate import compiled
from rules.event import Value
from rules.predicate import And, Field, Keyword, Not, Null, Or, Text, Wildcard

EVENT: dict[str, Value] = {
    "@timestamp": "2026-11-22T10:00:00.500000Z",
    "user.name": "Root",
    "source.ip": "fe80::1",
    "source.port": 22,
    "process.command_line": r'C:\temp\a.exe "x" (y)',
    "message": "Accepted publickey for root: OR else",
    "a field": "odd",
}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        "user.name:root",
        "user.name:ROOT",
        'user.name:"root"',
        "user.name:r*",
        "user.name:r??t",
        "user.name:*",
        "user.name:(root OR ada)",
        "user.name:(r* AND NOT ada)",
        "user.name:root source.port:22",
        "user.name:root AND source.port:22",
        "user.name:ada OR source.port:22",
        "NOT user.name:ada",
        "NOT NOT user.name:root",
        "-user.name:ada",
        "NOT (user.name:ada OR source.port:23)",
        "source.ip:fe80::1",
        'source.ip:"fe80::1"',
        "source.ip:fe80:*",
        "source.port:>21",
        "source.port:>=22",
        "source.port:<=22",
        "source.port:<22.5",
        "source.port:[22 TO 22]",
        "source.port:[* TO 22]",
        "source.port:{21 TO *]",
        "@timestamp:>=2026-11-22",
        "@timestamp:<2026-11-23",
        "@timestamp:[2026-11-22 TO 2026-11-22]",
        "@timestamp:>2026-11-22T10:00:00Z",
        "@timestamp:<=2026-11-22T11:00:01+01:00",
        "publickey",
        "PUBLICKEY",
        '"for root"',
        '"OR else"',
        "accepted AND root",
        "root OR nonsense",
        r"process.command_line:C\:\\temp*",
        r'"C:\\temp\\a.exe"',
        r"\(y\)",
        r"a\ field:odd",
        '"a field":odd',
        "fe80*1",
    ],
)
def test_the_query_holds_for_the_event(query: str) -> None:
    assert compiled(parse(query))(EVENT)


@pytest.mark.parametrize(
    "query",
    [
        "user.name:ro",
        "user.name:ada",
        "user.name:(ada OR eve)",
        "NOT user.name:root",
        "user.name:root AND source.port:23",
        "source.port:>22",
        "source.port:{22 TO *]",
        "source.port:[1 TO 22}",
        "@timestamp:>2026-11-22",
        "@timestamp:<2026-11-22",
        "@timestamp:>=2026-11-22T10:00:01Z",
        "no.such.field:*",
        "nonsense",
        '"root for"',
        '"r*t"',
        r"user.name:r\*",
    ],
)
def test_the_query_does_not_hold_for_the_event(query: str) -> None:
    assert not compiled(parse(query))(EVENT)


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    a, b, c = (Field("f", Text((name,))) for name in "abc")
    assert parse("f:a OR f:b AND NOT f:c") == Or((a, And((b, Not(c)))))


def test_a_star_alone_asks_that_the_field_is_there() -> None:
    assert parse("user.name:*") == Not(Field("user.name", Null()))


def test_wildcards_of_a_phrase_are_literal_and_of_a_word_are_not() -> None:
    assert parse('"a*"') == Keyword(Text(("a*",)))
    assert parse("a*") == Keyword(Text(("a", Wildcard.ANY)))


@pytest.mark.parametrize(
    ("query", "column", "meant"),
    [
        ("user.name:", 10, "user.name:* asks that it is there"),
        ("user.name: root", 10, "the value of user.name is missing"),
        ("(user.name:root", 1, "never closed"),
        ("user.name:root)", 15, "closes nothing"),
        ('say "hello', 5, "never closed"),
        ("a AND", 6, "missing"),
        ("OR a", 1, "joins two terms"),
        ("a AND OR b", 7, "joins two terms"),
        ("NOT", 4, "missing"),
        ("()", 1, "nothing stands between"),
        (":root", 1, "field:value"),
        ("port:[1 2]", 9, "[low TO high]"),
        ("port:[1 TO 2", 6, "never closed"),
        ("port:>", 7, "wants a number"),
        ("us*r:root", 1, "without wildcards"),
        ("a ] b", 3, "in quotes"),
        ("(" * 60 + "a" + ")" * 60, 52, "parentheses within each other"),
        ("x" * 10_001, 10_001, "at most"),
    ],
)
def test_a_fault_names_the_column_and_what_was_meant(query: str, column: int, meant: str) -> None:
    with pytest.raises(SearchError, match="column") as told:
        parse(query)
    assert told.value.column == column
    assert meant in str(told.value)


@given(st.text(alphabet='abc:"()[]{}<>=*?\\ \n-ANDORTO', max_size=40))
def test_any_text_is_read_or_refused_with_a_column_within_it(query: str) -> None:
    column = 1
    try:
        parse(query)
    except SearchError as error:
        column = error.column
    assert 1 <= column <= len(query) + 1


@given(st.text(max_size=30))
def test_any_value_can_be_searched_for_as_a_phrase(value: str) -> None:
    phrase = value.replace("\\", "\\\\").replace('"', '\\"')
    assert compiled(parse(f'user.name:"{phrase}"'))({"user.name": value})
