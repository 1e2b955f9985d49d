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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rules.event import Value, instant
from rules.matcher import Matcher
from rules.replay import Replay
from rules.ruleset import RuleSet, load
from rules.values import flatten

_START = datetime(2026, 1, 1, tzinfo=UTC)
SUFFIX = ".cases.yml"


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
    tested: set[str] = set()
    for name, text in beside:
        _run_file(sources, name, text, out, tested)
    out.rules = len(load(sources, {}).rules)
    return out


def _run_file(sources: Sequence[tuple[str, str]], name: str, text: str, out: Results, tested: set[str]) -> None:
    rule_file = name.removesuffix(SUFFIX) + ".yml"
    try:
        found = yaml.safe_load(text)
        wanted = {"fires": list(found.get("fires") or ()), "quiet": list(found.get("quiet") or ())}
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        out.failures.append(f"{name}:1: not a file of cases: {error}")
        return
    for kind, listed in wanted.items():
        if not listed:
            out.failures.append(f"{name}:1: no case under {kind!r}")
        for case in listed:
            out.total += 1
            why = _judge(sources, rule_file, found.get("rule"), case, must=kind == "fires")
            out.passed += not why
            if why:
                title = case.get("name", "a case") if isinstance(case, dict) else "a case"
                out.failures.append(f"{name}:1: {title}: {why}")


def _judge(
    sources: Sequence[tuple[str, str]], rule_file: str, rule: str | None, case: object, *, must: bool
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
    fired = target in _fired(ruleset, [flatten(one) for one in given.events or [given.event]])
    return None if fired is must else "did not fire" if must else "fired"


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
        out |= hits | {shown.rule for shown in replay.feed(number, time, fields) if shown.group is not None and hits}
    return out
