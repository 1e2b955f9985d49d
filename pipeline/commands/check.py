"""`tocsin check`: config, rules, lists, sources and connections; every fault with its place, and how to mend it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import click

from pipeline import app
from pipeline.adapters import build_policy, open_channels
from pipeline.commands.options import config_option, load_config
from pipeline.config import ConfigError
from pipeline.indexes import IndexUnavailable, Query
from pipeline.reaching import reached
from pipeline.settings import Config
from pipeline.state import StateError, folder
from pipeline.streams import EVENTS, StreamUnavailable
from pipeline.watching import watched
from rules.predicate import And

OURS = ("collectors", "pipeline", "rules", "notifiers")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `ok` None is a warning: it works, but not as one would think."""

    ok: bool | None
    what: str


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Leave out stream, index, ports and databases; look at the files alone.")
def check(path: Path | None, offline: bool) -> None:
    """Check that all is as it should be: config, rules, lists, sources, stream, index.

    Faults of the config and of rules begin with file:line. Exit 1 if anything is at fault.
    """
    config = load_config(path)
    findings = [
        *_owners(),
        *_state(config),
        *_sources(config),
        *_rules(config),
        *_routes(config),
        *_commands(config),
        *_files(config),
        *_templates(config),
    ]
    if not offline:
        findings += [*_reached(config), *_stream(config), *_index(config)]
    for finding in findings:
        colour = {True: "green", False: "red", None: "yellow"}[finding.ok]
        word = {True: "ok", False: "fault", None: "warning"}[finding.ok]
        click.echo(f"{click.style(f'{word:7}', fg=colour)} {finding.what}")
    sys.exit(1 if any(finding.ok is False for finding in findings) else 0)


def _owners() -> Iterator[Finding]:
    """Another distribution with a package of our name would be imported in its place."""
    for name, owners in packages_distributions().items():
        others = sorted(set(owners) - {"tocsin"})
        if name in OURS and others:
            yield Finding(False, f"package {name} belongs to {', '.join(others)} too: give Tocsin its own environment")


def _state(config: Config) -> Iterator[Finding]:
    try:
        yield Finding(True, f"state folder {folder(config)}")
    except StateError as error:
        yield Finding(False, str(error))


def _sources(config: Config) -> Iterator[Finding]:
    found = watched(config)
    for one in found:
        yield Finding(True if one.ok else None, f"{one.what}: {one.note}")
    if not any(one.ok for one in found):
        yield Finding(False, "no source can be read: nothing would be watched")


def _reached(config: Config) -> Iterator[Finding]:
    try:
        for one in reached(config):
            yield Finding(one.ok, f"{one.what}: {one.note}")
    except StateError:
        pass  # told already


def _rules(config: Config) -> Iterator[Finding]:
    rules = app.open_rules(config)
    for fault in rules.faults:
        yield Finding(None if fault.warning else False, str(fault))
    count = len(rules.rules) + len(rules.correlations)
    yield Finding(count > 0, f"{count} rules from {', '.join(config.rules.paths)}")


def _routes(config: Config) -> Iterator[Finding]:
    try:
        build_policy(config)
        channels = open_channels(config)
    except (ConfigError, ValueError) as error:
        yield Finding(False, f"receivers: {error}")
        return
    for name, found in channels.items():
        yield Finding(True, f"receiver {name}: {', then '.join(channel.kind for channel in found)}")


def _commands(config: Config) -> Iterator[Finding]:
    """A fleet's command line, console and notifier must share a key, or nobody is obeyed."""
    from pipeline.keys import commands_key

    if config.commands.key_file is None:
        if config.stream.kind == "kafka":
            own = "commands are signed with a key of this host's own: no notifier on another host obeys them"
            yield Finding(None, f"{own}; name the same commands.key_file everywhere")
        return
    try:
        commands_key(config)
    except StateError as error:
        yield Finding(False, str(error))
    else:
        yield Finding(True, f"commands are signed with {config.commands.key_file}")


def _files(config: Config) -> Iterator[Finding]:
    """What is read or written beside the state folder, and would be missed only later."""
    secret = config.console.slack_signing_secret_file
    if secret is not None and not os.access(secret.expanduser(), os.R_OK):
        yield Finding(False, f"console.slack_signing_secret_file: {secret} cannot be read")
    anchors, enrolled = config.chain.anchor_file, config.chain.enrolled
    if anchors is not None and not os.access(anchors.expanduser().parent, os.W_OK):
        yield Finding(False, f"chain.anchor_file: {anchors.parent} is no folder that can be written to")
    if enrolled is not None:
        place = enrolled.expanduser()
        if not os.access(place if place.exists() else place.parent, os.W_OK):
            yield Finding(False, f"chain.enrolled: {enrolled} is no folder that can be written to")


def _templates(config: Config) -> Iterator[Finding]:
    if config.templates is None:
        return
    from pipeline.templates import faults

    try:
        found = list(faults(config, app.open_rules(config), app.now()))
    except ConfigError as error:
        yield Finding(False, str(error))
        return
    yield from (Finding(False, str(fault)) for fault in found)
    if not found:
        yield Finding(True, f"templates in {config.templates}: tried on a sample of each alert")


def _stream(config: Config) -> Iterator[Finding]:
    def look() -> str:
        stream = app.open_stream(config)
        try:
            return f"stream {config.stream.kind}: {sum(stream.ends(EVENTS).values())} records of {EVENTS}"
        finally:
            stream.close()

    yield _tried(look)


def _index(config: Config) -> Iterator[Finding]:
    def look() -> str:
        index = app.open_index(config)
        try:
            index.search(Query(And(()), limit=1))
            return f"index {config.index.kind}: answers"
        finally:
            index.close()

    yield _tried(look)


def _tried(look: Callable[[], str]) -> Finding:
    try:
        return Finding(True, look())
    except (StreamUnavailable, IndexUnavailable, StateError, ConfigError) as error:
        return Finding(False, str(error))
