"""Detection: JSON in, matches out, events per CPU-second of one process.

Usage: detection.py [--events FILE --rules FOLDER ...] [--mix FOLDER] [--more FOLDER] [--peer PROGRAM] [--pairs N]

    --events, --rules   NDJSON and folders of Sigma rules: every rule sees every event, no routing
    --mix               Linux rules which, with the shipped ones, see a fleet's events by logsource (benchmarks/mix.py)
    --more              rules of other logsources: what they add to the mix's cost
    --peer              RSigma, in interleaved pairs: called as `PROGRAM rsigma|rsigma-routed FOLDER EVENTS 1`, it
                        prints `parse-excl N ... parse-incl N ... matches=N` (a few lines around the crates
                        rsigma-eval and rsigma-parser; routed: with its LogSourceExtractor)

GC as shipped. `excl` leaves the decoding of JSON out. Times begin when both engines are ready: RSigma's rules are
compiled, ours have seen the first events of the file (what that took is told) and learnt what is rare. In the mix the
peer matches more where a rule names a service that the event does not say. Without arguments: the shipped rules.
"""

from __future__ import annotations

import argparse
import gc
import re
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from benchmarks import machine, mix
from pipeline import rulesets
from rules.compile import Index
from rules.correlator import Correlator
from rules.evaluate import Decide, compiled
from rules.event import Fields
from rules.match import Match, decode, encode
from rules.matcher import Matcher
from rules.ruleset import RuleSet, load
from rules.sieve import Sieve
from rules.values import flatten

MIX_EVENTS = 50_000
WARMING = 5_000
COUNTED = """
title: one
name: one_in_a_hundred
logsource: {category: application}
detection: {s: {event.sequence|re: '00$'}, condition: s}
---
title: many
id: 5f0c7f0e-3e0d-4c7e-9d4c-0d8f7f2a7c01
correlation: {type: event_count, rules: [one_in_a_hundred], group-by: [host.name], timespan: 5m, condition: {gte: 1000}}
"""


@dataclass
class Run:
    """One pass over the events."""

    included: float
    excluded: float
    matches: int
    bodies: float = 0
    missed: float = 0
    warming: float = 0


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


def whole(line: bytes) -> Fields:
    return flatten(msgspec.json.decode(line))


def unrouted(folder: Path, lines: Sequence[bytes]) -> tuple[int, Run]:
    active = [rule for rule in load(files(folder), {}).rules if not rule.missing]
    index: Index[Decide] = Index([(rule.predicate, compiled(rule.predicate)) for rule in active])
    sieve = Sieve(index, {}, whole)
    with cpu() as warming:
        bodies, matches = passed(sieve, lines[:WARMING])
    with cpu() as included:
        more = passed(sieve, lines[WARMING:])
    bodies, matches = bodies + more[0], matches + more[1]
    read = [sieve.read(line) for line in lines]
    for part in index.waiting.values():
        part.memo.clear()
        part.misses = 0
    with cpu() as excluded:
        for event, line in zip(read, lines, strict=True):
            sieve.narrow(event, line)
    looked = sum(getattr(event, name) is not None for event in read for name in event.__struct_fields__)  # type: ignore[attr-defined]
    missed = sum(part.misses for part in index.waiting.values())
    counted = len(lines) / len(lines[WARMING:])
    run = Run(included[0] * counted, excluded[0], matches, bodies / len(lines), missed / max(1, looked), warming[0])
    return len(active), run


def passed(sieve: Sieve[Decide], lines: Sequence[bytes]) -> tuple[int, int]:
    bodies = matches = 0
    for line in lines:
        triggered = sieve.narrow(sieve.read(line), line)
        if triggered:
            found, fields = sieve.caught(triggered, line)
            bodies += len(found)
            matches += sum(holds(fields) for holds in found)
    return bodies, matches


def routed(ruleset: RuleSet, lines: Sequence[bytes]) -> Run:
    matcher = Matcher(ruleset)
    matches = sum(held(matcher, line) for line in lines[:WARMING])
    with cpu() as taken:
        for line in lines[WARMING:]:
            matches += held(matcher, line)
    return Run(taken[0] * len(lines) / len(lines[WARMING:]), 0, matches)


def held(matcher: Matcher, line: bytes) -> int:
    hits, _ = matcher.match_json(line)
    return sum(hit.state in (None, "holds") for hit in hits) if hits else 0


def theirs(peer: str, mode: str, rules: Path, events: Path) -> tuple[float, float, int]:
    """Return RSigma's events per second, parsing included and excluded, and its matches."""
    said = subprocess.run([peer, mode, str(rules), str(events), "1"], capture_output=True, text=True, check=True)
    found = re.search(r"parse-excl (\d+).*parse-incl (\d+).*matches=(\d+)", said.stdout)
    assert found is not None, said.stdout
    return float(found[2]), float(found[1]), int(found[3])


def told(name: str, count: int, runs: Sequence[Run], peers: Sequence[tuple[float, float, int]]) -> None:
    speeds = sorted(count / run.included for run in runs)
    alone = statistics.median(run.excluded for run in runs)
    print(
        f"{name}: {statistics.median(speeds):,.0f} events/s ({speeds[0]:,.0f} to {speeds[-1]:,.0f})"
        + (f", parsing excluded {count / alone:,.0f}" if alone else "")
        + f"; {runs[0].matches} matches"
        + (
            f", {runs[0].bodies:.3f} rule bodies an event, memo hits {100 - 100 * runs[0].missed:.1f} %"
            if alone
            else ""
        )
        + (f"; the first {WARMING:,} took {statistics.median(run.warming for run in runs):.2f} s" if alone else "")
        + f"; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB",
        flush=True,
    )
    if peers:
        ratios = sorted(count / run.included / peer[0] for run, peer in zip(runs, peers, strict=True))
        print(
            f"  RSigma: {statistics.median(peer[0] for peer in peers):,.0f} events/s, parsing excluded "
            f"{statistics.median(peer[1] for peer in peers):,.0f}; {peers[0][2]} matches. "
            f"Ours to theirs: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


def every_rule(events: Path, folders: Iterable[Path], peer: str | None, pairs: int) -> None:
    lines = events.read_bytes().splitlines()
    for folder in folders:
        runs, peers, count = [], [], 0
        for _ in range(pairs):
            count, run = unrouted(folder, lines)
            runs.append(run)
            peers += [theirs(peer, "rsigma", folder, events)] if peer else []
        told(f"{count} rules", len(lines), runs, peers)


def by_logsource(linux: Path | None, more: Path | None, peer: str | None, pairs: int) -> None:
    lines = list(mix.lines(MIX_EVENTS))
    shipped = [one for one in rulesets.sources(["builtin"], []) if "/linux/" in one[0]]
    given = [*shipped, *(files(linux) if linux else ())]
    with tempfile.TemporaryDirectory() as place:
        folder, events = Path(place, "rules"), Path(place, "events")
        folder.mkdir()
        for number, (_, text) in enumerate(given):
            Path(folder, f"{number}.yml").write_text(text)
        events.write_bytes(b"\n".join(lines))
        ruleset = load(given, {"dbas": ()})
        large = load([*given, *files(more)], {"dbas": ()}) if more else None
        runs, grown, peers = [], [], []
        for _ in range(pairs):
            runs.append(routed(ruleset, lines))
            peers += [theirs(peer, "rsigma-routed", folder, events)] if peer else []
            grown += [routed(large, lines)] if large else []
    told(f"the mix, {len(ruleset.rules)} rules", len(lines), runs, peers)
    if large:
        ratios = sorted(one.included / run.included for one, run in zip(grown, runs, strict=True))
        middle = statistics.median(ratios)
        print(f"  with {len(large.rules)} rules: cost x {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def correlated(rules: Path, pairs: int) -> None:
    """Correlation on top: one event in a hundred feeds a count by host, through the records of audit.matches."""
    lines = list(mix.lines(MIX_EVENTS))
    ruleset = load([*files(rules), ("counted.yml", COUNTED)], {})
    assert not ruleset.errors, ruleset.errors[:1]
    ratios = []
    for _ in range(pairs):
        matcher, correlator, matched = Matcher(ruleset), Correlator(ruleset, "bench"), []
        with cpu() as alone:
            for line in lines:
                hits, fields = matcher.match_json(line)
                if hits:
                    matched += [(hit.rule.about.id, hit.rule.about.meaning, fields) for hit in hits]
        with cpu() as more:
            for number, (rule, meaning, fields) in enumerate(matched):
                moment = mix.BEGIN + timedelta(seconds=2 * number)
                match = Match(rule, meaning, str(fields["event.id"]), moment, moment, moment, dict(fields))
                record = decode(encode(match))
                correlator.feed(record, moment if number % 20 == 0 else None)  # a marker a batch
            correlator.changed()  # a snapshot a second: more events than these
        ratios.append(more[0] / alone[0])
    ratios.sort()
    share = len(matched) / len(lines)
    print(
        f"correlation on top of {len(ruleset.rules)} rules, fed by {100 * share:.1f} % of events: "
        f"+ {100 * statistics.median(ratios):.1f} % ({100 * ratios[0]:.1f} to {100 * ratios[-1]:.1f})"
    )


def loaded(folder: Path) -> None:
    given = files(folder)
    with cpu() as reading:
        ruleset = load(given, {})
    with cpu() as making:
        Matcher(ruleset)
        Index([(rule.predicate, rule) for rule in ruleset.rules])
    print(f"{len(ruleset.rules)} rules: {reading[0]:.2f} s to load, {making[0]:.2f} s to make the matcher of (CPU)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=Path)
    options.add_argument("--rules", type=Path, nargs="*", default=[])
    options.add_argument("--mix", type=Path)
    options.add_argument("--more", type=Path)
    options.add_argument("--peer")
    options.add_argument("--pairs", type=int, default=5)
    given = options.parse_args()
    print(machine.line())
    if given.events:
        every_rule(given.events, given.rules, given.peer, given.pairs)
    by_logsource(given.mix, given.more, given.peer, given.pairs)
    for folder in given.rules:
        loaded(folder)
    if given.rules:
        correlated(given.rules[0], given.pairs)


if __name__ == "__main__":
    main()
