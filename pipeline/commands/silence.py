"""`tocsin silence`: keep some pages quiet for a while, with a reason."""

from __future__ import annotations

import sys
import uuid
from datetime import datetime
from pathlib import Path

import click
import msgspec

from notifiers.silence import Silence, SilenceError
from notifiers.silence import silence as asked
from notifiers.view import clock
from pipeline import app
from pipeline.commands.options import config_option, fail, load_config, span_of, time_of
from pipeline.commands.people import caller, command, history, opened
from rules.event import Value, rfc3339


@click.group()
def silence() -> None:
    """Keep some pages quiet for a while. The end of what was paged is told all the same."""


@silence.command()
@config_option
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "span", help="How long: 30m, 2h, 3d.")
@click.option("--until", help="Or until when: an RFC 3339 time.")
@click.option("--reason", required=True, help="Why; those whom it keeps from hearing are told.")
def add(path: Path | None, matchers: tuple[str, ...], span: str | None, until: str | None, reason: str) -> None:
    """Begin a silence: tocsin silence add 'host.name="db-7"' 'severity!=critical' --for 2h --reason 'disk swap'."""
    if (span is None) == (until is None):
        raise click.UsageError("give either --for or --until")
    config = load_config(path)
    now = app.now()
    arguments: dict[str, Value] = {
        "id": uuid.uuid4().hex[:8],
        "matchers": list(matchers),
        "ends": rfc3339(_end(span, until, now)),
        "reason": reason,
    }
    try:
        known = asked(arguments, caller(config)[0], now)
    except SilenceError as error:
        raise fail(str(error)) from error
    with opened(config) as stream:
        command(stream, config, "silence", arguments)
    click.echo(f"silence {known.id} until {clock(known.ends)}: {', '.join(known.matchers)}")


def _end(span: str | None, until: str | None, now: datetime) -> datetime:
    if until is not None:
        return time_of(until)
    return now + span_of(span or "")


@silence.command("list")
@config_option
@click.option("--all", "every", is_flag=True, help="Those that have ended too.")
def list_(path: Path | None, every: bool) -> None:
    """List the silences that hold now or will."""
    config = load_config(path)
    now = app.now()
    with opened(config) as stream:
        ledger, _ = history(stream, config)
    for one in ledger.silences.all():
        if every or one.ends > now:
            click.echo(_line(one) if sys.stdout.isatty() else msgspec.json.encode(one.model_dump(mode="json")))


def _line(one: Silence) -> str:
    return f"{one.id}  until {clock(one.ends)}  {', '.join(one.matchers)}  by {one.person}: {one.reason}"


@silence.command()
@config_option
@click.argument("name", metavar="ID")
def end(path: Path | None, name: str) -> None:
    """End a silence now."""
    config = load_config(path)
    with opened(config) as stream:
        ledger, _ = history(stream, config)
        known = ledger.silences.get(name)
        if known is None or known.ends <= app.now():
            raise fail(f"no silence {name!r} holds; `tocsin silence list` shows what does")
        command(stream, config, "unsilence", {"id": name})
    click.echo(f"silence {name} ends: {', '.join(known.matchers)}")
