"""Config -> adapters, each imported when it is chosen, so that an extra that is not used need not be installed."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from pipeline import state
from pipeline.config import secret
from pipeline.indexes import Index, IndexUnavailable
from pipeline.settings import Config, WebhookSettings
from pipeline.streams import Stream, StreamUnavailable
from rules.event import CLASSES

if TYPE_CHECKING:
    from notifiers.channels import Channel
    from notifiers.channels.smtp import Links
    from notifiers.policy import Policy
    from pipeline.records import Command
    from pipeline.roles import Role
    from pipeline.roles.notify import Means
    from pipeline.streams.sqlite import SqliteStream
    from rules.faults import Fault
    from rules.ruleset import RuleSet


def open_stream(config: Config) -> Stream:
    """Return a stream for the calling thread. Raises StreamUnavailable, StateError."""
    settings = config.stream
    if settings.kind == "sqlite":
        return open_files(config, "stream")
    from pipeline.streams.kafka import KafkaStream

    return KafkaStream(
        settings.servers,
        security=settings.security,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
        keep=settings.keep,
    )


def open_files(config: Config, name: str) -> SqliteStream:
    """Return the SQLite stream in one folder of the state: the stream itself, or a collector's journal.

    Raises StreamUnavailable, StateError.
    """
    from pipeline.intake import PRIORITIES
    from pipeline.streams.sqlite import SqliteStream

    place = state.folder(config) / name
    try:
        if config.stream.kind == "sqlite":
            return SqliteStream(place, limit_bytes=config.stream.limit)
        return SqliteStream(place, topics=PRIORITIES, limit_bytes=config.stream.journal_limit)
    except OSError as error:
        raise StreamUnavailable(f"{place}: {_reason(error)}") from error


def open_index(config: Config) -> Index:
    """Return an index for the calling thread. Raises IndexUnavailable, ConfigError, StateError."""
    settings = config.index
    if settings.kind == "sqlite":
        from pipeline.indexes.sqlite import SqliteIndex

        place = state.folder(config) / "index"
        try:
            return SqliteIndex(place)
        except (OSError, sqlite3.Error) as error:
            raise IndexUnavailable(f"{place}: {_reason(error)}") from error
    from pipeline.indexes.elasticsearch import ElasticsearchIndex

    return ElasticsearchIndex(
        settings.hosts,
        username=settings.username,
        password=secret(settings.password, settings.password_file),
        ca_file=settings.ca_file,
        prefix=settings.prefix,
    )


def _reason(error: OSError | sqlite3.Error) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def keep_index(index: Index, config: Config, now: datetime) -> int:
    """Drop whole indexes whose time is over, then the oldest above the limit; return how many went."""
    from pipeline.indexes import Retained
    from pipeline.indexes.retention import expire, shrink

    assert isinstance(index, Retained)
    keep = config.index.keep
    by_class = {name: getattr(keep, name) or keep.default for name in CLASSES}
    dropped = expire(index, by_class, now)
    if config.index.kind == "sqlite":
        dropped += shrink(index, limit_bytes_of(config.index.limit, state.folder(config)), now)
    return dropped


def limit_bytes_of(limit: int | str, place: Path) -> int:
    """Return a limit in bytes; a share is of the disk that the place is on."""
    return limit if isinstance(limit, int) else shutil.disk_usage(place).total * int(limit.rstrip("%")) // 100


def open_channels(config: Config) -> dict[str, list[Channel]]:
    """Return each receiver's channels in order. Raises ConfigError for a secret that cannot be read."""
    from notifiers.channels import terminal

    receivers: dict[str, list[Channel]] = {}
    for receiver in config.receivers:
        channels: list[Channel] = []
        for settings in receiver.channels:
            if settings.kind == "terminal":
                channels.append(terminal.Terminal(sys.stdout))
            elif settings.kind == "slack":
                from notifiers.channels.slack import Slack

                token = secret(settings.token, settings.token_file) or ""
                channels.append(Slack(token, settings.channel, settings.base_url))
            elif settings.kind == "email":
                channels.append(_email(config, settings.to))
            elif settings.kind == "webhook":
                channels.append(_webhook(settings, receiver.name, config))
            else:
                assert_never(settings)
        receivers[receiver.name] = channels
    return receivers


def open_means(config: Config) -> Means:
    """Return what the notifier works with: key, templates, local intents. Raises StateError, ConfigError."""
    from notifiers.render import Renderer
    from pipeline.keys import commands_key
    from pipeline.roles.intents import Intents
    from pipeline.roles.notify import Means
    from pipeline.roles.recall import Recall
    from pipeline.roles.writer import Writer
    from pipeline.templates import texts

    buttons = config.console.slack_signing_secret_file is not None
    renderer = Renderer(texts(config), config=config.options, buttons=buttons)
    intents = Intents(state.folder(config) / "intents.ndjson")
    return Means(commands_key(config), Writer(renderer, Recall(partial(open_index, config))), intents)


def _email(config: Config, to: Sequence[str]) -> Channel:
    from notifiers.channels.smtp import Server, Smtp

    smtp = config.smtp
    server = Server(
        smtp.host,
        smtp.port,
        tls=smtp.tls,
        username=smtp.username,
        password=secret(smtp.password, smtp.password_file),
        ca_file=str(smtp.ca_file) if smtp.ca_file else None,
    )
    return Smtp(server, smtp.sender, to, _links(config))


def _links(config: Config) -> Links | None:
    """Return how e-mails get their links: for people that the config knows, where it says how to reach the console."""
    if config.console.url is None:
        return None
    from pipeline import keys
    from pipeline.console.links import links

    known = partial(keys.by_email, config.people)
    return links(
        keys.commands_key(config), config.console.url, config.console.link_ttl, lambda to: known(to) is not None
    )


def open_console(config: Config, stream: Stream) -> Role:
    """Return the console over a stream, listening. Raises ConfigError, StateError."""
    from pipeline.console.answering import Site
    from pipeline.console.server import Server
    from pipeline.console.slack import Door
    from pipeline.keys import commands_key
    from pipeline.roles.console import Console
    from pipeline.streams import COMMANDS, Message

    def obey(said: Command) -> None:
        stream.append(COMMANDS, [Message(said.person, said.model_dump_json().encode())])

    shared = secret(None, config.console.slack_signing_secret_file)
    site = Site(commands_key(config), config.people, obey, Door(shared.encode()) if shared else None)
    host, _, port = config.console.listen.rpartition(":")
    try:
        server = Server(host.strip("[]"), int(port))
    except OSError as error:
        raise state.StateError(f"console.listen {config.console.listen}: {error.strerror or error}") from error
    return Console(stream, site, build_policy(config), server)


def _webhook(settings: WebhookSettings, receiver: str, config: Config) -> Channel:
    from notifiers.channels.webhook import Endpoint, Webhook

    key = secret(None, settings.secret_file)
    endpoint = Endpoint(
        secret(settings.url, settings.url_file) or "",
        secret=key.encode() if key else None,
        authorization=secret(None, settings.authorization_file),
        ca_file=str(settings.ca_file) if settings.ca_file else None,
    )
    return Webhook(endpoint, receiver, external_url=config.console.url or "")


def open_rules(config: Config) -> RuleSet:
    """Return the rules that the config names; what is faulty is left out and named in `faults`."""
    from pipeline import rulesets
    from rules.ruleset import load

    faults: list[Fault] = []
    found = load(rulesets.sources(config.rules.paths, faults), *rulesets.configured(config.rules, faults))
    return replace(found, faults=tuple(sorted([*found.faults, *faults])))


def build_policy(config: Config) -> Policy:
    """Return who is told what, and when; a root without a receiver goes to the first one. Raises RouteError."""
    from notifiers import inhibit, schedule
    from notifiers.policy import Policy, checked
    from notifiers.route import parse

    route = config.route.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    return checked(
        Policy(
            parse({"receiver": config.receivers[0].name, **route}),
            inhibit.parse(config.inhibit_rules),
            schedule.parse(config.time_intervals),
            ttl=config.incidents.ttl,
            storm=config.incidents.storm,
        )
    )
