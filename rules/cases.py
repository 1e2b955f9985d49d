"""The cases beside a rule: events that must fire and near misses that must not.

rule: <id of the rule; absent: the only rule of the file beside>
fires:
  - name: what it shows
    event: {flat ECS fields}          # or events: [...], in order, for correlations; lists: {name: [entry, ...]}
quiet:
  - name: ...
    event: {...}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from yaml.nodes import Node, SequenceNode

from rules import document
from rules.event import Fields, Value, instant
from rules.explain import failing, tree_of, unrouted
from rules.faults import Report, meant
from rules.logsource import origin
from rules.matcher import Matcher
from rules.proof import told
from rules.replay import Replay
from rules.ruleset import RuleSet, load
from rules.sigma import Rule
from rules.values import flatten

_START = datetime(2026, 1, 1, tzinfo=UTC)
SUFFIX = ".cases.yml"
_KINDS = ("fires", "quiet")


class Case(BaseModel):
    """One case as it is written: an event, or events in order."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    event: dict[str, object] = Field(default_factory=dict)
    events: list[dict[str, object]] = Field(default_factory=list)
    lists: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(slots=True)
class Results:
    """What running the cases gave; each failure is one line that begins with its file."""

    total: int = 0
    passed: int = 0
    rules: int = 0
    failures: list[str] = field(default_factory=list)


def run(sources: Sequence[tuple[str, str]], beside: Iterable[tuple[str, str]]) -> Results:
    """Run every case against its rule, routed by logsource as in production."""
    out = Results()
    for name, text in beside:
        _run_file(sources, name, text, out)
    out.rules = len(load(sources, {}).rules)
    return out


def _run_file(sources: Sequence[tuple[str, str]], name: str, text: str, out: Results) -> None:
    rule_file = name.removesuffix(SUFFIX) + ".yml"
    report = Report(name)
    root = next(document.documents(text, report), None)
    found = document.mapping(root, report, "a file of cases") if root is not None else {}
    for unknown in (found or {}).keys() - set(_KINDS) - {"rule"}:
        report.fault((found or {})[unknown].key, f"{unknown!r} is not known{meant(unknown, (*_KINDS, 'rule'))}")
    out.failures += map(str, report.faults)
    if found is None or report.errors:
        return
    named = document.text(found.get("rule"), report, "rule")
    for kind in _KINDS:
        listed = found[kind].value.value if kind in found and isinstance(found[kind].value, SequenceNode) else []
        if not listed:
            out.failures.append(f"{name}:1: no case under {kind!r}")
        for node in listed:
            out.total += 1
            title, why = _one(node, partial(_judge, sources, rule_file, named, kind == "fires"))
            out.passed += not why
            if why:
                out.failures.append(f"{name}:{node.start_mark.line + 1}: {title}: {why}")


def _one(node: Node, judge: Callable[[object], str | None]) -> tuple[str, str | None]:
    """Return a case's name, and what is wrong with it or what it shows."""
    try:
        case: object = yaml.SafeLoader("").construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        return "a case", f"cannot be read: {error}".splitlines()[0]
    return str(case.get("name", "a case")) if isinstance(case, dict) else "a case", judge(case)


def _judge(
    sources: Sequence[tuple[str, str]], rule_file: str, rule: str | None, must: bool, case: object
) -> str | None:
    try:
        given = Case.model_validate(case)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the case'}: {first['msg']}"
    ruleset = load([(name, text) for name, text in sources if name == rule_file], given.lists)
    if ruleset.errors:
        return str(ruleset.errors[0])
    ids = [one.about.id for one in ruleset.correlations] + [one.about.id for one in ruleset.rules]
    target = rule or next(iter(ids), None)
    if target not in ids:
        return f"no rule {target!r} in {rule_file}"
    events = [flatten(one) for one in given.events or [given.event]]
    fired = target in _fired(ruleset, events)
    if fired is must:
        return None
    judged = next((one for one in ruleset.rules if one.about.id == target), None)
    said = _because(judged, events[-1]) if must and judged is not None else ""
    return f"did not fire{said}" if must else "fired"


def _because(rule: Rule, event: Fields) -> str:
    """Return which clause of the rule the event fails, to be said after what happened."""
    if rule.missing:
        return f": there is no list {', '.join(sorted(rule.missing))}"
    unseen = unrouted(rule.logsource, origin(event))
    failed = failing(tree_of(rule), event)
    return (
        f": the rule does not see the event: {unseen}"
        if unseen is not None
        else f": {told(failed)}"
        if failed is not None
        else ""
    )


def _fired(ruleset: RuleSet, events: Sequence[dict[str, Value]]) -> set[str]:
    """Return the ids of what fired. Only what a rule's logsource lets it see is fed to it."""
    matcher, replay = Matcher(ruleset), Replay(ruleset, every=False)
    out: set[str] = set()
    there: dict[str, datetime] = {}  # what is asked to be absent, and was there last
    spans = {rule.about.id: rule.alerting.absent for rule in ruleset.rules if rule.alerting.absent is not None}
    for number, fields in enumerate(events, 1):
        moment = fields.get("@timestamp")
        time = instant(moment) if isinstance(moment, str) else _START + timedelta(seconds=number)
        out |= {name for name, last in there.items() if time - last >= spans[name]}
        found = matcher.match(fields)
        there |= {hit.rule.about.id: time for hit in found if hit.state == "there"}
        hits = {hit.rule.about.id for hit in found if hit.state in (None, "holds")}
        shown = replay.feed(number, time, fields, only=hits)
        out |= hits | {one.rule for one in shown if one.group is not None}
    return out
