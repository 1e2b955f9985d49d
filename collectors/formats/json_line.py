"""Plain JSON: one object a line, its names kept as they are (ECS among them), nested ones dotted.

What only Tocsin may say (tocsin.*, event.id, the chain's fields) is taken from nobody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.json_text import flat, object_of

_TIMES: Final = ("@timestamp", "timestamp", "time", "ts", "Timestamp", "eventTime", "event_time", "datetime", "date")
_MESSAGES: Final = ("message", "msg", "log", "MESSAGE", "Message", "event")
_OURS: Final = ("event.id", "event.created", "event.sequence", "event.original", "event.ingested", "@timestamp")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one object. Raises ParseError if the text is none."""
    given = flat(object_of(text))
    time = next((found for name in _TIMES if name in given and (found := time_of(given[name], ctx)) is not None), None)
    fields = {
        name: value for name, value in given.items() if name not in _OURS and not name.startswith("tocsin.") and name
    }
    if "message" not in fields:
        fields["message"] = next((str(given[name]) for name in _MESSAGES if isinstance(given.get(name), str)), "")
    fields.setdefault("event.kind", "event")
    if fields.get("event.module") in (None, "tocsin"):
        fields["event.module"] = "json"
    fields.setdefault("event.dataset", "json.log")
    return Parsed(time, fields)


def time_of(value: object, ctx: Context) -> datetime | None:
    """Read ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970, by their size."""
    if isinstance(value, str):
        found = when.iso(value, ctx)
        return found[0] if found is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return None
    seconds = float(value)
    for _ in range(3):
        if seconds > 1e11:
            seconds /= 1000
    try:
        return when.epoch(seconds)
    except ParseError:
        return None


FORMAT = Format("json", parse)
