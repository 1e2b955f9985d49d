"""The embedded index: a SQLite file for each class and day, `auth-2026-11-22.db`, searched newest first.

Columns that searches scan stand apart from the JSON documents, and both from the full-text table of their words.
A document whose value no column can hold as text (a list, a very long one) is *odd*: it is a candidate for every
search of its time range, and decided from the document like all others.
"""

from __future__ import annotations

import heapq
import logging
import re
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Final

from pipeline.indexes import Document, Found, IndexUnavailable, Page, Query, Refused, scanning
from pipeline.indexes.rows import COLUMNS, File, decode, microseconds, readable
from pipeline.search.to_sql import Sql, narrow
from rules.evaluate import Decide, compiled
from rules.event import CLASSES, Event, EventClass, instant

_OPEN_FILES: Final = 32
_COLUMNS: Final = COLUMNS | {"event.id": "id"}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_log = logging.getLogger("tocsin.index")
_Candidate = tuple[int, str, int]  # time, id, n


class SqliteIndex:
    """An Index in files below one folder. One writer at a time; readers may be other processes."""

    def __init__(self, folder: Path, *, patience: int = 1_000) -> None:
        """`patience`: how many candidates of a file are looked at before its words are."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._patience = patience
        self._files: OrderedDict[str, File] = OrderedDict()
        self._strays: set[str] = set()

    def put(self, documents: Sequence[Document]) -> Sequence[Refused]:
        refused: list[Refused] = []
        for name, group in groupby(sorted(documents, key=_file_name), key=_file_name):
            rows = list(readable(group, refused))
            if rows:
                with _mapped(name):
                    there = self._file(name).store(rows)
                refused += [Refused(one, "another record has its id", repeats=True) for one in there]
        return refused

    def search(self, query: Query) -> Page:
        decide = compiled(query.predicate)
        hits: list[Event] = []
        for names in self._days(query.since, query.until):
            found = (self._found(name, query, decide) for name in names)
            of_day = heapq.merge(*found, key=_place, reverse=True)
            hits.extend(islice(of_day, query.limit + 1 - len(hits)))
            if len(hits) > query.limit:
                break
        return Page(hits[: query.limit], more=len(hits) > query.limit)

    def count(self, since: datetime | None, until: datetime | None) -> int:
        """Return about how many documents there are within the bounds."""
        return sum(
            scanning.count(self._file(name), since, until) for names in self._days(since, until) for name in names
        )

    def scan(self, since: datetime | None, until: datetime | None) -> Iterator[Found]:
        """Yield every document within the bounds, and what is wrong with its place."""
        for names in self._days(since, until):
            for name in names:
                try:
                    file = self._file(name)
                except sqlite3.Error as error:
                    yield Found(f"{name}.db", None, f"the file cannot be read: {error}")
                    continue
                yield from scanning.scan(file, name, since, until)

    def drop(self, event_class: EventClass, before: date) -> int:
        """Remove the class's whole days before that day, and return how many went."""
        old = [path for path, named, day in self._there() if named == event_class and day < before]
        for path in old:
            if path.stem in self._files:
                self._files.pop(path.stem).close()
            for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                part.unlink(missing_ok=True)
        return len(old)

    def days(self) -> Sequence[tuple[EventClass, date, int]]:
        """Return what there is: class, day and size in bytes, oldest first."""
        found = [(named, day, path.stat().st_size) for path, named, day in self._there()]
        return sorted(found, key=lambda one: one[1])

    def close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def _days(self, since: datetime | None, until: datetime | None) -> Iterator[list[str]]:
        """Return the names of the files of each day within the bounds, the newest day first."""
        first = "" if since is None else since.astimezone(UTC).date().isoformat()
        last = "9999-12-31" if until is None else until.astimezone(UTC).date().isoformat()
        names = [path.stem for path, _, day in self._there() if first <= day.isoformat() <= last]
        for _, of_day in groupby(sorted(names, key=_day_text, reverse=True), key=_day_text):
            yield sorted(of_day)

    def _there(self) -> Iterator[tuple[Path, EventClass, date]]:
        """Yield the files that are the index's, with class and day; another is left alone, and named once."""
        for path in self._folder.glob("*.db"):
            event_class, _, text = path.stem.partition("-")
            try:
                day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
            except ValueError:
                day = None
            named = next((one for one in CLASSES if one == event_class), None)
            if named is not None and day is not None:
                yield path, named, day
            elif path.name not in self._strays:
                self._strays.add(path.name)
                _log.warning("%s is no file of the index's, and is left out; move it elsewhere", path)

    def _found(self, name: str, query: Query, decide: Decide) -> Iterator[Event]:
        """Yield the file's hits, newest first, each decided from its document."""
        try:
            if name not in self._files and not (self._folder / f"{name}.db").exists():
                return  # retention took it meanwhile
            file = self._file(name)
            rows = heapq.merge(_even(file, query, self._patience), _candidates(file, query, Sql("odd")), reverse=True)
            for _, _, n in rows:
                fields = decode(file.document(n))
                if decide(fields):
                    yield Event(str(fields["event.id"]), instant(str(fields["@timestamp"])), fields)
        except (sqlite3.Error, zlib.error) as error:
            raise IndexUnavailable(f"{name}.db: {error}") from error

    def _file(self, name: str) -> File:
        if name in self._files:
            self._files.move_to_end(name)
            return self._files[name]
        file = File(sqlite3.connect(self._folder / f"{name}.db", timeout=30, isolation_level=None))
        self._files[name] = file
        if len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return file


def _even(file: File, query: Query, patience: int) -> Iterator[_Candidate]:
    """Yield the candidates among documents that the columns hold, newest first.

    Words cost a look through the file's vocabulary, which pays only where hits are rare; so they come in late.
    """
    quick = narrow(query.predicate, _COLUMNS).over
    rows = _candidates(file, query, _all(Sql("NOT odd"), quick))
    last: _Candidate | None = None
    for last in islice(rows, patience):
        yield last
    if last is None:
        return
    worded = narrow(query.predicate, _COLUMNS, file.terms).over
    if worded == quick:
        yield from rows
    else:
        beyond = Sql(f"(time, id) < ({last[0]}, ?)", (last[1],))
        yield from _candidates(file, query, _all(_all(Sql("NOT odd"), worded), beyond))


def _candidates(file: File, query: Query, sql: Sql) -> Iterator[_Candidate]:
    low = 0 if query.since is None else microseconds(query.since)
    high = 2**62 if query.until is None else microseconds(query.until)
    found: Iterator[_Candidate] = file.connection.execute(
        f"SELECT time, id, n FROM hits WHERE time >= {low} AND time < {high} AND {sql.text}"
        " ORDER BY time DESC, id DESC",
        sql.parameters,
    )
    return found


def _all(one: Sql, other: Sql) -> Sql:
    return Sql(f"{one.text} AND {other.text}", one.parameters + other.parameters)


def _place(event: Event) -> tuple[datetime, str]:
    return event.time, event.id


def _file_name(document: Document) -> str:
    return f"{document.event_class}-{document.time.astimezone(UTC).date().isoformat()}"


def _day_text(name: str) -> str:
    return name.partition("-")[2]


@contextmanager
def _mapped(name: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise IndexUnavailable(f"{name}.db: {error}") from error
