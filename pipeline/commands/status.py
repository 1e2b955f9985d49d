"""`tocsin status`: a line a source, for the stream, the index and each receiver."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
import msgspec

from notifiers.escape import line
from pipeline import app, state
from pipeline.commands.options import config_option, load_config, told
from pipeline.commands.status_fleet import merged, of_fleet, openmetrics
from pipeline.feeds import Counts
from pipeline.intake import FORWARD, PRIORITIES
from pipeline.settings import Config
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, INCIDENTS, MATCHES, Stream
from rules.event import instant

# who reads which topic: what is still to be read is lag
READERS = ((EVENTS, "detect"), (MATCHES, "correlate"), (ALERTS, "notify"), (EVENTS, "index"), (INCIDENTS, "index"))


@click.command()
@config_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "ndjson", "openmetrics"]),
    help="Default: table on a terminal, else ndjson. openmetrics is for a scraper.",
)
def status(path: Path | None, form: str | None) -> None:
    """What was read, delivered, set aside and lost, by source; how far each reader of the stream is.

    Exit 1 when something was lost or set aside.
    """
    config = load_config(path)
    with told():
        rows = [*_sources(config), *_stream(config)]
    if form == "openmetrics":
        click.echo("\n".join(openmetrics(rows)))
    elif form == "ndjson" or (form is None and not sys.stdout.isatty()):
        for row in rows:
            click.echo(msgspec.json.encode(row))
    else:
        _table(rows)
    sys.exit(1 if any(row.get("lost") or row.get("set_aside") for row in rows) else 0)


def _sources(config: Config) -> list[dict[str, object]]:
    with closing(app.open_stream(config)) as stream:
        fleet = list(of_fleet(stream, app.now()))
    return merged(list(_here(config)), fleet, state.host(config).id)


def _here(config: Config) -> Iterator[dict[str, object]]:
    files = app.open_files(config, "stream" if config.stream.kind == "sqlite" else "journal")
    positions = files.journal.positions()
    waiting = 0
    if config.stream.kind == "kafka":
        waiting = sum(files.ends(topic)[0] - files.committed(topic, FORWARD).get(0, 0) for topic in PRIORITIES)
    files.close()
    moment = app.now()
    for name in sorted(name for name in positions if name.startswith("count:")):
        counts = msgspec.json.decode(positions[name], type=Counts)
        yield {
            "source": name.removeprefix("count:"),
            "written": counts.records + counts.lost,
            "written_bytes": counts.bytes,
            "delivered": counts.records - counts.set_aside,
            "set_aside": counts.set_aside,
            "lost": counts.lost,
            "lag_seconds": _age(counts.up_to, moment),
            "unknown": counts.unknown,
            "unknown_samples": counts.samples,
        }
    if config.stream.kind == "kafka":
        yield {"journal": "to be forwarded", "lag": waiting}


def _stream(config: Config) -> Iterator[dict[str, object]]:
    stream: Stream = app.open_stream(config)
    try:
        for topic, group in READERS:
            lag = _lag(stream.ends(topic), stream.committed(topic, group))
            yield {"stream": config.stream.kind, "topic": topic, "reader": group, "lag": lag}
        dead = sum(stream.ends(DEADLETTER).values())
        yield {"stream": config.stream.kind, "topic": DEADLETTER, "records": dead, "set_aside": dead}
    finally:
        stream.close()


def _lag(ends: Mapping[int, int], committed: Mapping[int, int]) -> int:
    return sum(end - committed.get(partition, 0) for partition, end in ends.items())


def _age(up_to: str, moment: datetime) -> float | None:
    return round((moment - instant(up_to)).total_seconds(), 1) if up_to else None


def _table(rows: list[dict[str, object]]) -> None:
    sources = [row for row in rows if "source" in row]
    if not sources:
        click.echo("Nothing was read yet; start `tocsin run`.")
    for row in sources:
        loss = click.style(f"{row['lost']} lost", fg="red") if row["lost"] else "0 lost"
        name = line(f"{row['host']} {row['source']}" if "written_bytes" not in row else str(row["source"]))
        click.echo(
            f"{name:32} {row['written']:>9} written {row['delivered']:>9} delivered "
            f"{row['set_aside']:>3} set aside {loss:>7} {row['lag_seconds']!s:>7} s behind"
        )
        if row.get("unknown"):
            click.echo(f"{'':32} {row['unknown']:>9} that no format knows, kept with their raw text; the last:")
            samples = row["unknown_samples"]
            for sample in samples if isinstance(samples, list) else []:
                click.echo(f"{'':34}{click.unstyle(repr(sample))[1:-1][:100]}")
    for row in rows:
        if "reader" in row:
            click.echo(f"{row['topic']!s:16} {row['reader']!s:15} {row['lag']:>9} to be read")
        elif row.get("topic") == DEADLETTER:
            click.echo(f"{row['topic']!s:16} {'':15} {row['records']:>9} set aside")
