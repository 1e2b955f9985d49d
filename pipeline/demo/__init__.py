"""The demo's script, and how it is told: scenes written into log files that the real pipeline tails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files

import yaml

from pipeline.settings import duration
from rules.event import rfc3339

LOGS = {
    "auth.log": "syslog",
    "postgresql.log": "postgresql",
    "metrics.log": "json",
    "sqlserver-audit.json": "mssql-audit",
    "ERRORLOG": "mssql-errorlog",
}
PREFIX = "%m [%p] %q%u@%d %r "


@dataclass(frozen=True, slots=True)
class Scene:
    """What is said, and the lines that go into each log."""

    say: str | None
    before_end: timedelta
    write: Mapping[str, list[str]]

    def lines(self, end: datetime) -> Iterator[tuple[str, str]]:
        """Yield (log, line), a second apart, as they would have been written."""
        moment = end - self.before_end
        for log, lines in self.write.items():
            for pid, line in enumerate(lines, 4000 + int(self.before_end.total_seconds())):
                yield log, line.format(time=_stamp(log, moment), pid=pid)
                moment += timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Day:
    scenes: tuple[Scene, ...]
    searches: tuple[tuple[str, str], ...]


def day() -> Day:
    """Return the bundled day of trouble."""
    script = yaml.safe_load(files("pipeline.demo").joinpath("day.yml").read_text(encoding="utf-8"))
    scenes = []
    for scene in script["scenes"]:
        before = duration(scene["at"])
        assert isinstance(before, timedelta)
        scenes.append(Scene(scene.get("say"), before, scene["write"]))
    return Day(tuple(scenes), tuple((query, why) for query, why in script["searches"]))


def _stamp(log: str, moment: datetime) -> str:
    return moment.strftime(_STAMPS[log]) if log in _STAMPS else rfc3339(moment)


_STAMPS = {
    "postgresql.log": "%Y-%m-%d %H:%M:%S.000 UTC",
    "sqlserver-audit.json": "%Y-%m-%d %H:%M:%S.0000000",
    "ERRORLOG": "%Y-%m-%d %H:%M:%S.00",
}
