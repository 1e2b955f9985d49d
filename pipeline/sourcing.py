"""The config's sources -> sources with what is needed to understand them, each adapter imported when it is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, assert_never
from zoneinfo import ZoneInfo

from pipeline.settings import Config
from pipeline.source_settings import (
    CommandSettings,
    FileSettings,
    HostMetricsSettings,
    JournaldSettings,
    SourceSettings,
    StdinSettings,
    SyslogSettings,
    TableSettings,
)

if TYPE_CHECKING:
    from collectors.formats import Format
    from collectors.sources import Source
    from collectors.sources.database import Access
    from collectors.sources.stdin import Input
    from collectors.sources.syslog_listener import SyslogSource
    from pipeline.feeds import Feed


def open_feeds(config: Config) -> list[Feed]:
    """Return the sources with their formats, zones and priorities."""
    return [_feed(source, settings) for settings in config.sources for source in _sources(settings, config)]


def _feed(source: Source, settings: SourceSettings) -> Feed:
    from collectors.formats.registry import decode
    from pipeline.feeds import Feed
    from pipeline.intake import by_default

    zone = UTC if isinstance(settings, JournaldSettings | HostMetricsSettings) else _zone(settings.timezone)
    prefix = settings.prefix if isinstance(settings, FileSettings | StdinSettings) else None
    priority = settings.priority or by_default(settings.kind, source.format)
    how = "none" if isinstance(settings, HostMetricsSettings) else settings.redact
    return Feed(source, _format(source, settings), zone, decode, prefix=prefix, priority=priority, redact=how)


def _format(source: Source, settings: SourceSettings) -> Format | None:
    from collectors.formats.registry import FORMATS

    if source.format is None:
        return None
    found = FORMATS[source.format]
    if isinstance(settings, SyslogSettings | TableSettings):  # a message, a row is a record: none is joined to another
        found = replace(found, continues=None, quote=None, quoting=None)
    if isinstance(settings, TableSettings) and settings.fields:
        from collectors.formats.renamed import renamed

        found = renamed(found, settings.fields)
    return found


def _sources(settings: SourceSettings, config: Config) -> Iterator[Source]:
    match settings:
        case FileSettings():
            from collectors.sources.file import FileSource

            yield from (FileSource(f"file:{path}", [path], settings.format) for path in settings.paths)
        case JournaldSettings():
            yield _journald(settings, config)
        case HostMetricsSettings():
            from collectors.sources.host_metrics import HostMetricsSource

            yield HostMetricsSource("host_metrics", settings.every, settings.mounts)
        case SyslogSettings():
            yield syslog(settings)
        case StdinSettings():
            from collectors.sources.stdin import StdinSource

            yield StdinSource("stdin", settings.format, _input())
        case CommandSettings():
            yield _command(settings)
        case TableSettings():
            yield _table(settings)
        case _:
            assert_never(settings)


def _journald(settings: JournaldSettings, config: Config) -> Source:
    from collectors.sources.carried import carriers
    from collectors.sources.journald import JournaldSource

    if settings.facilities == "all":
        return JournaldSource("journald")
    return JournaldSource("journald", carriers([path for one in config.sources for path in _tailed(one)]))


def _tailed(source: SourceSettings) -> list[str]:
    return source.paths if isinstance(source, FileSettings) else []


def syslog(settings: SyslogSettings) -> SyslogSource:
    """Return a listener, not listening yet."""
    from collectors.sources.syslog_listener import Listen, SyslogSource
    from collectors.sources.tls_server import Tls

    tls = None
    if settings.cert_file is not None and settings.key_file is not None:
        tls = Tls(settings.cert_file, settings.key_file, settings.client_ca_file, settings.client_names)
    return SyslogSource(
        Listen.parse(settings.listen),
        settings.format,
        tls,
        connections=settings.connections,
        longest=settings.longest,
    )


@cache
def _input() -> Input:
    """Return standard input, one for the process: what a source had read of it, its successor finds there."""
    from collectors.sources.stdin import Input

    return Input(0)


def _command(settings: CommandSettings) -> Source:
    from collectors.sources.command import CommandSource, Schedule

    schedule = Schedule(settings.run, settings.every, settings.timeout, settings.env)
    return CommandSource(f"command:{settings.name}", schedule, settings.format)


def access(settings: TableSettings) -> Access:
    """Return how a table is reached."""
    from collectors.sources.database import Access

    needed = [*settings.fields.values(), *([settings.text] if settings.text else [])]
    return Access(
        settings.driver,
        settings.connect,
        settings.query,
        settings.position,
        needed,
        settings.password_file,
        settings.timeout,
    )


def _table(settings: TableSettings) -> Source:
    from collectors.sources.table import TableSource

    name = f"table:{settings.name}"
    found = access(settings)
    return TableSource(name, found, settings.every, settings.format, text=settings.text, overlap=settings.overlap)


def _zone(name: str) -> tzinfo:
    if name != "local":
        from collectors.formats.when import zone

        return zone(name)
    link = Path("/etc/localtime")
    try:
        target = str(link.resolve())
        return ZoneInfo(target.partition("/zoneinfo/")[2]) if "/zoneinfo/" in target else UTC
    except (OSError, ValueError):
        return UTC
