"""What the keys of `sources` cannot show one by one: addresses that are none, files that go together, names twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from collectors.formats import ParseError
from collectors.formats.registry import FORMATS
from collectors.formats.when import zone
from collectors.sources.keyset import NAME
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

Fault = tuple[tuple[str | int, ...], str]  # the way to the key, and what is wrong


def faults(sources: list[SourceSettings]) -> Iterator[Fault]:
    """Yield each fault of the sources, the way beginning at the source's number."""
    known: set[str] = set()
    for n, source in enumerate(sources):
        for where, what in _of(source):
            yield (n, *where), what
        for key, name in _names(source):
            if name in known:
                yield (n, *key), f"a second source {name}: where it stands would be lost to the first one's"
            known.add(name)


def _of(source: SourceSettings) -> Iterator[Fault]:
    match source:
        case FileSettings() | StdinSettings():
            yield from [*_format(source.format), *_zone(source.timezone), *_prefix(source.prefix)]
        case HostMetricsSettings():
            yield from _positive("every", source.every, "10s")
        case SyslogSettings():
            yield from [*_format(source.format), *_zone(source.timezone), *_syslog(source)]
        case CommandSettings():
            yield from [*_format(source.format), *_zone(source.timezone), *_positive("timeout", source.timeout, "1m")]
            if source.every < timedelta(seconds=1):
                yield ("every",), "expected at least 1s"
        case TableSettings():
            yield from [*_format(source.format), *_zone(source.timezone), *_table(source)]
            yield from [*_positive("every", source.every, "10s"), *_positive("timeout", source.timeout, "30s")]
        case JournaldSettings():
            pass


def _names(source: SourceSettings) -> list[tuple[tuple[str | int, ...], str]]:
    """Return the names that the source's positions go by, each with the key that gives it."""
    match source:
        case FileSettings():
            return [(("paths", n), f"file:{path}") for n, path in enumerate(source.paths)]
        case SyslogSettings():
            return [(("listen",), f"syslog:{source.listen}")]
        case CommandSettings() | TableSettings():
            return [(("name",), f"{source.kind}:{source.name}")]
        case _:
            return [((), source.kind)]


def _format(name: str) -> Iterator[Fault]:
    if name not in FORMATS:
        yield ("format",), f"no format {name!r}; there are {', '.join(sorted(FORMATS))}"


def _zone(name: str) -> Iterator[Fault]:
    try:
        if name != "local":
            zone(name)
    except ParseError as error:
        yield ("timezone",), str(error)


def _prefix(prefix: str | None) -> Iterator[Fault]:
    if prefix is not None:
        from collectors.formats.postgresql import compiled  # noqa: PLC0415  a base install starts light

        try:
            compiled(prefix)
        except ParseError as error:
            yield ("prefix",), str(error)


def _positive(key: str, value: timedelta, example: str) -> Iterator[Fault]:
    if not value:
        yield (key,), f"expected more than nothing; write {example}"


def _syslog(source: SyslogSettings) -> Iterator[Fault]:
    from collectors.sources.syslog_listener import Listen  # noqa: PLC0415

    try:
        Listen.parse(source.listen)
    except ValueError as error:
        yield ("listen",), str(error)
        return
    tls = urlsplit(source.listen).scheme == "tls"
    for name in ("cert_file", "key_file"):
        if tls and getattr(source, name) is None:
            yield (name,), "is required: tls:// shows senders a certificate"
    for name in ("cert_file", "key_file", "client_ca_file"):
        if not tls and getattr(source, name) is not None:
            yield (name,), f"only tls:// has certificates; {source.listen} would speak plainly"
    if source.client_names and source.client_ca_file is None:
        yield ("client_names",), "needs client_ca_file: without it no sender shows a name"


def _table(source: TableSettings) -> Iterator[Fault]:
    for n, name in enumerate(source.position):
        if not NAME.fullmatch(name):
            yield ("position", n), f"{name!r} is no plain column name; give the column one in the query: ... AS id"
    if ";" in source.query:
        yield ("query",), "expected one SELECT without `;`: it is read as a part of another one"
    if source.fields and source.text is not None:
        yield ("fields",), "names columns of a row read as JSON; with `text` the format finds the fields"
    if isinstance(source.overlap, int) and source.overlap < 0:
        yield ("overlap",), "expected a number of 0 or more, or a time like 30s"
