"""The only clock, and what runs: config -> roles -> threads, signals and a clean stop."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import FrameType

from collectors.environments import EnvironmentRule, Environments
from pipeline import __version__, state
from pipeline.adapters import (
    build_policy,
    keep_index,
    open_channels,
    open_console,
    open_files,
    open_index,
    open_means,
    open_rules,
    open_stream,
)
from pipeline.enrolling import open_sealing
from pipeline.indexes import IndexUnavailable
from pipeline.roles import Role
from pipeline.settings import Config, ListFile
from pipeline.sourcing import open_feeds
from pipeline.streams import Stream, StreamUnavailable

__all__ = ["ROLES", "build", "now", "open_files", "open_index", "open_rules", "open_stream", "pause", "run", "running"]

ROLES = ("collect", "detect", "index", "notify")
_IDLE_SECONDS = {"collect": 0.15, "keep": 10.0}  # between looks; the other roles wait within their reads
_LONGEST_WAIT = 10.0  # seconds between tries while something is away
_log = logging.getLogger("tocsin")


def now() -> datetime:
    """Return the moment. Everything else is told it."""
    return datetime.now(UTC)


# roles


def build(role: str, config: Config, opened: ExitStack) -> Role:
    """Return a role with all that it needs, for the calling thread; `opened` closes what was opened for it."""

    def stream() -> Stream:
        return opened.enter_context(closing(open_stream(config)))

    match role:
        case "collect":
            return _collect(config, opened)
        case "forward":
            from pipeline.roles.forward import Forward

            return Forward(opened.enter_context(closing(open_files(config, "journal"))), stream())
        case "detect":
            return _detect(config, stream())
        case "index":
            from pipeline.escrow import open_sound
            from pipeline.roles.index import Indexer

            index = opened.enter_context(closing(open_index(config)))
            return Indexer(stream(), index, expire=partial(keep_index, index, config), sound=open_sound(config))
        case "notify":
            from pipeline.roles.notify import Notify

            return Notify(stream(), build_policy(config), open_channels(config), open_means(config))
        case "console":
            return open_console(config, stream())
        case "keep":
            return _keep(config, opened)
        case _:
            raise ValueError(role)


def _collect(config: Config, opened: ExitStack) -> Role:
    from pipeline import intake
    from pipeline.roles.collect import Collect

    name, into = ("stream", intake.embedded) if config.stream.kind == "sqlite" else ("journal", intake.own)
    files = opened.enter_context(closing(open_files(config, name)))
    rules = (EnvironmentRule.of(rule.is_, rule.match, rule.base, rule.words) for rule in config.environments)
    environments = Environments(tuple(rules), config.host.environment)
    sealing = open_sealing(config, "collect", now())
    return Collect(open_feeds(config), into(files), state.host(config), environments, sealing)


def _detect(config: Config, stream: Stream) -> Role:
    from pipeline.escrow import open_witness
    from pipeline.keys import commands_key
    from pipeline.reload import Reload
    from pipeline.roles.detect import Detect

    lists = [one.file for one in config.rules.lists.values() if isinstance(one, ListFile)]
    rules = Reload(partial(open_rules, config), [*config.rules.paths, *lists])
    witness = open_witness(config, stream, now())
    # What detect holds is large and nearly free of cycles: to look through it stops the bell for a second each time.
    gc.set_threshold(20_000, 20, 100)
    key = partial(commands_key, config)
    return Detect(stream, rules.ruleset, engine=__version__, renewed=rules, witness=witness, key=key)


def _keep(config: Config, opened: ExitStack) -> Role:
    from pipeline.roles.keep import Keep

    if config.stream.kind == "sqlite":
        files, keep = opened.enter_context(closing(open_files(config, "stream"))), config.stream.keep
        return Keep([lambda moment: files.trim(moment - keep)])
    return Keep([opened.enter_context(closing(open_files(config, "journal"))).trim])


# running


def threads_of(roles: Sequence[str], config: Config) -> list[str]:
    """Return the loops that the roles need: a collector of a fleet also forwards, files are kept in bounds."""
    loops = list(roles)
    if "collect" in roles and config.stream.kind == "kafka":
        loops.append("forward")
    if "collect" in roles or config.stream.kind == "sqlite":
        loops.append("keep")
    return loops


class _End:
    """The end of a process that collects alone, from sources that come to an end: once all of it has been sent on."""

    def __init__(self, told: threading.Event) -> None:
        self._told = told
        self._collected = False

    def quiet(self, role: Role, loops: Sequence[str]) -> None:
        """Hear that a role found nothing to do."""
        from pipeline.roles.collect import Collect

        if isinstance(role, Collect):
            self._collected = role.ended()
        if self._collected and role.name == ("forward" if "forward" in loops else "collect"):
            self._told.set()


@contextmanager
def running(config: Config, roles: Sequence[str], end: _End | None = None) -> Iterator[None]:
    """Run roles in threads until the block ends, then stop each between two steps.

    Raises StateError, before anything starts, if one of them already runs over the same state.
    """
    stop = threading.Event()
    with ExitStack() as locks:
        for role in roles:
            locks.enter_context(state.role_lock(config, role))
        loops = threads_of(roles, config)
        quiet = partial(end.quiet, loops=loops) if end is not None else _unheard
        threads = [threading.Thread(target=_loop, args=(name, config, stop, quiet), name=name) for name in loops]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def run(config: Config, roles: Sequence[str], ready: Callable[[], None]) -> None:
    """Run roles until SIGINT or SIGTERM, or until a process that only collects has nothing left to come.

    Raises StateError as `running` does.
    """
    told = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with running(config, roles, _End(told) if list(roles) == ["collect"] else None):
        ready()
        told.wait()


def pause(seconds: float) -> None:
    """Let real time pass, for a person to read."""
    time.sleep(seconds)


def _unheard(_role: Role) -> None:
    pass


def _loop(name: str, config: Config, stop: threading.Event, quiet: Callable[[Role], None] = _unheard) -> None:
    """Step one role until told to stop; after a fault, build it anew from what is durable."""
    failures = 0
    while not stop.is_set():
        try:
            with ExitStack() as opened:
                role = build(name, config, opened)
                opened.callback(role.close)
                while not stop.is_set():
                    failures = _stepped(role, failures, stop, quiet)
        except (StreamUnavailable, IndexUnavailable) as error:
            failures += 1
            _log.warning("waits: %s", error, extra={"role": name})
        except Exception:
            failures += 1
            _log.exception("starts again after a fault", extra={"role": name})
        stop.wait(_patience(failures) if failures else 0)


def _stepped(role: Role, failures: int, stop: threading.Event, quiet: Callable[[Role], None]) -> int:
    """Do one step; return how often in a row what it needs was away."""
    try:
        busy = role.step(now())
    except (StreamUnavailable, IndexUnavailable) as error:
        if not failures:
            _log.warning("waits: %s", error, extra={"role": role.name})
        stop.wait(_patience(failures + 1))
        return failures + 1
    if failures:
        _log.info("goes on", extra={"role": role.name})
    if not busy:
        quiet(role)
        stop.wait(_IDLE_SECONDS.get(role.name, 0))
    return 0


def _patience(failures: int) -> float:
    return float(min(0.1 * 2**failures, _LONGEST_WAIT))
