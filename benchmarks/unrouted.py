"""Our engine as the others are run (benchmarks/peers.py): JSON in, matches out, every rule sees every event.

Usage: python -m benchmarks.unrouted tocsin FOLDER EVENTS TIMES [dump]

Times begin when the matcher has seen the first events of the file and learnt what is rare; what that took is told. GC
as shipped. `parse-excl` leaves out decoding, and with it what follows where something is triggered: it is the look at
what was decoded alone. With `dump`: each match, as the event's place and the rule.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rules.compile import Index
from rules.evaluate import Decide, compiled
from rules.event import Fields
from rules.ruleset import load
from rules.sieve import Sieve
from rules.sigma import Rule
from rules.values import flatten

WARMING = 5_000


@dataclass
class Run:
    """One pass over the events: CPU seconds for all of them, and what an event cost."""

    included: float
    excluded: float
    matches: int
    bodies: float
    missed: float
    warming: float


@contextmanager
def cpu() -> Iterator[list[float]]:
    """Collect the CPU time of the block."""
    gc.collect()
    out: list[float] = []
    began = time.process_time()
    yield out
    out.append(time.process_time() - began)


def files(*folders: Path) -> list[tuple[str, str]]:
    return [(str(path), path.read_text()) for folder in folders for path in sorted(folder.rglob("*.yml"))]


def active(folder: Path) -> list[Rule]:
    return [rule for rule in load(files(folder), {}).rules if not rule.missing]


def run(rules: Sequence[Rule], lines: Sequence[bytes]) -> Run:
    index: Index[Decide] = Index([(rule.predicate, compiled(rule.predicate)) for rule in rules])
    sieve = Sieve(index, {}, _whole)
    first = min(WARMING, len(lines) // 2)
    with cpu() as warming:
        bodies, matches = _passed(sieve, lines[:first])
    with cpu() as included:
        more = _passed(sieve, lines[first:])
    bodies, matches = bodies + more[0], matches + more[1]
    read = [sieve.read(line) for line in lines]
    for part in index.waiting.values():
        part.memo.clear()
        part.misses = 0
    with cpu() as excluded:
        for event, line in zip(read, lines, strict=True):
            sieve.narrow(event, line)
    looked = sum(getattr(event, name) is not None for event in read for name in event.__struct_fields__)  # type: ignore[attr-defined]
    missed = sum(part.misses for part in index.waiting.values()) / max(1, looked)
    counted = len(lines) / len(lines[first:])
    return Run(included[0] * counted, excluded[0], matches, bodies / len(lines), missed, warming[0])


def _passed(sieve: Sieve[Decide], lines: Sequence[bytes]) -> tuple[int, int]:
    bodies = matches = 0
    for line in lines:
        event = sieve.read(line)
        triggered = sieve.narrow(event, line)
        if triggered:
            found, fields = sieve.caught(triggered, event, line)
            bodies += len(found)
            matches += sum(holds(fields) for holds in found)
    return bodies, matches


def dumped(rules: Sequence[Rule], lines: Sequence[bytes]) -> Iterator[str]:
    sieve = Sieve(Index([(rule.predicate, (rule.about.id, compiled(rule.predicate))) for rule in rules]), {}, _whole)
    for place, line in enumerate(lines):
        event = sieve.read(line)
        triggered = sieve.narrow(event, line)
        found, fields = sieve.caught(triggered, event, line) if triggered else ([], {})
        yield from (f"{place} {rule}" for rule, holds in found if holds(fields))


def _whole(line: bytes) -> Fields:
    return flatten(msgspec.json.decode(line))


def main() -> None:
    _, folder, events, times, *dump = sys.argv[1:]
    rules, lines = active(Path(folder)), Path(events).read_bytes().splitlines()
    if dump:
        print(*dumped(rules, lines), sep="\n")
        return
    runs = [run(rules, lines) for _ in range(int(times))]
    excluded, included = (
        statistics.median(len(lines) / getattr(one, name) for one in runs) for name in ("excluded", "included")
    )
    print(
        f"rules={len(rules)} parse-excl {excluded:.0f} parse-incl {included:.0f} matches={runs[0].matches}; "
        f"{runs[0].bodies:.3f} rule bodies an event, "
        f"memo hits {100 - 100 * runs[0].missed:.1f} %, the first events took {runs[0].warming:.2f} s"
    )


if __name__ == "__main__":
    main()
