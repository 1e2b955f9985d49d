"""What every Index promises, asked of every adapter; above all that each finds what memory finds (law 4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.indexes import Document, Index, Page, Query, Retained
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.search.language import parse
from rules import predicate as p
from rules.evaluate import compiled
from rules.event import EventClass, Value, rfc3339

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERYTHING = p.And(())
_numbers = itertools.count()


@dataclass(frozen=True)
class Subject:
    """An adapter under test: `open` gives an empty index, `settle` makes what was put searchable."""

    open: Callable[[], Index]
    settle: Callable[[], object]


@pytest.fixture
def opened() -> Iterator[list[Index]]:
    indexes: list[Index] = []
    yield indexes
    for index in indexes:
        index.close()


@pytest.fixture(params=["sqlite", "sqlite by words", pytest.param("elasticsearch", marks=pytest.mark.server)])
def subject(request: pytest.FixtureRequest, tmp_path: Path, opened: list[Index]) -> Subject:
    def embedded() -> Index:
        patience = 1 if request.param == "sqlite by words" else 1_000
        opened.append(SqliteIndex(tmp_path / f"index-{next(_numbers)}", patience=patience))
        return opened[-1]

    if request.param != "elasticsearch":
        return Subject(embedded, lambda: None)
    server = request.getfixturevalue("elasticsearch")

    def remote() -> Index:
        from pipeline.indexes.elasticsearch import ElasticsearchIndex

        prefix = f"tocsin-{request.node.name.lower()[:20]}{next(_numbers)}".replace("_", "").replace("[", "")
        opened.append(
            ElasticsearchIndex(
                server.hosts, username=server.username, password=server.password, ca_file=server.ca_file, prefix=prefix
            )
        )
        return opened[-1]

    return Subject(remote, lambda: server.request("POST", "/tocsin-*/_refresh"))


@pytest.fixture
def index(subject: Subject) -> Index:
    return subject.open()


def document(number: int, event_class: EventClass = "auth", *, time: datetime = NOON, **fields: Value) -> Document:
    """An event; in names of keyword arguments `_` stands for `.`."""
    named = {name.replace("_", "."): value for name, value in fields.items()}
    return with_fields(number, event_class, time, named)


def with_fields(number: int, event_class: EventClass, time: datetime, fields: dict[str, Value]) -> Document:
    id_ = f"{number:032x}"
    base: dict[str, Value] = {"@timestamp": rfc3339(time), "event.id": id_, "tocsin.class": event_class}
    return Document(id_, event_class, time, msgspec.json.encode(base | fields))


def numbers(page: Page) -> list[int]:
    return [int(event.id, 16) for event in page.hits]


def ask(index: Index, query: str, **bounds: datetime) -> list[int]:
    return numbers(index.search(Query(parse(query), limit=1000, **bounds)))


def put(subject: Subject, index: Index, documents: Sequence[Document]) -> None:
    assert list(index.put(documents)) == []
    subject.settle()


def test_what_was_put_is_found_with_all_its_fields(subject: Subject, index: Index) -> None:
    put(subject, index, [document(1, user_name="root", source_port=22, related_user=["a", "b"])])
    (event,) = index.search(Query(parse("user.name:root"))).hits
    assert event.time == NOON
    assert event.fields["source.port"] == 22
    assert event.fields["related.user"] == ["a", "b"]


def test_a_repeat_of_an_id_changes_nothing(subject: Subject, index: Index) -> None:
    put(subject, index, [document(1, user_name="root")])
    put(subject, index, [document(1, user_name="mallory"), document(2), document(2)])
    assert ask(index, "*") == [2, 1]
    assert ask(index, "user.name:mallory") == []


def test_the_newest_come_first_over_days_and_classes(subject: Subject, index: Index) -> None:
    classes: tuple[EventClass, ...] = ("auth", "db", "system")
    day = timedelta(days=1)
    documents = [document(n, classes[n % 3], time=NOON + (n // 3) * day + n * timedelta(seconds=1)) for n in range(9)]
    put(subject, index, documents)
    assert ask(index, "*") == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_equal_times_come_in_order_of_id(subject: Subject, index: Index) -> None:
    put(subject, index, [document(n) for n in (3, 1, 2)])
    assert ask(index, "*") == [3, 2, 1]


def test_since_is_included_and_until_is_not_to_the_microsecond(subject: Subject, index: Index) -> None:
    tick = timedelta(microseconds=1)
    put(subject, index, [document(n, time=NOON + n * tick) for n in range(4)])
    assert ask(index, "*", since=NOON + tick, until=NOON + 3 * tick) == [2, 1]


def test_a_limit_cuts_and_says_that_there_is_more(subject: Subject, index: Index) -> None:
    put(subject, index, [document(n) for n in range(5)])
    page = index.search(Query(EVERYTHING, limit=3))
    assert (numbers(page), page.more) == ([4, 3, 2], True)
    assert index.search(Query(EVERYTHING, limit=5)).more is False


def test_an_empty_index_finds_nothing(index: Index) -> None:
    assert index.search(Query(EVERYTHING)) == Page([], more=False)


def test_what_cannot_be_stored_is_refused_and_costs_no_other(subject: Subject, index: Index) -> None:
    broken = Document("f" * 32, "auth", NOON, b'{"event.id": ')
    (refused,) = index.put([document(1), broken, document(2)])
    subject.settle()
    assert refused.document is broken
    assert refused.reason
    assert ask(index, "*") == [2, 1]


def test_a_field_may_hold_a_number_in_one_event_and_text_in_the_next(subject: Subject, index: Index) -> None:
    values: list[Value] = [1, "one", 1.5, True, None, ["x", 2], [], "10.0.0.999", 2**70, -1]
    names = ("source.port", "source.ip", "event.created", "made.up", "user.name", "system.memory.used.pct")
    documents = [
        with_fields(n, "auth", NOON, {name: value})
        for n, (name, value) in enumerate((name, value) for name in names for value in values)
    ]
    put(subject, index, documents)
    assert len(ask(index, "*")) == len(documents)


def test_hostile_names_and_values_are_stored_and_found(subject: Subject, index: Index) -> None:
    names = [
        "a",
        "a.b",
        "a.b.c",
        "A",
        "_id",
        "..",
        ".x",
        "x.",
        "*",
        "user.name'; DROP TABLE hits; --",
        "é",
        " ",
        "\x00",
    ]
    documents = [with_fields(n, "auth", NOON, {name: f"value {n}"}) for n, name in enumerate(names) if name != ""]
    refused = index.put(documents)
    subject.settle()
    kept = len(documents) - len(refused)
    assert len(ask(index, "*")) == kept
    assert kept >= 8


def test_a_field_with_a_name_of_no_use_costs_at_most_itself(subject: Subject, index: Index) -> None:
    put(subject, index, [with_fields(1, "auth", NOON, {f"made.up.{n}": n for n in range(3000)}), document(2)])
    assert ask(index, "*") == [2, 1]
    assert ask(index, "made.up.2999:2999") == [1]


def test_retention_takes_whole_days_of_one_class(subject: Subject) -> None:
    index = subject.open()
    assert isinstance(index, Retained)
    day = timedelta(days=1)
    put(subject, index, [document(n, ("auth", "db")[n % 2], time=NOON + (n // 2) * day) for n in range(6)])
    assert [(name, str(when)) for name, when, _ in index.days()][:1] in (
        [("auth", "2026-11-22")],
        [("db", "2026-11-22")],
    )
    assert all(size > 0 for _, _, size in index.days())
    assert index.drop("auth", (NOON + 2 * day).date()) == 2
    assert ask(index, "*") == [5, 4, 3, 1]


def test_a_very_long_value_is_found_by_its_end(subject: Subject, index: Index) -> None:
    long = "x" * 100_000 + " needle"
    put(subject, index, [document(1, message=long, user_name=long), document(2, message="hay")])
    assert ask(index, "needle") == [1]
    assert ask(index, "user.name:*needle") == [1]
    assert ask(index, "NOT user.name:x*") == [2]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("user.name:root", [1]),
        ("USER.NAME:root", []),
        ("user.name:ROOT", [1]),
        ("user.name:r*t", [1]),
        ("user.name:r?ot", [1]),
        ("user.name:ro", []),
        ("NOT user.name:root", [4, 3, 2]),
        ("user.name:*", [2, 1]),
        ("NOT user.name:*", [4, 3]),
        ("event.outcome:(success OR failure)", [2, 1]),
        ("accepted", [1]),
        ("ccept", [1]),
        ('"for mallory"', [2]),
        ("10.0.0.7", [2, 1]),
        ('"10.0.0.7 "', []),
        ("source.ip:10.0.0.*", [2, 1]),
        ("source.port:>=1024", [2]),
        ("source.port:[1 TO 1024]", [1]),
        ("source.port:{22 TO *]", [2]),
        ("related.user:ada", [3]),
        ("NOT related.user:ada", [4, 2, 1]),
        ("message:*ünster*", [4]),
        ("message:*ÜNSTER*", [4]),
        ("100%", [3]),
        ("", [4, 3, 2, 1]),
        ("root mallory", []),
        ("root OR mallory", [2, 1]),
        ("NOT (root OR mallory)", [4, 3]),
        ("@timestamp:>=2026-11-22T12:00:03Z", [4, 3]),
    ],
)
def test_the_language_finds(subject: Subject, index: Index, query: str, found: list[int]) -> None:
    second = timedelta(seconds=1)
    login: dict[str, Value] = {
        "user.name": "root",
        "event.outcome": "success",
        "source.ip": "10.0.0.7",
        "source.port": 22,
    }
    failed: dict[str, Value] = {"user.name": "mallory", "event.outcome": "failure", "source.ip": "10.0.0.71"}
    events: list[dict[str, Value]] = [
        login | {"message": "Accepted publickey for root from 10.0.0.7", "source.port": 22},
        failed | {"message": "Failed password for mallory", "source.port": 40022},
        {"related.user": ["Ada", "Grace"], "message": "disk 100% full"},
        {"message": "Grüße aus Münster"},
    ]
    documents = [with_fields(n, "auth", NOON + n * second, fields) for n, fields in enumerate(events, 1)]
    put(subject, index, documents)
    assert ask(index, query) == found


# Few names and values, near to each other, so that random predicates hold for some events and not for others.
NAMES = ["user.name", "source.ip", "source.port", "message", "made.up", "system.memory.used.pct", "event.created"]
TEXTS = [
    *("", "root", "Root", "ROOT", "ro", "root x", "x root", "10.0.0.1", "10.0.0.12", "::1", "1", "01", "1.0", "true"),
    *("é", "É", "İ", "K", "rİot", "a*b", "a?b", "[a]", "%", "_", "\\", '"', "'", "a\nb", "2026-11-22T12:00:00Z"),
    *(
        "2026",
        "x" * 300,
        "\U0001f514",
        "ß",
        "null",
        "dead beef",
        "deadbeef",
        "é" * 200,
        "a" * 300 + " root",
        "y" * 3000,
    ),
]
scalars = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from([0, 1, -1, 22, 1.0, 0.5, 1e22, 2**53 + 1, 2**63, True, False, None]),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3))
events = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
patterns = st.lists(st.one_of(st.sampled_from(TEXTS), st.sampled_from(list(p.Wildcard))), max_size=4).map(tuple)
limits = st.sampled_from([0, 1, 22, 0.5, 1.5, -1, 2**53 + 1, 2**63, 1e22])
tests = st.one_of(
    st.builds(p.Text, patterns, st.booleans()),
    st.builds(p.Number, limits),
    st.builds(p.Boolean, st.booleans()),
    st.just(p.Null()),
    st.builds(p.Exists, st.booleans()),
    st.builds(p.Regex, st.sampled_from(["root", "^r", "x$", ".", "[0-9]+", "é", ""]), st.sampled_from(["", "i"])),
    st.builds(p.Cidr, st.sampled_from(["10.0.0.0/24", "::/0", "10.0.0.1/32", "0.0.0.0/0"])),
    st.builds(p.Compare, st.sampled_from(["lt", "lte", "gt", "gte"]), limits),
    st.builds(p.Between, st.sampled_from([None, "", "1", "r"]), st.sampled_from([None, "9", "z"])),
    st.builds(p.SameAs, st.sampled_from(NAMES), st.sampled_from(["equals", "contains"]), st.booleans()),
)
keywords = st.one_of(
    st.builds(p.Text, patterns, st.booleans()), st.builds(p.Regex, st.sampled_from(["root", "10", "é"]))
)
leaves: st.SearchStrategy[p.Predicate] = st.one_of(
    st.builds(p.Field, st.sampled_from(NAMES), tests), st.builds(p.Keyword, keywords)
)
predicates = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(p.Not, inner),
        st.builds(p.And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(p.Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)


def forms(text: str) -> Iterator[tuple[str | p.Wildcard, ...]]:
    """The text as a pattern in every position of a wildcard."""
    star, one = p.Wildcard.ANY, p.Wildcard.ONE
    whole = (text,) if text else ()
    yield from (whole, (*whole, star), (star, *whole), (star, *whole, star), (*whole, one), (one, *whole))
    if len(text) > 3:
        yield (text[:1], star, text[1:2], star, text[2:3], star, text[3:])
        yield (star, text[1:2], star, text[2:3], star)


def leaves_of(text: str) -> Iterator[p.Predicate]:
    for pattern, cased in itertools.product(forms(text), (False, True)):
        test = p.Text(pattern, cased)
        yield p.Keyword(test)
        yield from (p.Field(name, test) for name in ("user.name", "made.up", "source.port", "source.ip", "event.id"))


@pytest.mark.slow
def test_every_pattern_and_its_negation_finds_what_memory_finds(subject: Subject, index: Index) -> None:
    scalars: list[Value] = [*TEXTS, 22, 22.0, 0.5, True, None, ["root", "Ada"], [None], []]
    fields = [{name: value} for value in scalars for name in ("user.name", "made.up", "source.port", "source.ip")]
    documents = [with_fields(n, "auth", NOON, dict(one)) for n, one in enumerate(fields)]
    put(subject, index, documents)
    stored = [msgspec.json.decode(one.value) for one in documents]
    step = 1 if isinstance(index, SqliteIndex) else 7  # a server takes its time: some of them, all texts
    asked = [leaf for text in (*TEXTS, "0000", "2026-11", "12:00:00.0") for leaf in leaves_of(text)][::step]
    for leaf in asked:
        decide = compiled(leaf)
        holds = [n for n in reversed(range(len(stored))) if decide(stored[n])]
        assert numbers(index.search(Query(leaf, limit=1000))) == holds, leaf
        others = [n for n in reversed(range(len(stored))) if not decide(stored[n])]
        assert numbers(index.search(Query(p.Not(leaf), limit=1000))) == others, leaf


# Without shrinking: on a real server that takes minutes, and what fails is printed.
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(events, min_size=1, max_size=25), st.lists(predicates, min_size=40, max_size=40))
def test_every_index_finds_what_memory_finds(
    subject: Subject, fields: list[dict[str, Value]], asked: list[p.Predicate]
) -> None:
    index = subject.open()
    documents = [with_fields(n, "auth", NOON, one) for n, one in enumerate(fields)]
    put(subject, index, documents)
    stored = [msgspec.json.decode(one.value) for one in documents]
    for predicate in asked:
        decide = compiled(predicate)
        expected = [n for n in reversed(range(len(stored))) if decide(stored[n])]
        assert numbers(index.search(Query(predicate, limit=1000))) == expected, predicate
    index.close()
