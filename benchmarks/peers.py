"""Sigma engines side by side: JSON in, matches out, events per CPU-second, every rule sees every event, one core.

Usage: python -m benchmarks.peers --events FILE --rules FOLDER ... [--peer NAME=COMMAND ...] [--pairs N] [--seconds N]

    --events   NDJSON; --rules: folders of Sigma rules, a table each
    --peer     an engine of those below and how it is run. COMMAND is called with NAME FOLDER EVENTS TIMES, and prints
               `rules=N parse-excl N parse-incl N matches=N`; with `dump` after that, each match as the event's place
               and the rule's id. benchmarks/runners.py is that for the engines that Python can call; for those in Rust
               it is a few lines around the crates (rsigma-eval with rsigma-parser, sigma-rust, sigmars)
    --pairs    rounds; in each every engine runs once, in turn
    --seconds  how long an engine is to be measured: one that is slow sees the first events of the file alone

Ours without decoding is the look at what was decoded alone (benchmarks/unrouted.py): compare the other column.
An engine's matches are compared with ours, pair by pair (event, rule), on the events that it has seen. Loading is that
of a fresh process with one event: its CPU time and its memory, interpreter and imports among them. The peak is that of
the run, with the events in memory as each runner holds them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from benchmarks import machine

OURS = "tocsin"
KNOWN = ("rsigma", "sigma-rust", "sigmars", "tenzir", "sqlite", "zargunlite", "azuma", "sigma-rule-matcher")
FIRST, GROWTH = 200, 4  # events that an engine is tried with, and how many times more it is given next
SLOW = 5  # times as long as it is to be measured
LONGEST = 900  # seconds that a run may take
_SAID = re.compile(r"rules= *(\d+).*parse-excl ([\d,]+).*parse-incl ([\d,]+).*matches=(\d+)")


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of an engine in a process of its own."""

    rules: int
    excluded: float  # events a CPU second; 0: the engine decodes as it matches
    included: float
    matches: int
    cpu: float  # seconds, of the process and its children
    peak: int  # MB
    said: str


@dataclass
class Measured:
    """What an engine came to on one set of rules."""

    events: int
    loaded: Ran
    runs: list[Ran] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)  # our rate to its
    agreed: str = ""


class Failed(Exception):
    """An engine ended otherwise than with its figures."""


def called(command: Sequence[str], *arguments: object) -> tuple[str, float, int]:
    """Return what a process printed, its CPU seconds and its peak in MB. Raises Failed."""
    given = ["timeout", str(LONGEST), *command, *map(str, arguments)]
    with subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"no end in {LONGEST} s" if process.returncode == 124 else f"exit status {process.returncode}")
    return said, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def ran(name: str, command: Sequence[str], folder: Path, events: Path) -> Ran:
    said, cpu, peak = called(command, name, folder, events, 1)
    found = _SAID.search(said)
    if found is None:
        raise Failed("no figures")
    rules, excluded, included, matches = (int(one.replace(",", "")) for one in found.groups())
    return Ran(rules, excluded, included, matches, cpu, peak, said.strip())


def dumped(name: str, command: Sequence[str], folder: Path, events: Path) -> set[tuple[int, str]]:
    said, _, _ = called(command, name, folder, events, 1, "dump")
    return {(int(place), rule) for place, _, rule in (line.partition(" ") for line in said.splitlines() if line)}


class Events:
    """The file's first events, as files. None are kept in memory: a process begins with its parent's peak."""

    def __init__(self, given: Path, place: Path) -> None:
        self._given, self._place = given, place
        self.count = sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[bytes]:
        with self._given.open("rb") as file:
            yield from file

    def first(self, count: int) -> Path:
        path = self._place / f"{count}.ndjson"
        if not path.exists():
            with path.open("wb") as file:
                file.writelines(islice(self._lines(), count))
        return path

    def told(self) -> str:
        said = Counter(line for one in self._lines() if (line := json.loads(one).get("CommandLine")) is not None)
        return f"{self.count:,} events; {said.total():,} with a command line, {len(said):,} of them distinct"


def borne(name: str, command: Sequence[str], folder: Path, events: Events, seconds: float) -> Measured:
    """Return how many of the events an engine takes in these seconds, and what it costs to load the rules."""
    out = Measured(min(FIRST, events.count), ran(name, command, folder, events.first(1)))
    tried = ran(name, command, folder, events.first(out.events))
    while out.events < events.count and out.events / tried.included < seconds:
        out.events = min(events.count, out.events * GROWTH)
        tried = ran(name, command, folder, events.first(out.events))
    return out


def agreement(ours: set[tuple[int, str]], theirs: set[tuple[int, str]], events: int) -> str:
    seen = {match for match in ours if match[0] < events}
    if theirs == seen:
        return f"the same {len(seen)}"
    return f"{len(theirs)} of which {len(theirs & seen)} are ours; ours {len(seen)}"


def table(folder: Path, commands: Mapping[str, Sequence[str]], events: Events, pairs: int, seconds: float) -> None:
    """Measure every engine on a folder of rules, and print the table."""
    found: dict[str, Measured] = {}
    failed: dict[str, Failed] = {}
    every = events.first(events.count)
    ours = dumped(OURS, commands[OURS], folder, every)
    for name, command in commands.items():
        try:
            found[name] = borne(name, command, folder, events, float("inf") if name == OURS else seconds)
            if name != OURS:
                theirs = dumped(name, command, folder, events.first(found[name].events))
                found[name].agreed = agreement(ours, theirs, found[name].events)
        except Failed as error:
            failed[name] = error
    for turn in range(pairs):
        for name, measured in found.items():
            if turn and name != OURS and measured.events / measured.runs[0].included > SLOW * seconds:
                continue  # it took no more than the fewest events, and one run says enough of it
            measured.runs.append(ran(name, commands[name], folder, events.first(measured.events)))
            measured.ratios.append(found[OURS].runs[-1].included / measured.runs[-1].included)
    print(f"\n{found[OURS].loaded.rules} rules. {found[OURS].runs[-1].said.partition('; ')[2]}\n")
    print("| engine | events/s | parsing excluded | ours to its | of events | matches | load | loaded | peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, measured in found.items():
        print(row(name, measured, found[OURS].loaded.rules))
    for name, error in failed.items():
        print(f"| {name} | failed: {error} | | | | | | | |")
    sys.stdout.flush()


def spread(ratios: Sequence[float]) -> str:
    ordered = sorted(ratios)
    middle = shown(statistics.median(ordered))
    return f"{middle} ({shown(ordered[0])} to {shown(ordered[-1])})" if len(ordered) > 1 else middle


def row(name: str, measured: Measured, rules: int) -> str:
    included = statistics.median(one.included for one in measured.runs)
    excluded = statistics.median(one.excluded for one in measured.runs)
    last = measured.runs[-1]
    refused = f", {rules - last.rules} rules refused" if last.rules < rules else ""
    cells = (
        name,
        f"{included:,.0f}",
        f"{excluded:,.0f}" if excluded else "",
        "" if name == OURS else spread(measured.ratios),
        f"{measured.events:,}",
        f"{last.matches}" if name == OURS else measured.agreed + refused,
        f"{measured.loaded.cpu:.2f} s",
        f"{measured.loaded.peak} MB",
        f"{max(one.peak for one in measured.runs)} MB",
    )
    return f"| {' | '.join(cells)} |"


def shown(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=Path, required=True)
    options.add_argument("--rules", type=Path, nargs="+", required=True)
    options.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2)
    given = options.parse_args()
    commands = {OURS: [sys.executable, "-m", "benchmarks.unrouted"]}
    commands |= {name: shlex.split(command) for name, _, command in (one.partition("=") for one in given.peer)}
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(machine.line())
    for name in KNOWN:
        if name not in commands:
            print(f"{name}: no --peer given, not measured")
    with tempfile.TemporaryDirectory() as place:
        events = Events(given.events, Path(place))
        print(events.told())
        for folder in given.rules:
            table(folder, commands, events, given.pairs, given.seconds)


if __name__ == "__main__":
    main()
