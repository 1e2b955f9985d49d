"""What a configuration watches on this host, what it cannot, and how to mend that: for `run`, `check`, `status`."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.settings import Config, FileSettings, HostMetricsSettings, JournaldSettings


@dataclass(frozen=True, slots=True)
class Watched:
    """One thing that is to be watched: can it be, and what there is to say of it."""

    what: str
    ok: bool
    note: str


def watched(config: Config) -> list[Watched]:
    """Look at each source of the config, here and now."""
    found: list[Watched] = []
    for source in config.sources:
        match source:
            case FileSettings():
                for pattern in source.paths:
                    found += _files(pattern, source.format)
            case JournaldSettings():
                found.append(_journal())
            case HostMetricsSettings():
                found += _metrics(source)
            case _:
                from pipeline.reaching import described  # noqa: PLC0415 (most hosts have none of these)

                found.append(described(source))
    return found


def _files(pattern: str, format_name: str) -> Iterator[Watched]:
    paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207 (absolute globs)
    if not paths:
        yield Watched(pattern, False, "no such file yet; watched for")
    for path in paths:
        place = Path(path)
        if not place.exists():
            yield Watched(path, False, "no such file; watched for all the same")
        elif not os.access(place, os.R_OK):
            yield Watched(path, False, f"no right to read it: {_mend(place)}")
        else:
            yield Watched(path, True, f"format {format_name}, {place.stat().st_size:,} bytes")


def _mend(place: Path) -> str:
    try:
        group = grp.getgrgid(place.stat().st_gid).gr_name
    except (KeyError, OSError):
        return "run as root, or give this user the right"
    readable = place.stat().st_mode & 0o040 and group != "root"
    return f"usermod -aG {group} {_user()} and log in again, or run as root" if readable else "run as root"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "USER"


def _journal() -> Watched:
    if shutil.which("journalctl") is None:
        return Watched("journald", False, "no journalctl on this host; without systemd nothing is missed")
    places = [Path("/var/log/journal"), Path("/run/log/journal")]
    if not any(place.is_dir() and any(place.iterdir()) for place in places if os.access(place, os.R_OK)):
        return Watched("journald", False, "no journal here that this user may read; join the group systemd-journal")
    return Watched("journald", True, "what no tailed file carries")


def _metrics(source: HostMetricsSettings) -> Iterator[Watched]:
    from collectors.sources.host_metrics import mounts  # noqa: PLC0415 (psutil only where it is needed)

    names = [mount for mount, _, _ in mounts() if source.mounts is None or mount in source.mounts]
    every = f"every {source.every.total_seconds():g} s"
    yield Watched("disk", bool(names), f"bytes and inodes of {', '.join(names) or 'no file system'}, {every}")
    yield Watched("memory", True, every)
