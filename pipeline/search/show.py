"""Hits as people and programs read them: a table, NDJSON of nested ECS, CSV. Log text is hostile: what is shown on a
terminal has its control characters escaped (RFC 8259's `\\u` notation), so that no line can move the cursor."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from rules.event import Event, Fields, Value, nested
from rules.values import text_of

Show: TypeAlias = Callable[[Iterable[Event], int], Iterator[str]]
COLUMNS: Final = ("time", "host", "user", "source", "what happened")
_CSV: Final = ("@timestamp", "host.name", "user.name", "source.ip", "event.dataset", "event.action", "event.outcome",
               "message", "event.id")  # fmt: skip
_HOSTS: Final = ("host.name", "host.hostname", "related.hosts")
_USERS: Final = ("user.name", "related.user")
_SOURCES: Final = ("source.ip", "source.domain", "client.ip", "related.ip")
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})  # also what turns the direction of text
_WIDEST: Final = (26, 20, 16, 20)


def table(events: Iterable[Event], width: int) -> Iterator[str]:
    """Yield lines of a table, cut to the width of the terminal."""
    rows = [COLUMNS, *(_row(event) for event in events)]
    widths = [min(most, max(len(row[n]) for row in rows)) for n, most in enumerate(_WIDEST)]
    for row in rows:
        cells = [_cut(cell, most).ljust(most) for cell, most in zip(row, widths, strict=False)]
        yield _cut("  ".join((*cells, row[-1])).rstrip(), width)


def ndjson(events: Iterable[Event], _width: int = 0) -> Iterator[str]:
    """Yield a line for each event, its names nested as ECS draws them."""
    for event in events:
        yield msgspec.json.encode(nested(event.fields)).decode()


def comma_separated(events: Iterable[Event], _width: int = 0) -> Iterator[str]:
    """Yield CSV (RFC 4180) with a header; a cell that a spreadsheet would run as a formula is quoted with `'`."""
    yield _csv_line(_CSV)
    for event in events:
        yield _csv_line([_harmless(_text(event.fields.get(name))) for name in _CSV])


FORMATS: Final[dict[str, Show]] = {"table": table, "ndjson": ndjson, "csv": comma_separated}


def escaped(text: str) -> str:
    r"""Return the text with everything that is not plainly shown written as `\uXXXX`."""
    if text.isprintable():
        return text
    return "".join(char if unicodedata.category(char) not in _UNSHOWN else _written(char) for char in text)


def _written(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _row(event: Event) -> tuple[str, ...]:
    fields = event.fields
    time = event.time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return (time, _first(fields, _HOSTS), _first(fields, _USERS), _first(fields, _SOURCES), _happened(fields))


def _happened(fields: Fields) -> str:
    what = " ".join(filter(None, (_first(fields, ("event.action",)), _first(fields, ("event.outcome",)))))
    message = _first(fields, ("message", "event.original"))
    return f"{what}: {message}" if what and message else what or message or _first(fields, ("event.dataset",))


def _first(fields: Fields, names: Sequence[str]) -> str:
    return next((escaped(text) for name in names if (text := _text(fields.get(name)))), "")


def _text(value: Value) -> str:
    return ", ".join(text_of(one) or "" for one in value) if isinstance(value, list) else text_of(value) or ""


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return out.getvalue()
