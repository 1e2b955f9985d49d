"""`tocsin rules check | list | test | match`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from pipeline import rulesets
from pipeline.commands import rules_match
from rules import cases
from rules.faults import Fault
from rules.ruleset import RuleSet, load
from rules.sigma import Correlation, Document, Filter

_PATHS = click.argument("paths", nargs=-1, required=True, metavar="PATH...")


@click.group()
def rules() -> None:
    """Check, list, test and match rules.

    PATH is a file, a folder, or `builtin`: the shipped rules. What a rule may say: docs/rules.md and docs/sigma.md.
    """


@rules.command()
@_PATHS
def check(paths: tuple[str, ...]) -> None:
    """Name every fault as file:line.

    Exit 1 if there is one. Lints begin `warning:`, leave the rule at work, and alone exit 0; a rule whose list is
    missing is inactive until the config names it.

    \b
      $ tocsin rules check builtin rules/
      rules/login.yml:7: a|contians: unknown modifier 'contians'; 'contains' was meant?
    """
    faults, ruleset = loaded(paths, rulesets.lists({}, []))
    for fault in faults:
        click.echo(str(fault))
    if any(not fault.warning for fault in faults):
        sys.exit(1)
    if not faults and sys.stdout.isatty():
        click.echo(f"{len(ruleset.rules) + len(ruleset.correlations)} rules, no fault")


@rules.command("list")
@_PATHS
def list_(paths: tuple[str, ...]) -> None:
    """Print each rule, active or not.

    In a pipe a JSON object a line: rule, title, file, kind, logsource, level, active, because.

    \b
      $ tocsin rules list rules/ | jq -r 'select(.active | not) | .because'
    """
    faults, ruleset = loaded(paths, rulesets.lists({}, []))
    _say(fault for fault in faults if not fault.warning)
    documents: list[Document] = [*ruleset.rules, *ruleset.correlations, *ruleset.filters]
    for document in documents:
        row = _row(ruleset, document)
        if sys.stdout.isatty():
            click.echo(f"{'  ' if row['active'] else '- '}{row['level'] or '':14}{row['title']}  ({row['file']})")
        else:
            click.echo(json.dumps(row))
    if any(not fault.warning for fault in faults):
        sys.exit(1)


def _row(ruleset: RuleSet, document: Document) -> dict[str, object]:
    because = ruleset.inactive(document)
    logsource = None if isinstance(document, Correlation) else document.logsource
    words = () if logsource is None else ("product", "category", "service")
    return {
        "rule": document.about.id,
        "title": document.about.title,
        "file": document.about.file,
        "kind": type(document).__name__.lower(),
        "logsource": {word: value for word in words if (value := getattr(logsource, word)) is not None} or None,
        "level": None if isinstance(document, Filter) else document.about.level,
        "active": because is None,
        "because": because,
    }


@rules.command()
@_PATHS
def test(paths: tuple[str, ...]) -> None:
    """Run the cases beside the rules.

    Events that must fire and near misses that must not, in login.cases.yml beside login.yml:

    \b
      fires:
        - name: root from outside
          event: {event.dataset: system.auth, user.name: root}
      quiet:
        - name: root from a bastion
          lists: {bastions: [10.1.2.3]}
          event: {event.dataset: system.auth, user.name: root, source.ip: 10.1.2.3}
    """
    found, _ = loaded(paths, rulesets.lists({}, []))
    faults = [fault for fault in found if not fault.warning]
    sources = list(rulesets.sources(paths, []))
    beside = list(rulesets.case_files(list(_with_cases(paths)), faults))
    results = cases.run(sources, beside)
    for line in dict.fromkeys((*map(str, faults), *results.failures)):
        click.echo(line)
    click.echo(f"{results.passed} of {results.total} cases passed, {results.rules} rules", err=not sys.stdout.isatty())
    if faults or results.failures:
        sys.exit(1)


def _with_cases(paths: Iterable[str]) -> Iterator[str]:
    """Yield each path, and after a rule's file that of its cases."""
    for path in paths:
        yield path
        beside = Path(path).with_suffix(rulesets.CASES)
        if not path.endswith(rulesets.CASES) and beside.is_file():
            yield str(beside)


@rules.command()
@click.option("--rules", "paths", multiple=True, required=True, metavar="PATH", help="rule file, folder or builtin")
@click.option("--context", type=click.Path(path_type=Path), help="YAML file: name of a list -> its entries")
@click.option("--time-field", default="@timestamp", show_default=True, help="ISO 8601 or epoch seconds")
@click.option("--every", is_flag=True, help="correlations fire at every event while they hold")
@click.argument("file", required=False, type=click.File("rb"), default="-")
def match(paths: tuple[str, ...], context: Path | None, time_field: str, file: click.File, *, every: bool) -> None:
    """Match events against rules.

    NDJSON events (FILE or standard input) are taken as they are, nested or with dotted names: no field mapping, and
    every rule sees every event. What matches comes out as NDJSON in line order; `events` are line numbers, and only
    correlations have a `group`. Event time, not the order of lines, decides windows. Exit 1 if a rule or a line is
    faulty.

    \b
      $ tocsin parse auth.log | tocsin rules match --rules builtin
      $ tocsin rules match --rules my.yml --context lists.yml --time-field ts events.ndjson
    """
    faults, ruleset = loaded(paths, rules_match.context(context))
    errors = [fault for fault in faults if not fault.warning]
    _say(errors)
    assert hasattr(file, "__iter__")
    clean = rules_match.run(ruleset, file, time_field, every=every)
    if errors or not clean:
        sys.exit(1)


def loaded(paths: tuple[str, ...], lists: dict[str, tuple[str, ...]]) -> tuple[list[Fault], RuleSet]:
    """Return every fault, of reading and of meaning, and what was loaded."""
    faults: list[Fault] = []
    ruleset = load(rulesets.sources(paths, faults), lists)
    return sorted([*faults, *ruleset.faults]), ruleset


def _say(faults: Iterable[Fault]) -> None:
    for fault in faults:
        click.echo(str(fault), err=True)
