"""Where reading stands in a table: the key of the last row, as SQL conditions and as text. Pure.

The user's query is wrapped, so that it needs no condition of its own: what is behind the position, in its order.
Values are bound; only column names, which `NAME` restricts, stand in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
Overlap = timedelta | int | None
Parameters = Sequence[object] | Mapping[str, object]

_MARKS: Final[dict[str, Callable[[int], str]]] = {  # PEP 249: paramstyle
    "qmark": lambda n: "?",
    "numeric": lambda n: f":{n}",
    "named": lambda n: f":p{n}",
    "format": lambda n: "%s",
    "pyformat": lambda n: f"%(p{n})s",
}


class KeyFault(ValueError):
    """A value that cannot be a position; the message says why."""


def probe(query: str) -> str:
    """Return a statement that gives the query's columns and no row."""
    return f"SELECT * FROM ({query}) tocsin_rows WHERE 1 = 0"


def statement(
    query: str, columns: Sequence[str], after: Sequence[object] | None, style: str, *, inclusive: bool = False
) -> tuple[str, Parameters]:
    """Return the query for what follows `after` in the order of `columns`, and what to bind.

    `after` may be shorter than `columns`; `inclusive` asks for rows at it, too. Rows in which a column of the
    position is NULL stand nowhere and are left out.
    """
    text = query.replace("%", "%%") if style in ("format", "pyformat") else query
    known = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    marks, bound = _Marks(style), ""
    if after is not None:
        bound = f" AND {_behind(columns[: len(after)], after, marks, inclusive=inclusive)}"
    return f"SELECT * FROM ({text}) tocsin_rows WHERE {known}{bound} ORDER BY {', '.join(columns)}", marks.parameters()


class _Marks:
    """Hands out a placeholder for each value."""

    def __init__(self, style: str) -> None:
        self._style = style
        self._values: list[object] = []

    def mark(self, value: object) -> str:
        self._values.append(value)
        return _MARKS[self._style](len(self._values))

    def parameters(self) -> Parameters:
        if self._style in ("named", "pyformat"):
            return {f"p{n}": value for n, value in enumerate(self._values, 1)}
        return tuple(self._values)


def _behind(columns: Sequence[str], after: Sequence[object], marks: _Marks, *, inclusive: bool) -> str:
    """Compare column by column: rows as values, `(a, b) > (?, ?)`, are not in every SQL. The first is an index's."""
    first = f"{columns[0]} >= {marks.mark(after[0])}"
    ways = []
    for n, name in enumerate(columns):
        same = [f"{columns[m]} = {marks.mark(after[m])}" for m in range(n)]
        last = ">=" if inclusive and n == len(columns) - 1 else ">"
        ways.append(" AND ".join([*same, f"{name} {last} {marks.mark(after[n])}"]))
    return f"{first} AND ({' OR '.join(f'({way})' for way in ways)})"


def before(value: object, overlap: timedelta | int) -> object:
    """Return the value `overlap` before a key's first one. Raises KeyFault if such a distance means nothing to it."""
    if isinstance(value, datetime) and isinstance(overlap, timedelta):
        try:
            return value - overlap
        except OverflowError:
            return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and isinstance(overlap, int):
        return value - overlap
    wanted = "a time like 10s" if isinstance(value, datetime) else "a number" if isinstance(value, int) else "none"
    raise KeyFault(f"`overlap` must be {wanted}, as the first column of `position` is of type {type(value).__name__}")


def encode(value: object) -> list[str]:
    """Return a key's value as text with its type. Raises KeyFault for a type that has no order to go by."""
    if isinstance(value, datetime):
        return ["time", value.isoformat()]
    for name, kind, text in _TYPES:
        if isinstance(value, kind) and not isinstance(value, bool | float):
            return [name, text(value)]
    raise KeyFault(f"a column of type {type(value).__name__} cannot be a position; take a number, a time or a text")


def decode(pair: Sequence[str]) -> object:
    """Undo `encode`."""
    kind, text = pair
    return _READ[kind](text)


def _hex(value: object) -> str:
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else ""


_TYPES: Final[tuple[tuple[str, type | tuple[type, ...], Callable[[object], str]], ...]] = (
    ("int", int, str),
    ("date", date, str),
    ("decimal", Decimal, str),
    ("text", str, str),
    ("bytes", (bytes, bytearray, memoryview), _hex),
)
_READ: Final[dict[str, Callable[[str], object]]] = {
    "time": datetime.fromisoformat,
    "int": int,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "text": str,
    "bytes": bytes.fromhex,
}


def utc(value: object) -> object:
    """Return a time that has a zone in UTC: the same row must look the same whatever zone a session is in."""
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo is not None else value
