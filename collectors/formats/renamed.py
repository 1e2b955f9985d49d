"""A format whose fields get other names: a table's columns as ECS fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from collectors.formats import Context, Format, Parsed
from collectors.formats.json_line import time_of


def renamed(format_: Format, names: Mapping[str, str]) -> Format:
    """Return the format with fields (ECS name -> name as parsed) renamed; `@timestamp` becomes the event's time.

    One name as parsed may become several. What the row does not hold, or holds as null, is left out.
    """
    taken = set(names.values())

    def parse(text: str, ctx: Context) -> Parsed:
        time, fields = format_.parse(text, ctx)
        found = {ecs: fields[name] for ecs, name in names.items() if fields.get(name) is not None}
        kept = {name: value for name, value in fields.items() if name not in taken}
        if "@timestamp" in found:
            time = time_of(found.pop("@timestamp"), ctx) or time
        return Parsed(time, {**kept, **found})

    return replace(format_, parse=parse)
