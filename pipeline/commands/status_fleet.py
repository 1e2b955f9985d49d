"""What the centre saw of every host's sources: the witness's numbers, for `tocsin status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import click
import msgspec

from pipeline.records import fields_of
from pipeline.roles.witnessing import PREFIX, kept
from pipeline.streams import EVENTS, Stream
from pipeline.streams.whole import own_group
from pipeline.verify.sources import letters
from pipeline.watched import Source, sources
from rules.event import instant

Row = dict[str, object]
_LETTERS_MOST = 100_000


def of_fleet(stream: Stream, now: datetime, most: int = _LETTERS_MOST) -> Iterator[Row]:
    """Yield a row for each source of each host that the centre has heard of. Raises StreamUnavailable.

    Of the dead letters `most` are counted; that there are more is said.
    """
    aside = _set_aside(stream, most)
    for message in kept(stream, own_group("status")):
        host = message.key.removeprefix(PREFIX).partition("/")[2]
        if host and message.value:
            try:
                found = sources(message.value)
            except msgspec.MsgspecError:
                continue
            for name, one in sorted(found.items()):
                yield _row(host, name, one, (aside["index", host, name], aside["detect", host, name]), now)


def _row(host: str, name: str, one: Source, set_aside: tuple[int, int], now: datetime) -> Row:
    """What detect refused is none of the host's records, or among the lost; what failed in detect is archived.

    So of what was set aside, only what the index did not take (the first number) lessens what was delivered.
    """
    written, lost = one.before[0] + one.written, one.before[1] + one.missing
    return {
        "host": host,
        "source": name,
        "written": written,
        "delivered": max(0, written - lost - set_aside[0]),
        "set_aside": sum(set_aside),
        "lost": lost,
        "lag_seconds": round((now - instant(one.up_to)).total_seconds(), 1) if one.up_to else None,
    }


def merged(own: list[Row], fleet: list[Row], host: str) -> list[Row]:
    """Return this host's rows with what the centre missed of them, then those of all other hosts."""
    seen = {row["source"]: row for row in fleet if row["host"] == host}
    out = []
    for row in own:
        other = seen.pop(row.get("source"), None)
        out.append(row if other is None else row | _with(row, other))
    return [*out, *seen.values(), *(row for row in fleet if row["host"] != host)]


def _with(row: Row, other: Row) -> Row:
    """Return the numbers of a source here, less what never arrived at the centre."""
    lost, aside = int(str(other["lost"])), int(str(other["set_aside"]))
    return {
        "host": other["host"],
        "delivered": int(str(row["delivered"])) - int(str(other["written"])) + int(str(other["delivered"])),
        "set_aside": int(str(row["set_aside"])) + aside,
        "lost": int(str(row["lost"])) + lost,
    }


def _set_aside(stream: Stream, most: int) -> Counter[tuple[str, str, str]]:
    """Count the dead letters of events, by whose they say they are: a record that detect refused is none of ours."""
    out: Counter[tuple[str, str, str]] = Counter()
    for number, (_, letter) in enumerate(letters(stream)):
        if number == most:
            click.echo(f"only the first {number:,} dead letters are counted: set_aside is too low", err=True)
            break
        if letter.stage in ("index", "detect") and letter.topic == EVENTS and letter.value:
            fields = fields_of(letter.value)
            if fields is not None:
                out[letter.stage, str(fields.get("host.id")), str(fields.get("tocsin.source"))] += 1
    return out


_METRICS = {
    "written": ("counter", "tocsin_source_written_records", "Records of the source, as it showed them."),
    "delivered": ("counter", "tocsin_source_delivered_records", "Records that the centre has."),
    "set_aside": ("counter", "tocsin_source_set_aside_records", "Records in the dead letters."),
    "lost": ("counter", "tocsin_source_lost_records", "Records that were written and never arrived."),
    "lag_seconds": ("gauge", "tocsin_source_lag_seconds", "How far behind the source is read."),
}


def openmetrics(rows: list[Row]) -> Iterator[str]:
    """Yield the rows as OpenMetrics 1.0 text, for a scraper."""
    for name, (kind, metric, help_) in _METRICS.items():
        found = [row for row in rows if "source" in row and row.get(name) is not None]
        end = "_total" if kind == "counter" else ""
        lines = [f"{metric}{end}{_labels(row, 'host', 'source')} {row[name]}" for row in found]
        yield from _family(kind, metric, help_, lines)
    lags = [
        f"tocsin_reader_lag_records{_labels(row, 'topic', 'reader')} {row['lag']}" for row in rows if "reader" in row
    ]
    yield from _family("gauge", "tocsin_reader_lag_records", "Records of a topic that a role has still to read.", lags)
    dead = [f"tocsin_deadletters {row['records']}" for row in rows if row.get("topic") == "audit.deadletter"]
    yield from _family("gauge", "tocsin_deadletters", "Records in the dead letters.", dead)
    yield "# EOF"


def _family(kind: str, metric: str, help_: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"# TYPE {metric} {kind}"
        yield f"# HELP {metric} {help_}"
        yield from lines


def _labels(row: Row, *names: str) -> str:
    found = [f'{name}="{_escaped(str(row[name]))}"' for name in names if row.get(name) is not None]
    return "{" + ",".join(found) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
