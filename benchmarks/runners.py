"""Sigma engines that Python can call, each run as benchmarks/peers.py asks; never imported by it.

Usage: PYTHON runners.py azuma|sigma-rule-matcher|sqlite|zargunlite|tenzir FOLDER EVENTS TIMES [dump]

PYTHON is that of an environment of the engine's own, with `azuma`, `sigma-rule-matcher`, `pysigma-backend-sqlite`,
`zargunlite` (with the former) or `tenzir` in it; nothing of the project is used. Prints `rules=N parse-excl N
parse-incl N matches=N`, in events per CPU-second, or with `dump` each match: the event's place and the rule's id.

sqlite and zargunlite take all events as one batch: a table in memory, then a SELECT a rule. tenzir is a program: its
rate is its CPU time less that of a tenth of the events, so that its start drops out; without decoding there is none.
"""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

Match = tuple[int, str]
Event = dict[str, object]
Pass = tuple[float, float, list[Match]]  # CPU seconds without decoding, and with; what matched

Engine = tuple[int, Callable[[Sequence[bytes]], Pass]]  # how many rules it took, and one run of it

_PIPELINE = """from_file "{events}" {{ read_ndjson }}
enumerate row
sigma path="{rules}"
select row=evidences[0].data.row, rule=policy.uid
write_ndjson
"""


def main() -> None:
    engine, folder, events, times, *dump = sys.argv[1:]
    rules = sorted(Path(folder).glob("*.yml"))
    lines = Path(events).read_bytes().splitlines()
    count, one = ENGINES[engine](rules)
    if dump:
        print(*(f"{place} {rule}" for place, rule in sorted(set(one(lines)[2]))), sep="\n")
        return
    runs = [one(lines) for _ in range(int(times))]
    excluded, included = (statistics.median(len(lines) / run[part] for run in runs) for part in (0, 1))
    print(f"rules={count} parse-excl {excluded:.0f} parse-incl {included:.0f} matches={len(set(runs[0][2]))}")


def _each(
    matchers: Sequence[tuple[str, Callable[[Event], bool]]],
) -> Engine:
    """An engine that is asked rule by rule and event by event. A rule that fails on an event does not match it."""
    orjson = import_module("orjson")

    def matched(place: int, event: Event) -> Iterator[Match]:
        for rule, matches in matchers:
            try:
                if matches(event):
                    yield place, rule
            except Exception:  # whatever the engine raises
                continue

    def one(lines: Sequence[bytes]) -> Pass:
        began = time.process_time()
        events = [orjson.loads(line) for line in lines]
        decoded = time.process_time()
        found = [match for place, event in enumerate(events) for match in matched(place, event)]
        ended = time.process_time()
        return ended - decoded, ended - began, found

    return len(matchers), one


def _usable(rules: Iterable[Path], made: Callable[[Path], tuple[str, object]]) -> list[tuple[str, object]]:
    out = []
    for path in rules:
        try:
            out.append(made(path))
        except Exception as error:  # whatever the engine raises for a rule that it does not take
            print(f"refused: {path.name}: {type(error).__name__}", file=sys.stderr)
    return out


def azuma(rules: Sequence[Path]) -> Engine:
    made_of = import_module("azuma").Rule.model_validate_file

    def made(path: Path) -> tuple[str, object]:
        rule = made_of(str(path))
        return str(rule.id), rule.match

    return _each(_usable(rules, made))


def sigma_rule_matcher(rules: Sequence[Path]) -> Engine:
    parsed = import_module("sigma.rule").SigmaRule.from_yaml
    matcher = import_module("sigma_rule_matcher").RuleMatcher

    def made(path: Path) -> tuple[str, object]:
        rule = parsed(path.read_text())
        return str(rule.id), matcher(rule).match

    return _each(_usable(rules, made))


def _queries(rules: Sequence[Path]) -> list[tuple[str, list[str]]]:
    collection = import_module("sigma.collection").SigmaCollection
    backend = import_module("sigma.backends.sqlite").sqliteBackend()

    def made(path: Path) -> tuple[str, object]:
        parsed = collection.from_yaml(path.read_text())
        return str(parsed.rules[0].id), [one.replace("<TABLE_NAME>", "logs") for one in backend.convert(parsed)]

    return _usable(rules, made)


def _batch(rules: Sequence[Path], loaded: Callable[[list[Event]], Callable[[str], Iterable[int]]]) -> Engine:
    """An engine that puts all events into a table first; `loaded` returns what answers a query with row numbers."""
    orjson = import_module("orjson")

    queries = _queries(rules)

    def one(lines: Sequence[bytes]) -> Pass:
        began = time.process_time()
        ask = loaded([_flat(orjson.loads(line), {}, "") for line in lines])
        filled = time.process_time()
        found = [(row - 1, rule) for rule, texts in queries for text in texts for row in ask(text)]
        ended = time.process_time()
        return ended - filled, ended - began, found

    return len(queries), one


def _flat(value: Event, out: Event, prefix: str) -> Event:
    for name, part in value.items():
        if isinstance(part, dict):
            _flat(part, out, f"{prefix}{name}.")
        else:
            out[prefix + name] = json.dumps(part) if isinstance(part, list) else part
    return out


def sqlite(rules: Sequence[Path]) -> Engine:
    def loaded(events: list[Event]) -> Callable[[str], Iterable[int]]:
        names = list({name.lower(): name for event in events for name in event}.values())
        database = sqlite3.connect(":memory:")
        database.create_function("regexp", 2, lambda p, v: v is not None and re.search(p, str(v)) is not None)
        columns = ",".join(f'"{name}" TEXT COLLATE NOCASE' for name in names)
        database.execute(f"create table logs(row_id integer primary key,{columns})")
        marks = ",".join("?" * (len(names) + 1))
        rows = ((None, *map(event.get, names)) for event in events)
        database.executemany(f"insert into logs values({marks})", rows)

        def ask(query: str) -> Iterable[int]:
            try:
                return [row[0] for row in database.execute(query)]
            except sqlite3.OperationalError:  # a column that no event has
                return []

        return ask

    return _batch(rules, loaded)


def zargunlite(rules: Sequence[Path]) -> Engine:
    made = import_module("zargunlite.core").ZargunCore

    def loaded(events: list[Event]) -> Callable[[str], Iterable[int]]:
        core = made()
        core.load_data(events, strict_field_name=False)
        return lambda query: [row["row_id"] for row in core.execute_sqlite_query(query)]

    return _batch(rules, loaded)


def tenzir(rules: Sequence[Path]) -> Engine:
    program, folder = Path(sys.executable).with_name("tenzir"), rules[0].parent

    def ran(lines: Sequence[bytes]) -> tuple[float, list[Match]]:
        with tempfile.TemporaryDirectory() as name:
            events, pipeline = Path(name, "events.ndjson"), Path(name, "pipeline.tql")
            events.write_bytes(b"\n".join(lines) + b"\n")
            pipeline.write_text(_PIPELINE.format(events=events, rules=folder))
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            said = subprocess.run([program, "-f", pipeline], capture_output=True, text=True, check=True).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return took, [(one["row"], one["rule"]) for one in map(json.loads, said.splitlines())]

    def one(lines: Sequence[bytes]) -> Pass:
        tenth = len(lines) // 10
        took, found = ran(lines)
        slope = max(1e-3, took - ran(lines[:tenth])[0]) * len(lines) / (len(lines) - tenth)
        return float("inf"), slope, found

    return len(rules), one


ENGINES = {
    "azuma": azuma,
    "sigma-rule-matcher": sigma_rule_matcher,
    "sqlite": sqlite,
    "zargunlite": zargunlite,
    "tenzir": tenzir,
}

if __name__ == "__main__":
    main()
