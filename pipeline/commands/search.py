"""`tocsin search`: what happened, newest first."""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from pipeline.commands.options import config_option, load_config, told
from pipeline.indexes import Page, Query
from pipeline.search.language import SearchError, parse
from pipeline.search.show import FORMATS
from pipeline.settings import Config, Duration
from rules.event import instant
from rules.predicate import Predicate

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


@click.command()
@click.argument("query", nargs=-1)
@click.option(
    "--since", help="An ISO time (2026-11-22, 2026-11-22T10:00+01:00; UTC if it states no zone) or 7d, 10m ago."
)
@click.option("--until", help="The same; what happened at this moment is left out.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="At most so many hits."
)
@click.option(
    "--format", "shape", type=click.Choice(list(FORMATS)), help="Default: a table on a terminal, NDJSON in a pipe."
)
@config_option
def search(
    query: tuple[str, ...], since: str | None, until: str | None, limit: int, shape: str | None, path: Path | None
) -> None:
    """Search the audit history, newest first.

    \b
    user.name:root AND event.outcome:success    fields, AND (or a space), OR, NOT, parentheses
    source.ip:10.0.* -host.name:bastion         wildcards * and ?, - for NOT
    system.filesystem.used.pct:>=0.9            numbers and times: > >= < <= [a TO b]
    "accepted publickey"                        words, anywhere in the event
    """
    from pipeline.app import now

    asked = _parsed(" ".join(query))
    moment = now()
    bounds = (moment_of(since, moment, "--since"), moment_of(until, moment, "--until"))
    page = _ask(load_config(path), Query(asked, *bounds, limit))
    terminal = sys.stdout.isatty()
    lines = FORMATS[shape or ("table" if terminal else "ndjson")]
    for line in lines(page.hits, shutil.get_terminal_size((160, 24)).columns if terminal else 1_000_000):
        click.echo(line)
    if page.more:
        click.echo(f"tocsin: only the newest {limit}; --limit shows more", err=True)
    elif not page.hits and terminal:
        click.echo("tocsin: nothing found", err=True)


def _ask(config: Config, query: Query) -> Page:
    from pipeline.app import open_index

    with told(), closing(open_index(config)) as index:
        return index.search(query)
    raise AssertionError


def _parsed(query: str) -> Predicate:
    try:
        return parse(query)
    except SearchError as error:
        raise click.UsageError(f"{error}\n  {query}\n  {' ' * (error.column - 1)}^") from error


def moment_of(text: str | None, now: datetime, option: str) -> datetime | None:
    """Return the moment that an option names, as a time or as how long ago."""
    if text is None:
        return None
    try:
        return now - _DURATION.validate_python(text)
    except (ValidationError, OverflowError):
        pass
    for candidate in (text, f"{text}T00:00:00Z", f"{text}Z"):
        try:
            return instant(candidate)
        except ValueError:
            continue
    raise click.BadParameter(
        f"{text!r} is neither a time (2026-11-22T10:00Z) nor how long ago (7d, 10m)", param_hint=option
    )
