"""`tocsin demo`: a day of trouble through the real pipeline, on the terminal, in under a minute."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import click
import yaml

from pipeline import app
from pipeline.commands.options import program, told
from pipeline.config import load
from pipeline.demo import LOGS, PREFIX, day
from pipeline.settings import Config
from pipeline.streams import ALERTS, EVENTS, INCIDENTS, MATCHES, Stream

_READ_SECONDS = 3.0  # for a person to read a scene
_READERS = ((EVENTS, "detect"), (EVENTS, "index"), (MATCHES, "correlate"), (ALERTS, "notify"), (INCIDENTS, "index"))


@click.command()
@click.option("--fast", is_flag=True, help="Don't wait for a reader between scenes.")
@click.option("--rules", "rules", default="builtin", help="Rules other than the shipped ones: a file or a folder.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.local/state/tocsin-demo"),
    show_default=True,
    help="Where the demo keeps its logs, stream and index; emptied at the start.",
)
def demo(state: Path, rules: str, *, fast: bool) -> None:
    """A day of trouble: what happens is written into log files, and the real pipeline does the rest.

    Its hours are pressed into the last fifty minutes, and those into less than one. What it leaves behind can
    be searched afterwards.
    """
    place = state.expanduser()
    _empty(place)
    config = load(_write_config(place, rules))
    loaded = app.open_rules(config)
    if not loaded.rules:
        why = "\n  ".join(map(str, loaded.errors)) or "no rule is there"
        raise click.UsageError(f"--rules {rules}: a day without rules rings no bell\n  {why}")
    with told(), app.running(config, app.ROLES):
        _wait(partial(_opened, config))
        _play(config, place, fast=fast)
        _await_readers(config)
    same = f"-c {shlex.quote(str(place / 'tocsin.yml'))}"
    _say("\nThe day is over. Three searches to try:")
    for query, why in day().searches:
        click.echo(f"  {program()} search {same} '{query}'    # {why}")
    click.echo(f"What the pages name works too: add {same}.")


def _empty(place: Path) -> None:
    """Make the folder anew; one that is not the demo's own is left alone."""
    if place.exists() and any(place.iterdir()) and not (place / "tocsin.yml").exists():
        raise click.UsageError(f"{place} is not empty and not a demo's; name another with --state")
    shutil.rmtree(place, ignore_errors=True)
    (place / "logs").mkdir(parents=True)
    for log in LOGS:
        (place / "logs" / log).touch()


def _write_config(place: Path, rules: str) -> Path:
    sources = [{"kind": "file", "paths": [str(place / "logs" / log)], "format": form} for log, form in LOGS.items()]
    sources[1]["prefix"] = PREFIX
    config = {
        "state": str(place),
        "host": {"name": "db-7", "environment": "production"},
        "sources": sources,
        "rules": {"paths": [rules], "lists": {"dbas": ["postgres", "dana_dba"]}},
        "environments": [
            {"match": {"db.namespace": "*_production"}, "is": "production"},
            {"match": {"db.namespace": "*_staging"}, "is": "staging"},
        ],
    }
    path = place / "tocsin.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _play(config: Config, place: Path, *, fast: bool) -> None:
    end = app.now()
    for scene in day().scenes:
        if scene.say:
            _say(f"\n{scene.say}")
        for log, line in scene.lines(end):
            with (place / "logs" / log).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            if scene.say:
                click.echo(click.style(f"  {log}: {line[:150]}", dim=True))
        app.pause(0.5)  # longer than a collector looks and holds
        _await_readers(config)
        app.pause(0.3 if fast or not scene.say else _READ_SECONDS)


def _say(text: str) -> None:
    click.echo(click.style(text, bold=True))
    sys.stdout.flush()


def _opened(config: Config) -> bool:
    """The collector has looked at its files for the first time: from here on lines are news."""
    files = app.open_files(config, "stream")
    try:
        return sum(name.startswith("source:") for name in files.journal.positions()) == len(LOGS)
    finally:
        files.close()


def _await_readers(config: Config) -> None:
    """Wait until each reader has read what stands there now; a tick that comes meanwhile is nothing to wait for."""
    with closing(app.open_stream(config)) as stream:
        for topic, group in _READERS:
            _wait(partial(_has_read, stream, topic, group, stream.ends(topic).get(0, 0)))


def _has_read(stream: Stream, topic: str, group: str, end: int) -> bool:
    return stream.committed(topic, group).get(0, 0) >= end


def _wait(until: Callable[[], bool], seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.1)):
        if until():
            return
        app.pause(0.1)
