"""`tocsin verify`: is the archive what the hosts wrote?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import click
import msgspec

from pipeline import app
from pipeline.commands.options import config_option, fail, load_config, told
from pipeline.commands.search import moment_of
from pipeline.commands.verify_text import Told, rows, text
from pipeline.indexes import Index, Scanned
from pipeline.settings import Config
from pipeline.streams import StreamUnavailable
from pipeline.verify.conclude import Known, conclude
from pipeline.verify.gather import Gathered, documents
from pipeline.verify.spool import Spool

_EVERY = 1_000  # documents between two looks of the progress bar


@click.command()
@click.option("--since", help="Only events from then on: an ISO time (2026-11-22) or how long ago (7d).")
@click.option("--until", help="The same; events of this moment and later are left out.")
@click.option("--host", help="Only this one's records: a host.id, or the name under which it was enrolled.")
@click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), help="Default: table on a terminal, else ndjson."
)
@config_option
def verify(since: str | None, until: str | None, host: str | None, form: str | None, path: Path | None) -> None:
    """Check the archive: every record's seal, and the numbers of every chain.

    Names the first record of each chain that is missing, altered, doubled, moved or cut from the tail, and says what
    cannot be known. What is in the dead letters counts as present. Exit 1 on a finding.

    \b
    tocsin verify --since 7d
    tocsin verify --host db-7 --format ndjson
    """
    config = load_config(path)
    now = app.now()
    bounds = (moment_of(since, now, "--since"), moment_of(until, now, "--until"))
    found = 0
    with told(), closing(app.open_index(config)) as index, closing(Spool()) as spool:
        terse = form == "ndjson" or (form is None and not sys.stdout.isatty())
        for row in _verified(config, index, spool, (*bounds, host), now):
            found += row["what"] == "finding"
            click.echo(msgspec.json.encode(row) if terse else text(row))
    sys.exit(1 if found else 0)


def _verified(
    config: Config,
    index: Index,
    spool: Spool,
    asked: tuple[datetime | None, datetime | None, str | None],
    now: datetime,
) -> Iterator[dict[str, object]]:
    from pipeline.escrow import open_seals
    from pipeline.verify import sources

    since, until, host = asked
    seals, said = open_seals(config), Told()
    names = sources.names(config, said.faults)
    gathered = Gathered(spool, seals, now, _host_id(host, names))
    seen: dict[tuple[str, str], int] = {}
    try:
        with closing(app.open_stream(config)) as stream:
            seen = sources.witnessed(stream, said.faults) if until is None else {}
            sources.take_letters(stream, gathered)
    except StreamUnavailable as error:
        said.faults.append(f"the stream is away ({error}): dead letters count as missing")
    _scan(index, gathered, since, until)
    if config.chain.anchor_file is not None:
        stated, faults = sources.in_file(config.chain.anchor_file.expanduser())
        gathered.stated.add(stated)
        said.faults += faults
    spool.sort()
    known = Known(sources.kept_from(config, index, now), since, until, seen, sources.looking_up(index, seals, now))
    yield from rows(conclude(gathered, known), gathered, names, said)


def _scan(index: Index, gathered: Gathered, since: datetime | None, until: datetime | None) -> None:
    """Read the whole archive, with a bar for people."""
    assert isinstance(index, Scanned)
    shown = sys.stderr.isatty()
    with click.progressbar(
        length=index.count(since, until) if shown else 0, label="verify", file=sys.stderr, hidden=not shown
    ) as bar:
        for _ in documents(index.scan(since, until), gathered):
            bar.update(_EVERY)
        bar.update(gathered.documents % _EVERY)


def _host_id(host: str | None, names: dict[str, str]) -> str | None:
    if host is None or host in names:
        return host
    found = [name for name, called in names.items() if called == host]
    if len(found) > 1:
        raise fail(f"{len(found)} enrolled hosts are called {host!r}; `tocsin enrol list` shows them, name one by id")
    return found[0] if found else host
