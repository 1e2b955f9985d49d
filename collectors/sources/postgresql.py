"""A psycopg connection as a source wants it: it can only read, ends by itself, and no value stops it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg


def prepare(connection: psycopg.Connection[tuple[object, ...]], timeout: timedelta) -> None:
    """Set the session up, for good: a rollback would undo a setting that is not committed."""
    connection.read_only = True
    connection.execute(f"SET statement_timeout = {int(timeout.total_seconds() * 1000)}".encode())
    connection.commit()
    _take_any_time(connection)


def _take_any_time(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Give times that Python has none for (`infinity`, years after 9999) as text: one row must not hide the others."""
    from psycopg import DataError, adapt  # noqa: PLC0415  an extra
    from psycopg.types import datetime as times  # noqa: PLC0415

    def lenient(base: type[adapt.Loader]) -> type[adapt.Loader]:
        class Lenient(base):  # type: ignore[valid-type, misc]  # psycopg's way to say how a value is read
            def load(self, data: adapt.Buffer) -> object:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode()

        return Lenient

    for name, base in (
        ("timestamptz", times.TimestamptzLoader),
        ("timestamp", times.TimestampLoader),
        ("date", times.DateLoader),
    ):
        connection.adapters.register_loader(name, lenient(base))
