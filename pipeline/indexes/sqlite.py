"""The embedded index: a SQLite file for each class and day, `auth-2026-11-22.db`, searched newest first.

Columns that searches scan stand apart from the JSON documents, and both from the full-text table of their words.
A document whose value no column can hold as text (a list, a very long one) is *odd*: it is a candidate for every
search of its time range, and decided from the document like all others.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, islice
from pathlib import Path
from typing import Final

import msgspec

from pipeline.indexes import Document, IndexUnavailable, Page, Query, Refused
from pipeline.search.to_sql import FALSE, Narrowed, Sql, narrow
from pipeline.search.words import text_for_words
from rules.evaluate import Decide, compiled
from rules.event import CLASSES, Event, EventClass, Fields, instant
from rules.patterns import fold
from rules.values import text_of

COLUMNS: Final = {  # beside the document's id
    "host.name": "host",
    "user.name": "user",
    "source.ip": "source",
    "event.dataset": "dataset",
    "event.action": "action",
    "event.outcome": "outcome",
    "process.name": "process",
}
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS hits (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER NOT NULL, odd INTEGER NOT NULL,
    {", ".join(f"{column} TEXT" for column in COLUMNS.values())}
);
CREATE INDEX IF NOT EXISTS by_time ON hits (time);
CREATE INDEX IF NOT EXISTS by_host ON hits (host, time);
CREATE INDEX IF NOT EXISTS by_user ON hits (user, time);
CREATE INDEX IF NOT EXISTS by_source ON hits (source, time);
CREATE INDEX IF NOT EXISTS by_oddity ON hits (time) WHERE odd;
CREATE TABLE IF NOT EXISTS documents (n INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content='', detail=none, tokenize='ascii');
"""
_INSERT: Final = f"INSERT OR IGNORE INTO hits VALUES (?, ?, ?, ?{', ?' * len(COLUMNS)})"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = 256  # characters of a value that a column holds
_OPEN_FILES: Final = 32

_decode: Final = msgspec.json.Decoder(
    dict[str, str | int | float | bool | list[str | int | float | bool | None] | None]
)
_Row = tuple[object, ...]


class SqliteIndex:
    """An Index in files below one folder. One writer at a time; readers may be other processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: OrderedDict[str, sqlite3.Connection] = OrderedDict()

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        refused: list[Refused] = []
        for name, group in groupby(sorted(documents, key=_file_name), key=_file_name):
            rows = list(_readable(group, refused))
            if rows:
                with _mapped(name):
                    _store(self._file(name), rows)
        return refused

    def search(self, query: Query) -> Page:
        decide = compiled(query.predicate)
        narrowed = narrow(query.predicate, COLUMNS | {"event.id": "id"})
        hits: list[Event] = []
        for names in self._days(query.since, query.until):
            of_day = heapq.merge(
                *(self._found(name, query, narrowed, decide) for name in names), key=_place, reverse=True
            )
            hits.extend(islice(of_day, query.limit + 1 - len(hits)))
            if len(hits) > query.limit:
                break
        return Page(hits[: query.limit], more=len(hits) > query.limit)

    def drop(self, event_class: EventClass, before: date) -> int:
        """Remove the class's whole days before that day, and return how many went."""
        old = [path for path in self._folder.glob(f"{event_class}-*.db") if _day(path.stem) < before]
        for path in old:
            connection = self._files.pop(path.stem, None)
            if connection is not None:
                connection.close()
            for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                part.unlink(missing_ok=True)
        return len(old)

    def days(self) -> Sequence[tuple[EventClass, date, int]]:
        """Return what there is: class, day and size in bytes, oldest first."""
        found = [(_class(path.stem), _day(path.stem), path.stat().st_size) for path in self._folder.glob("*-*.db")]
        return sorted(found, key=lambda one: one[1])

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def _days(self, since: datetime | None, until: datetime | None) -> Iterator[list[str]]:
        """Return the names of the files of each day within the bounds, the newest day first."""
        first = "" if since is None else since.astimezone(UTC).date().isoformat()
        last = "9999-12-31" if until is None else until.astimezone(UTC).date().isoformat()
        names = [path.stem for path in self._folder.glob("*-*.db") if first <= _day_text(path.stem) <= last]
        for _, of_day in groupby(sorted(names, key=_day_text, reverse=True), key=_day_text):
            yield sorted(of_day)

    def _found(self, name: str, query: Query, narrowed: Narrowed, decide: Decide) -> Iterator[Event]:
        """Yield the file's hits, newest first, each decided from its document."""
        try:
            if name not in self._files and not (self._folder / f"{name}.db").exists():
                return  # retention took it meanwhile
            connection = self._file(name)
            rows = [self._candidates(connection, query, sql) for sql in (_even(narrowed.over), Sql("odd"))]
            for _, _, value in heapq.merge(*rows, reverse=True):
                fields = _decode.decode(value)
                if decide(fields):
                    yield Event(str(fields["event.id"]), instant(str(fields["@timestamp"])), fields)
        except sqlite3.Error as error:
            raise IndexUnavailable(f"{name}.db: {error}") from error

    def _candidates(self, connection: sqlite3.Connection, query: Query, sql: Sql) -> Iterator[tuple[int, str, bytes]]:
        low = 0 if query.since is None else microseconds(query.since)
        high = 2**62 if query.until is None else microseconds(query.until)
        found: Iterator[tuple[int, str, bytes]] = connection.execute(
            "SELECT time, id, (SELECT value FROM documents WHERE documents.n = hits.n) FROM hits"
            f" WHERE time >= {low} AND time < {high} AND {sql.text} ORDER BY time DESC, id DESC",
            sql.parameters,
        )
        return found

    def _file(self, name: str) -> sqlite3.Connection:
        if name in self._files:
            self._files.move_to_end(name)
            return self._files[name]
        connection = sqlite3.connect(self._folder / f"{name}.db", timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # what is committed in the stream must be here
        connection.executescript(_SCHEMA)
        self._files[name] = connection
        if len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return connection


def _even(sql: Sql) -> Sql:
    return sql if sql == FALSE else Sql(f"NOT odd AND {sql.text}", sql.parameters)


def _store(connection: sqlite3.Connection, rows: Sequence[tuple[Document, Fields]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (first,) = connection.execute("SELECT coalesce(max(n), 0) + 1 FROM hits").fetchone()
        done = connection.executemany(_INSERT, (_hit(n, *row) for n, row in enumerate(rows, first)))
        new: Iterable[tuple[int, tuple[Document, Fields]]] = enumerate(rows, first)
        if done.rowcount != len(rows):  # some ids were there before
            there = {n for (n,) in connection.execute("SELECT n FROM hits WHERE n >= ?", (first,))}
            new = [(n, row) for n, row in new if n in there]
        else:
            new = list(new)
        connection.executemany("INSERT INTO documents VALUES (?, ?)", ((n, row[0].value) for n, row in new))
        words = ((n, text_for_words(row[1])) for n, row in new)
        connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", words)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _readable(documents: Iterable[Document], refused: list[Refused]) -> Iterator[tuple[Document, Fields]]:
    for document in documents:
        try:
            fields = _decode.decode(document.value)
            if fields["event.id"] != document.id or instant(str(fields["@timestamp"])) != document.time:
                raise ValueError("event.id and @timestamp are not the document's")
        except (msgspec.MsgspecError, KeyError, ValueError) as fault:
            refused.append(Refused(document, f"not a flat ECS object: {fault}"))
        else:
            yield document, fields


def _hit(n: int, document: Document, fields: Fields) -> _Row:
    odd = fold(document.id) != document.id
    columns: list[str | None] = []
    for name in COLUMNS:
        value = fields.get(name)
        text = None if isinstance(value, list) else text_of(value)
        if isinstance(value, list) or (text is not None and (len(text) > _LONGEST or "\0" in text)):
            odd, text = True, None
        columns.append(None if text is None else fold(text))
    return (n, document.id, microseconds(document.time), odd, *columns)


def microseconds(moment: datetime) -> int:
    """Return the moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def _place(event: Event) -> tuple[datetime, str]:
    return event.time, event.id


def _file_name(document: Document) -> str:
    return f"{document.event_class}-{document.time.astimezone(UTC).date().isoformat()}"


def _class(name: str) -> EventClass:
    (found,) = (one for one in CLASSES if one == name.partition("-")[0])
    return found


def _day_text(name: str) -> str:
    return name.partition("-")[2]


def _day(name: str) -> date:
    return date.fromisoformat(_day_text(name))


@contextmanager
def _mapped(name: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise IndexUnavailable(f"{name}.db: {error}") from error
