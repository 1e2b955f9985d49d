"""`tocsin run`, and each role on its own: collect, detect, index, notify."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click

from pipeline import app
from pipeline.adapters import open_channels
from pipeline.commands.options import config_option, load_config, program, told
from pipeline.settings import Config
from pipeline.watching import watched
from rules.sigma import Correlation, Rule


def _start(path: Path | None, roles: tuple[str, ...]) -> None:
    config = load_config(path)
    if roles == app.ROLES and (config.console.url or config.console.slack_signing_secret_file):
        roles = (*roles, "console")
    logging.basicConfig(format="tocsin %(role)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("tocsin").setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_with_role)
    for loud in ("kafka", "elastic_transport", "slack_sdk"):  # what they find is told once, by the role that waits
        logging.getLogger(loud).setLevel(logging.CRITICAL)
    for role in roles:
        import_module(f"pipeline.roles.{role}")  # an extra that is absent is told before anything starts
    with told():
        if "notify" in roles:
            open_channels(config)  # a secret that cannot be read is told before anything starts
        app.run(config, roles, ready=lambda: _say(config, roles, path))
    click.echo("Stopped. What was read is kept; the next start goes on from here.", err=True)


def _with_role(record: logging.LogRecord) -> bool:
    record.role = getattr(record, "role", record.threadName)
    return True


def _say(config: Config, roles: tuple[str, ...], path: Path | None) -> None:
    """Say what is watched, what cannot be and how to mend that, and where to look next."""
    said = []
    if "collect" in roles:
        said.append("Watching")
        said += [f"  {_mark(ok=it.ok)} {it.what}: {it.note}" for it in watched(config)]
    if "detect" in roles:
        said += _rules(config)
    if "notify" in roles:
        said += _receivers(config)
    if "console" in roles:
        said.append(f"Console on http://{config.console.listen}")
    said.append(f"Kept in {_short(config.state)} (stream {config.stream.kind}, index {config.index.kind})")
    said += [
        "Next",
        *_next(path),
        "Ctrl-C stops it; the next start goes on where this one stopped.",
    ]
    click.echo("\n".join(said), err=True)


def _next(path: Path | None) -> list[str]:
    """Return what to type next, so that it works from here and over the same config."""
    same = f" -c {shlex.quote(str(path))}" if path else ""
    asked = {
        f"search{same} 'event.outcome:failure' --since 1h": "what happened",
        f"status{same}": "what was read, and what was lost",
        f"check{same}": "is everything as it should be",
    }
    width = max(map(len, asked))
    return [f"  {program()} {what:<{width}}    {why}" for what, why in asked.items()]


def _mark(*, ok: bool) -> str:
    return click.style("+", fg="green") if ok else click.style("-", fg="yellow")


def _rules(config: Config) -> list[str]:
    rules = app.open_rules(config)
    documents: list[Rule | Correlation] = [*rules.rules, *rules.correlations]
    inactive = [(document, why) for document in documents if (why := rules.inactive(document))]
    said = [f"Rules: {len(documents) - len(inactive)} active"]
    said += [f"  {_mark(ok=False)} {document.about.title}: inactive, {why}" for document, why in inactive]
    return said + [f"  {_mark(ok=False)} {fault}" for fault in rules.errors]


def _receivers(config: Config) -> list[str]:
    said = ["Pages go to"]
    for receiver in config.receivers:
        said.append(f"  {_mark(ok=True)} {receiver.name}: {', then '.join(c.kind for c in receiver.channels)}")
    if all(channel.kind == "terminal" for receiver in config.receivers for channel in receiver.channels):
        said.append(
            f"  - Slack, e-mail: add a receiver to the config (docs/config.md), then try {program()} notify-test"
        )
    return said


def _short(path: Path) -> str:
    home = os.path.expanduser("~")  # noqa: PTH111 (text in, text out)
    text = str(path.expanduser())
    return "~" + text[len(home) :] if text.startswith(home + "/") else text


@click.command()
@config_option
def run(path: Path | None) -> None:
    """Run every role in one process: watch this host, judge, index, page.

    Without a config it tails what this host has of /var/log/auth.log, /var/log/secure and journald, samples disk
    and memory, and shows pages on this terminal.
    """
    _start(path, app.ROLES)


@click.command()
@config_option
def console(path: Path | None) -> None:
    """Console: answer Slack's buttons and the links in e-mails, over HTTP on console.listen.

    It speaks plain HTTP on a loopback address; a proxy with TLS stands before it.
    """
    _start(path, ("console",))


@click.command()
@config_option
def collect(path: Path | None) -> None:
    """Collect: read the config's sources, and put events on the stream.

    With Kafka, events wait in a journal on this host's own disk while Kafka is away.
    """
    _start(path, ("collect",))


@click.command()
@config_option
def detect(path: Path | None) -> None:
    """Detect: judge events by the rules; start as many as there are partitions to share."""
    _start(path, ("detect",))


@click.command()
@config_option
def index(path: Path | None) -> None:
    """Index: put events, alerts and incidents into the archive that `tocsin search` reads."""
    _start(path, ("index",))


@click.command()
@config_option
def notify(path: Path | None) -> None:
    """Notify: turn alerts into incidents, and tell people. One is active; others stand by."""
    _start(path, ("notify",))
