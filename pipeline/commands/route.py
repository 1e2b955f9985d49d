"""`tocsin route`: who would get what, when and why; and Alertmanager's config in Tocsin's words."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import cast

import click
import msgspec
import yaml

from notifiers.policy import Policy, audience, by_time, group_wait
from notifiers.route import Labels, RouteError
from pipeline import app
from pipeline.commands.imported import converted
from pipeline.commands.options import config_option, fail, load_config, time_of
from pipeline.commands.people import history, opened, policy
from rules.alert import URGENCY_OF_LEVEL, Level, Urgency


@click.group()
def route() -> None:
    """Look at routing."""


@route.command()
@config_option
@click.argument("labels", nargs=-1)
@click.option("--at", help="The moment, RFC 3339; default now.")
def test(path: Path | None, labels: tuple[str, ...], at: str | None) -> None:
    """Say who gets an alert with LABELS (name=value), when, and why: tocsin route test severity=high host.name=db-7."""
    config = load_config(path)
    given = _labels(labels)
    now = time_of(at) if at else app.now()
    with opened(config) as stream:
        ledger, _ = history(stream, config)
    quiet = ledger.silences.muting(given, now)
    silenced = f"silence {quiet.id} by {quiet.person}: {quiet.reason}" if quiet else None
    inhibitor = ledger.inhibitor.muting("", given)
    why = silenced or (f"inhibited by {ledger.incidents[inhibitor].id}" if inhibitor else None)
    rows = list(_rows(policy(config), given, now, why))
    for row in rows:
        if sys.stdout.isatty():
            click.echo(f"{row['receiver']:<20} {row['when']:<24} by {row['route']}")
        else:
            click.echo(msgspec.json.encode(row))
    if not rows:
        click.echo("nobody: urgency record", err=True)


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{text!r} is no label; write name=value")
        given[name] = value
    level = given.get("severity", "medium")
    given.setdefault("level", level)
    given.setdefault("severity", level)
    given.setdefault("urgency", URGENCY_OF_LEVEL.get(cast("Level", level), "notify"))
    return given


def _rows(rules: Policy, labels: Labels, now: datetime, muted: str | None) -> Iterator[dict[str, str]]:
    for node in audience(rules, labels):
        quiet = muted or by_time(rules, node, now)
        wait = group_wait(node, cast("Urgency", labels["urgency"]))
        when = f"not: {quiet}" if quiet else f"in {wait.total_seconds():g} s" if wait else "at once"
        yield {"receiver": node.receiver, "when": when, "route": node.path, "group": node.group(labels)}


@route.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(file: Path) -> None:
    """Print Alertmanager's config FILE as Tocsin's, and name on stderr what has no equivalent (exit 1 then)."""
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise fail(f"{file}: {error}") from error
    if not isinstance(raw, Mapping):
        raise fail(f"{file}: not a config of Alertmanager's")
    try:
        made, left = converted(cast("Mapping[str, object]", raw))
    except RouteError as error:
        raise fail(f"{file}: {error}") from error
    click.echo(yaml.safe_dump(made, sort_keys=False, allow_unicode=True), nl=False)
    for what in left:
        click.echo(f"{file}: {what}", err=True)
    sys.exit(1 if left else 0)
