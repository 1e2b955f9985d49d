"""Detection over a fleet's events, routed by logsource: what rules of others add, loading, correlation on top.

Usage: python -m benchmarks.detection [--mix FOLDER] [--more FOLDER] [--rules FOLDER ...] [--peer PROGRAM] [--pairs N]

    --mix    Linux rules which, with the shipped ones, see a fleet's events by logsource (benchmarks/mix.py)
    --more   rules of other logsources: what they add to the mix's cost
    --rules  folders of rules: what loading them takes; on the first of them, correlation
    --peer   RSigma, in interleaved pairs: called as `PROGRAM rsigma-routed FOLDER EVENTS 1`, it prints
             `parse-incl N ... matches=N` (a few lines around rsigma-eval, with its LogSourceExtractor)

Events per CPU-second of one process, JSON in, matches out, GC as shipped. Times begin when both engines are ready:
RSigma's rules are compiled, ours have seen the first events and learnt what is rare. The peer matches more where a
rule names a service that the event does not say. Without arguments: the shipped rules. Without routing, and against
other engines: benchmarks/peers.py.
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks import machine, mix
from benchmarks.unrouted import WARMING, cpu, files
from pipeline import rulesets
from rules.compile import Index
from rules.correlator import Correlator
from rules.match import Match, decode, encode
from rules.matcher import Matcher
from rules.ruleset import RuleSet, load

MIX_EVENTS = 50_000
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


def routed(ruleset: RuleSet, lines: Sequence[bytes]) -> tuple[float, int]:
    """Return events per second, and the matches."""
    matcher = Matcher(ruleset)
    matches = sum(held(matcher, line) for line in lines[:WARMING])
    with cpu() as taken:
        for line in lines[WARMING:]:
            matches += held(matcher, line)
    return len(lines[WARMING:]) / taken[0], matches


def held(matcher: Matcher, line: bytes) -> int:
    hits, _ = matcher.match_json(line)
    return sum(hit.state in (None, "holds") for hit in hits) if hits else 0


def theirs(peer: str, rules: Path, events: Path) -> tuple[float, int]:
    command = [peer, "rsigma-routed", str(rules), str(events), "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"parse-incl (\d+).*matches=(\d+)", said)
    assert found is not None, said
    return float(found[1]), int(found[2])


def spread(figures: Sequence[float], form: str) -> str:
    ordered = sorted(figures)
    return f"{statistics.median(ordered):{form}} ({ordered[0]:{form}} to {ordered[-1]:{form}})"


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
            peers += [theirs(peer, folder, events)] if peer else []
            grown += [routed(large, lines)] if large else []
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    speeds = spread([run[0] for run in runs], ",.0f")
    print(f"the mix, {len(ruleset.rules)} rules: {speeds} events/s; {runs[0][1]} matches; peak {peak} MB")
    if peers:
        ratios = [run[0] / other[0] for run, other in zip(runs, peers, strict=True)]
        print(f"  RSigma: {spread([other[0] for other in peers], ',.0f')} events/s; {peers[0][1]} matches. ", end="")
        print(f"Ours to theirs: {spread(ratios, '.2f')}")
    if large:
        costs = [run[0] / other[0] for run, other in zip(runs, grown, strict=True)]
        print(f"  with {len(large.rules)} rules: cost x {spread(costs, '.2f')}", flush=True)


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
    share = len(matched) / len(lines)
    print(
        f"correlation on top of {len(ruleset.rules)} rules, fed by {100 * share:.1f} % of events: "
        f"+ {spread([100 * ratio for ratio in ratios], '.1f')} %"
    )


def loaded(folder: Path) -> None:
    """In a process that has loaded others: what it takes from nothing stands in the tables of benchmarks/peers.py."""
    given = files(folder)
    with cpu() as reading:
        ruleset = load(given, {})
    with cpu() as making:
        Matcher(ruleset)
        Index([(rule.predicate, rule) for rule in ruleset.rules])
    print(f"{len(ruleset.rules)} rules: {reading[0]:.2f} s to load, {making[0]:.2f} s to make the matcher of (CPU)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mix", type=Path)
    options.add_argument("--more", type=Path)
    options.add_argument("--rules", type=Path, nargs="*", default=[])
    options.add_argument("--peer")
    options.add_argument("--pairs", type=int, default=5)
    given = options.parse_args()
    print(machine.line())
    by_logsource(given.mix, given.more, given.peer, given.pairs)
    for folder in given.rules:
        loaded(folder)
    if given.rules:
        correlated(given.rules[0], given.pairs)


if __name__ == "__main__":
    main()
