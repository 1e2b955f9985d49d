"""A table's database, through any DB-API 2.0 module (PEP 249): connected, read only, and asked for one batch of rows.

PostgreSQL goes through psycopg, with a cursor of the server's, so that a million rows are not fetched for the first
thousand. Everything here blocks: it runs in the source's own thread.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from collectors.sources import keyset

MOST: Final = 8 * 1024 * 1024  # bytes of text in one batch of rows, about
_CHUNK: Final = 500


class Unreachable(Exception):
    """The rows cannot be had now; the message says why, and what to do."""


class Cursor(Protocol):
    """PEP 249, as far as it is used."""

    @property
    def description(self) -> Sequence[Sequence[object]] | None: ...
    def execute(self, operation: str, parameters: keyset.Parameters = ..., /) -> object: ...
    def fetchmany(self, size: int = ..., /) -> Sequence[Sequence[object]]: ...
    def close(self) -> None: ...


class Connection(Protocol):
    def cursor(self) -> Cursor: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a table: `driver` is `postgresql` or the name of a DB-API module."""

    driver: str
    connect: str | Mapping[str, str | int | bool]
    query: str
    position: Sequence[str]
    needed: Sequence[str] = ()  # columns beside the position that have to be there
    password_file: Path | None = None
    timeout: timedelta = timedelta(seconds=30)

    def module(self) -> str:
        return "psycopg" if self.driver == "postgresql" else self.driver


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the order of the position; `more`: others may follow."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    more: bool


Wanted = Callable[[Sequence[str], Sequence[object]], bool]


class Database:
    """One connection, made when it is first needed and made again after a fault."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._style = ""
        self._connection: Connection | None = None

    def rows(self, after: Sequence[object] | None, limit: int, *, inclusive: bool, wanted: Wanted) -> Rows:
        """Return the next rows that are wanted, `limit` at most. Raises Unreachable."""
        try:
            connection = self._connection or self._open()
            sql, bound = keyset.statement(
                self._access.query, self._access.position, after, self._style, inclusive=inclusive
            )
            with contextlib.closing(self._cursor(connection)) as cursor:
                cursor.execute(sql, bound)
                found = _taken(cursor, limit, wanted)
            connection.rollback()  # nothing was written, and nothing is kept open on the server
        except Unreachable:
            self.close()
            raise
        except Exception as error:  # each driver has errors of its own (PEP 249: Error)
            self.close()
            raise Unreachable(_told(error)) from error
        return found

    def check(self) -> None:
        """See that the database answers, and the query gives what is needed. Raises Unreachable."""
        try:
            self._open()
        except Unreachable:
            raise
        except Exception as error:
            raise Unreachable(_told(error)) from error
        finally:
            self.close()

    def interrupt(self) -> None:
        """End the query that runs, from another thread, where the driver can do so without waiting (sqlite3)."""
        end = getattr(self._connection, "interrupt", None)
        if callable(end):
            with contextlib.suppress(Exception):  # it may have ended meanwhile
                end()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _open(self) -> Connection:
        module = load(self._access)
        self._style = str(module.paramstyle)
        how: dict[str, object] = {**_DEFAULTS.get(self._access.driver, {})}
        first: list[str] = []
        if isinstance(self._access.connect, str):
            first.append(self._access.connect)
        else:
            how |= self._access.connect
        if self._access.password_file is not None:
            how["password"] = _password(self._access.password_file)
        connection: Connection = module.connect(*first, **how)
        self._connection = connection
        _READ_ONLY.get(self._access.module(), _with_timeout)(connection, self._access.timeout)
        self._look(connection)
        return connection

    def _look(self, connection: Connection) -> None:
        """See that the query runs and gives the columns that are needed."""
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute(keyset.probe(self._access.query))
            given = [str(column[0]) for column in cursor.description or ()]
        connection.rollback()
        lower = {name.lower() for name in given}
        absent = [name for name in [*self._access.position, *self._access.needed] if name.lower() not in lower]
        if absent:
            raise Unreachable(f"the query gives no column {', '.join(absent)}; it gives {', '.join(given)}")

    def _cursor(self, connection: Connection) -> Cursor:
        named: Callable[..., Cursor] = connection.cursor
        return named(name="tocsin") if self._access.driver == "postgresql" else named()


class _Module(Protocol):
    paramstyle: str
    connect: Callable[..., Connection]


def load(access: Access) -> _Module:
    """Return the DB-API module. Raises Unreachable that says what to install."""
    name = access.module()
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        extra = "tocsin[table]" if access.driver == "postgresql" else name
        raise Unreachable(f"needs the module {name}, which is not here: pip install '{extra}'") from error
    if not hasattr(module, "paramstyle") or not hasattr(module, "connect"):
        raise Unreachable(f"the module {name} is no DB-API 2.0 driver; write postgresql, pyodbc, pymysql, sqlite3 ...")
    found: _Module = module
    return found


_DEFAULTS: Final[dict[str, dict[str, object]]] = {
    # what a server that vanished without a word must not do is to hold the thread for hours
    "postgresql": {
        "connect_timeout": 10,
        "application_name": "tocsin",
        "keepalives_idle": 30,
        "tcp_user_timeout": 30000,
    },
}


def _postgresql(connection: Connection, timeout: timedelta) -> None:
    prepare: Callable[[Connection, timedelta], None] = importlib.import_module("collectors.sources.postgresql").prepare
    prepare(connection, timeout)


def _sqlite(connection: Connection, _timeout: timedelta) -> None:
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("PRAGMA query_only = ON")


def _with_timeout(connection: Connection, timeout: timedelta) -> None:
    """Drivers that know a timeout have it as an attribute (pyodbc); PEP 249 has no word for reading only."""
    if hasattr(connection, "timeout"):
        with contextlib.suppress(Exception):
            setattr(connection, "timeout", int(timeout.total_seconds()))  # noqa: B010


_READ_ONLY: Final[dict[str, Callable[[Connection, timedelta], None]]] = {"psycopg": _postgresql, "sqlite3": _sqlite}


def _taken(cursor: Cursor, limit: int, wanted: Wanted) -> Rows:
    columns = [str(column[0]) for column in cursor.description or ()]
    rows: list[Sequence[object]] = []
    size = 0
    while chunk := cursor.fetchmany(_CHUNK):
        for row in chunk:
            if not wanted(columns, row):
                continue
            if len(rows) >= limit or size >= MOST:
                return Rows(columns, rows, True)
            rows.append(row)
            size += _size(row)
    return Rows(columns, rows, False)


def _size(row: Iterable[object]) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))


def _password(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise Unreachable(f"{path}: the password cannot be read: {reason}") from error


def _told(error: Exception) -> str:
    """Return the driver's words in one line."""
    words = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
