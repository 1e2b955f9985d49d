"""What several commands take: the config, and how its faults are told."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from pipeline.config import ConfigError, load
from pipeline.indexes import IndexUnavailable
from pipeline.settings import Config, duration
from pipeline.state import StateError
from pipeline.streams import StreamUnavailable
from rules.event import instant

F = TypeVar("F", bound=Callable[..., object])

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config; without it ~/.config/tocsin/tocsin.yml, /etc/tocsin/tocsin.yml, or the shipped defaults.",
)


def program() -> str:
    """Return what a person types to run this program: its name where the shell finds it, else the way to it."""
    found = shutil.which("tocsin")
    return "tocsin" if found and Path(found).resolve() == Path(sys.argv[0]).resolve() else sys.argv[0]


def span_of(text: str) -> timedelta:
    """Return how long `30m`, `2h`, `3d` is; what is no time is misuse."""
    try:
        length = duration(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not isinstance(length, timedelta) or not length:
        raise click.UsageError(f"{text!r} is no time; write 30m, 2h, 3d")
    return length


def time_of(text: str) -> datetime:
    """Return the moment of an RFC 3339 text; what is none is misuse."""
    try:
        return instant(text)
    except ValueError as error:
        raise click.UsageError(f"{text!r} is no time; write it with its zone: 2026-11-22T18:00:00Z") from error


@contextmanager
def told() -> Iterator[None]:
    """Tell a fault that the user can mend in a line of its own, and exit with 1."""
    try:
        yield
    except (ConfigError, StateError, StreamUnavailable, IndexUnavailable) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def load_config(path: Path | None) -> Config:
    """Return the config, or tell its faults and exit with 1."""
    with told():
        return load(path)
    raise AssertionError


def fail(reason: str) -> SystemExit:
    """Say why on stderr; raise what this returns to exit with 1."""
    click.echo(reason, err=True)
    return SystemExit(1)
