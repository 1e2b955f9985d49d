"""Detection: JSON in, matches out, events per CPU-second of one process, against RSigma in interleaved pairs.

Usage: detection.py EVENTS RULES... [--peer PROGRAM] [--pairs N]

EVENTS is NDJSON; each RULES a folder of Sigma rules. PROGRAM is called as `PROGRAM rsigma FOLDER EVENTS 1` and prints
`parse-excl N ... parse-incl N ... matches=N` (a few lines around the crates rsigma-eval and rsigma-parser). No routing:
every rule sees every event. GC as shipped. `excl` leaves the decoding of JSON out.
"""

from __future__ import annotations

import argparse
import gc
import platform
import re
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rules.compile import Index
from rules.evaluate import Decide, compiled
from rules.event import Fields
from rules.matcher import reader
from rules.ruleset import load
from rules.values import flatten


@dataclass
class Run:
    """One pass over the events."""

    included: float
    excluded: float
    matches: int
    bodies: float
    missed: float


def spin() -> float:
    """An empty loop's CPU time in ms: what this core is worth at this moment."""
    start = time.process_time()
    for _ in range(10**6):
        pass
    return 1000 * (time.process_time() - start)


def ours(rules: Path, lines: Sequence[bytes]) -> tuple[int, Run]:
    files = [(str(path), path.read_text()) for path in sorted(rules.rglob("*.yml"))]
    active = [rule for rule in load(files, {}).rules if not rule.missing]
    index: Index[Decide] = Index([(rule.predicate, compiled(rule.predicate)) for rule in active])
    attributes = {name: f"f{place}" for place, (name, _) in enumerate(index.fields)}
    decode, candidates = reader(attributes), index.reading(attributes)
    gc.collect()
    start = time.process_time()
    bodies = matches = 0
    for line in lines:
        fields = whole(line) if index.reads_everything else {}
        found = candidates(decode(line), fields)
        fields = fields or (whole(line) if found else {})
        bodies += len(found)
        matches += sum(holds(fields) for holds in found)
    included = time.process_time() - start
    missed = sum(part.misses for _, part in index.fields) / len(lines) / max(1, len(index.fields))
    read = [(decode(line), whole(line) if index.reads_everything else {}) for line in lines]
    for _, part in index.fields:
        part.memo.clear()
    start = time.process_time()
    for event, fields in read:
        candidates(event, fields)
    excluded = time.process_time() - start
    return len(active), Run(included, excluded, matches, bodies / len(lines), missed)


def whole(line: bytes) -> Fields:
    return flatten(msgspec.json.decode(line))


def theirs(peer: str, rules: Path, events: Path) -> tuple[float, float, int]:
    """Return RSigma's events per second, parsing included and excluded, and its matches."""
    said = subprocess.run([peer, "rsigma", str(rules), str(events), "1"], capture_output=True, text=True, check=True)
    found = re.search(r"parse-excl (\d+).*parse-incl (\d+).*matches=(\d+)", said.stdout)
    assert found is not None, said.stdout
    return float(found[2]), float(found[1]), int(found[3])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("events", type=Path)
    options.add_argument("rules", type=Path, nargs="+")
    options.add_argument("--peer")
    options.add_argument("--pairs", type=int, default=5)
    given = options.parse_args()
    lines = given.events.read_bytes().splitlines()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {len(lines)} events")
    for folder in given.rules:
        pairs = [
            (ours(folder, lines), given.peer and theirs(given.peer, folder, given.events)) for _ in range(given.pairs)
        ]
        runs, count = [run for (_, run), _ in pairs], pairs[0][0][0]
        speeds = sorted(len(lines) / run.included for run in runs)
        alone = [len(lines) / run.excluded for run in runs if run.excluded]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{count} rules: {statistics.median(speeds):,.0f} events/s ({speeds[0]:,.0f} to {speeds[-1]:,.0f}), "
            f"parsing excluded {statistics.median(alone) if alone else 0:,.0f}; {runs[0].matches} matches, "
            f"{runs[0].bodies:.3f} rule bodies an event, memo misses {100 * runs[0].missed:.1f} % of looks; "
            f"peak {peak} MB, empty loop {spin():.0f} ms"
        )
        if given.peer:
            peers = [peer for _, peer in pairs]
            ratios = sorted(len(lines) / run.included / peer[0] for run, peer in zip(runs, peers, strict=True))
            median = statistics.median
            print(
                f"  RSigma: {median(peer[0] for peer in peers):,.0f} events/s, parsing excluded "
                f"{median(peer[1] for peer in peers):,.0f}; {peers[0][2]} matches. "
                f"Ours to theirs: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )


if __name__ == "__main__":
    main()
