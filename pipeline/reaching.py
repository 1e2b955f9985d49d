"""Can the sources be reached from here, now? Ports are bound, queries are run, programs looked for: for `check`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from pipeline import state
from pipeline.settings import Config
from pipeline.source_settings import CommandSettings, StdinSettings, SyslogSettings, TableSettings
from pipeline.sourcing import access, syslog
from pipeline.watching import Watched


def described(source: SyslogSettings | StdinSettings | CommandSettings | TableSettings) -> Watched:
    """Say what a source brings, without opening it."""
    match source:
        case SyslogSettings():
            return _listener(source)
        case StdinSettings():
            return Watched("stdin", True, f"format {source.format}, until it ends")
        case CommandSettings():
            return _program(source)
        case TableSettings():
            every = f"every {source.every.total_seconds():g} s"
            return Watched(f"table {source.name}", True, f"{source.driver}, {every}, by {', '.join(source.position)}")


def _listener(source: SyslogSettings) -> Watched:
    from collectors.sources.tls_server import TlsError, context  # noqa: PLC0415

    made = syslog(source)
    who = "anyone who reaches the port can write"
    if made.tls is not None:
        try:
            context(made.tls)
        except TlsError as error:
            return Watched(source.listen, False, str(error))
        if source.client_ca_file is not None:
            who = f"senders with a certificate by {source.client_ca_file}"
    return Watched(source.listen, True, f"syslog; {who}")


def _program(source: CommandSettings) -> Watched:
    from collectors.sources.command import ENVIRONMENT  # noqa: PLC0415

    what, program = f"command {source.name}", source.run[0]
    path = source.env.get("PATH", ENVIRONMENT["PATH"])
    if shutil.which(program, path=path) is None:
        return Watched(what, False, f"no program {program!r} that may be run (looked for in {path})")
    return Watched(what, True, f"{program}, every {source.every.total_seconds():g} s")


def reached(config: Config) -> Iterator[Watched]:
    """Try each address and each query. A listener that Tocsin itself holds is not tried."""
    collecting = state.role_runs(config, "collect")
    for source in config.sources:
        if isinstance(source, TableSettings):
            yield _query(source)
        elif isinstance(source, SyslogSettings) and not collecting:
            yield _port(source)


def _query(source: TableSettings) -> Watched:
    from collectors.sources.database import Database, Unreachable  # noqa: PLC0415

    what = f"table {source.name}"
    try:
        Database(access(source)).check()
    except Unreachable as error:
        return Watched(what, False, str(error))
    return Watched(what, True, "the database answers, and the query gives the columns that are needed")


def _port(source: SyslogSettings) -> Watched:
    from collectors.sources.syslog_listener import unheard  # noqa: PLC0415
    from collectors.sources.tls_server import TlsError  # noqa: PLC0415

    made = syslog(source)
    try:
        made.bind()
    except (OSError, TlsError) as error:
        return Watched(source.listen, False, unheard(made.listen, error).partition(": ")[2])
    finally:
        made.close()
    return Watched(source.listen, True, "can be listened on")
