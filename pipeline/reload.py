"""The rules that detection judges by, looked at again while it runs: what changed, and whether it may be used."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from pipeline.records import ENGINE, PUBLISHED, Command
from pipeline.roles.detect import Loaded
from pipeline.rulesets import BUILTIN
from rules.faults import Fault
from rules.ruleset import RuleSet

EVERY = timedelta(seconds=5)
_SUFFIXES = (".yml", ".yaml")
_log = logging.getLogger("tocsin")


class Reload:
    """Tells of the rule set at first and whenever it changed. `paths` are the files and folders that `read` reads.

    A set with an error that the one in use does not have is not taken: it is told once, and the old one stays.
    """

    def __init__(self, read: Callable[[], RuleSet], paths: Iterable[str]) -> None:
        self._read = read
        self._paths = [Path(path).expanduser() for path in paths if path != BUILTIN]
        self._stamp = stamp(self._paths)  # taken first: what changes while it is read is read again
        self.ruleset = read()
        self._told: tuple[Fault, ...] = ()
        self._published = ""
        self._looked: datetime | None = None

    def __call__(self, now: datetime) -> Loaded | None:
        """Return the rule set if it is new; look at the files every few seconds at most."""
        if self._looked is None:
            self._looked = now
            return self._news(now)
        if now - self._looked < EVERY:
            return None
        self._looked = now
        found = stamp(self._paths)
        if found == self._stamp:
            return None
        self._stamp = found
        return self._taken(self._read(), now)

    def _taken(self, ruleset: RuleSet, now: datetime) -> Loaded | None:
        new = tuple(fault for fault in ruleset.errors if fault not in self.ruleset.errors)
        if new:
            for fault in new:
                if fault not in self._told:
                    _log.error("rules not loaded, the old ones stay: %s", fault, extra={"role": "detect"})
            self._told = new
            return None
        self._told = ()
        self.ruleset = ruleset
        _log.info("rules loaded again", extra={"role": "detect", "hash": digest(ruleset)})
        return self._news(now)

    def _news(self, now: datetime) -> Loaded:
        hashed = digest(self.ruleset)
        command = None if hashed == self._published else _command(self.ruleset, hashed, now)
        self._published = hashed
        return Loaded(self.ruleset, command)


def digest(ruleset: RuleSet) -> str:
    """Return the hash of what a rule set means: its rules' ids and meanings, and the lists that they read."""
    abouts = [rule.about for rule in ruleset.rules] + [one.about for one in ruleset.correlations]
    rules = sorted((about.id, about.meaning) for about in abouts)
    meant = msgspec.json.encode([rules, sorted(ruleset.lists.items())])
    return hashlib.blake2b(meant, digest_size=16).hexdigest()


def _command(ruleset: RuleSet, hashed: str, now: datetime) -> Command:
    return Command(
        verb=PUBLISHED,
        person=ENGINE,
        proof=f"process-user uid={os.getuid()}",
        time=now,
        arguments={
            "hash": hashed,
            "rules": len(ruleset.rules),
            "correlations": len(ruleset.correlations),
            "lists": [f"{name} {value}" for name, value in sorted(ruleset.lists.items())],
        },
    )


def stamp(paths: Iterable[Path]) -> dict[str, tuple[int, int, int]]:
    """Return, for each rule file and list there is, what changes when it is written or replaced."""
    return {str(one): found for path in paths for one in _files(path) if (found := _stat(one)) is not None}


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for suffix in _SUFFIXES:
        yield from path.rglob(f"*{suffix}")


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # gone, or not to be read: `read` says which
    return found.st_mtime_ns, found.st_size, found.st_ino
