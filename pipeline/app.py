"""The only wiring, and the only clock: config -> adapters -> roles -> threads, signals and a clean stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, assert_never
from zoneinfo import ZoneInfo

from collectors.assemble import Environments
from pipeline import __version__, state
from pipeline.config import secret
from pipeline.indexes import Index, IndexUnavailable
from pipeline.roles import Role
from pipeline.settings import Config, FileSettings, HostMetricsSettings, JournaldSettings
from pipeline.streams import Stream, StreamUnavailable

if TYPE_CHECKING:
    from collectors.sources import Source
    from notifiers.channels import Channel
    from notifiers.route import Route
    from pipeline.roles.collect import Feed
    from pipeline.streams.sqlite import SqliteStream
    from rules.ruleset import RuleSet

ROLES = ("collect", "detect", "index", "notify")
_IDLE_SECONDS = 0.1  # between looks at the sources
_LONGEST_WAIT = 10.0  # seconds between tries while something is away
_log = logging.getLogger("tocsin")


def now() -> datetime:
    """Return the moment. Everything else is told it."""
    return datetime.now(UTC)


# adapters, imported when they are chosen


def open_stream(config: Config) -> Stream:
    """Return a stream for the calling thread. Raises StreamUnavailable, StateError."""
    settings = config.stream
    if settings.kind == "sqlite":
        return open_files(config, "stream")
    from pipeline.streams.kafka import KafkaStream

    return KafkaStream(settings.servers, security=settings.security, prefix=settings.topic_prefix)


def open_files(config: Config, name: str) -> SqliteStream:
    """Return the SQLite stream in one folder of the state: the stream itself, or a collector's journal."""
    from pipeline.streams.sqlite import SqliteStream

    limit = config.stream.limit if config.stream.kind == "sqlite" else config.stream.journal_limit
    return SqliteStream(state.folder(config) / name, limit_bytes=limit)


def open_index(config: Config) -> Index:
    """Return an index for the calling thread. Raises IndexUnavailable, ConfigError, StateError."""
    settings = config.index
    if settings.kind == "sqlite":
        from pipeline.indexes.sqlite import SqliteIndex

        return SqliteIndex(state.folder(config) / "index")
    from pipeline.indexes.elasticsearch import ElasticsearchIndex

    return ElasticsearchIndex(
        settings.hosts,
        username=settings.username,
        password=secret(settings.password, settings.password_file),
        ca_file=settings.ca_file,
        prefix=settings.prefix,
    )


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
            else:
                assert_never(settings)
        receivers[receiver.name] = channels
    return receivers


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
    return Smtp(server, smtp.sender, to)


def open_sources(config: Config) -> list[Source]:
    """Return the sources, each path of a file source on its own; journald leaves out what they carry."""
    from collectors.sources.file import FileSource
    from collectors.sources.host_metrics import HostMetricsSource
    from collectors.sources.journald import AUTH_FACILITIES, JournaldSource

    sources: list[Source] = []
    for settings in config.sources:
        match settings:
            case FileSettings():
                sources += [FileSource(f"file:{path}", [path], settings.format) for path in settings.paths]
            case JournaldSettings():
                carried = AUTH_FACILITIES if settings.facilities == "untailed" and _auth_is_tailed(config) else ()
                sources.append(JournaldSource("journald", carried))
            case HostMetricsSettings():
                sources.append(HostMetricsSource("host_metrics", settings.every, settings.mounts))
            case _:
                assert_never(settings)
    return sources


def _auth_is_tailed(config: Config) -> bool:
    paths = [path for settings in config.sources if isinstance(settings, FileSettings) for path in settings.paths]
    return any(Path(path).name in ("auth.log", "secure") and Path(path).exists() for path in paths)


def open_feeds(config: Config) -> list[Feed]:
    """Return the sources with their formats and zones."""
    from collectors.formats.registry import FORMATS, decode

    from pipeline.roles.collect import Feed

    by_path = {
        f"file:{path}": settings
        for settings in config.sources
        if isinstance(settings, FileSettings)
        for path in settings.paths
    }
    feeds = []
    for source in open_sources(config):
        settings = by_path.get(source.name)
        format_ = FORMATS[source.format] if source.format else None
        zone = _zone(settings.timezone) if settings else UTC
        feeds.append(Feed(source, format_, zone, decode, prefix=settings.prefix if settings else None))
    return feeds


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


def open_rules(config: Config) -> RuleSet:
    """Return the rules that the config names, faults among them."""
    from pipeline.rulesets import read

    return read(config.rules.paths, config.rules.lists)


# roles


def build(role: str, config: Config) -> Role:
    """Return a role with all that it needs, for the calling thread."""
    match role:
        case "collect":
            return _collect(config)
        case "forward":
            from pipeline.roles.forward import Forward

            return Forward(open_files(config, "journal"), open_stream(config))
        case "detect":
            from pipeline.roles.detect import Detect

            return Detect(open_stream(config), open_rules(config), engine=__version__)
        case "index":
            from pipeline.roles.index import Indexer

            return Indexer(open_stream(config), open_index(config))
        case "notify":
            from pipeline.roles.notify import Notify

            return Notify(open_stream(config), build_route(config), open_channels(config))
        case "keep":
            return _keep(config)
        case _:
            raise ValueError(role)


def _collect(config: Config) -> Role:
    from pipeline.roles.collect import Collect

    journal = open_files(config, "stream" if config.stream.kind == "sqlite" else "journal").journal
    environments = Environments.of([(rule.match, rule.is_) for rule in config.environments], config.host.environment)
    return Collect(open_feeds(config), journal, state.host(config), environments)


def build_route(config: Config) -> Route:
    """Return the route tree; a root without a receiver goes to the first one. Raises RouteError."""
    from notifiers.route import parse

    route = config.route.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    return parse({"receiver": config.receivers[0].name, **route})


def _keep(config: Config) -> Role:
    from pipeline.roles.keep import Keep

    name, keep = ("stream", config.stream.keep) if config.stream.kind == "sqlite" else ("journal", None)
    files = open_files(config, name)
    if keep is None:
        return Keep([files.trim], [files.close])
    return Keep([lambda moment: files.trim(moment - keep)], [files.close])


# running


def threads_of(roles: Sequence[str], config: Config) -> list[str]:
    """Return the loops that the roles need: a collector of a fleet also forwards, files are kept in bounds."""
    loops = list(roles)
    if "collect" in roles and config.stream.kind == "kafka":
        loops.append("forward")
    if "collect" in roles or config.stream.kind == "sqlite":
        loops.append("keep")
    return loops


def run(config: Config, roles: Sequence[str], ready: Callable[[], None] = lambda: None) -> None:
    """Run roles until SIGINT or SIGTERM, then stop each between two steps. Raises StateError before it starts."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    with ExitStack() as locks:
        for role in roles:
            locks.enter_context(state.role_lock(config, role))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        threads = [
            threading.Thread(target=_loop, args=(name, config, stop), name=name) for name in threads_of(roles, config)
        ]
        for thread in threads:
            thread.start()
        ready()
        stop.wait()
        for thread in threads:
            thread.join()


def _loop(name: str, config: Config, stop: threading.Event) -> None:
    """Step one role until told to stop. What is away is waited for; a fault rebuilds the role from what is durable."""
    role: Role | None = None
    failures = 0
    while not stop.is_set():
        try:
            role = role or build(name, config)
            busy = role.step(now())
            if failures:
                _log.info("goes on", extra={"role": name})
            failures = 0
            if not busy and name in ("collect", "keep"):
                stop.wait(_IDLE_SECONDS)
        except (StreamUnavailable, IndexUnavailable) as error:
            failures += 1
            if failures == 1:
                _log.warning("waits: %s", error, extra={"role": name})
            stop.wait(min(0.1 * 2**failures, _LONGEST_WAIT))
        except Exception:
            failures += 1
            _log.exception("starts again after a fault", extra={"role": name})
            _close(role)
            role = None
            stop.wait(min(0.1 * 2**failures, _LONGEST_WAIT))
    _close(role)


def _close(role: Role | None) -> None:
    try:
        if role is not None:
            role.close()
    except Exception:
        _log.exception("could not be closed", extra={"role": role.name if role else ""})
