"""Alerts as records: what is told of a rule, of its cause and of the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from rules.alert import Alert, Proof, Rule, Step, alert_id
from rules.correlation import LATENESS
from rules.episode import Episode
from rules.evaluate import fields_of
from rules.event import Fields, Scalar, Value
from rules.match import Match, Verdict
from rules.predicate import And, Compare, Field, Not, Or, Predicate
from rules.ruleset import RuleSet
from rules.sigma import Correlation
from rules.sigma import Rule as SigmaRule

Cause: TypeAlias = Match | Verdict
Document: TypeAlias = SigmaRule | Correlation


class _Lists(TypedDict):
    lists: dict[str, str]
    commands: dict[str, int]


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes alerts. `lists` are the hashes of the lists that the rules read, `reads` which lists a correlation does."""

    engine: str
    lists: Mapping[str, str]
    reads: Mapping[str, frozenset[str]]

    @staticmethod
    def of(ruleset: RuleSet, engine: str) -> Teller:
        return Teller(engine, ruleset.lists, _read(ruleset))

    def alert(self, document: Document, step: Step, cause: Cause, key: dict[str, Value], first: str) -> Alert:
        """Return the alert of one event: what it is named after is `first`."""
        return Alert(
            step=step,
            id=alert_id(document.about.id, key, first),
            rule=told(document),
            key=key,
            time=cause.time,
            since=cause.time,
            received=cause.received,
            old=cause.old,
            late=not cause.old and cause.appended - cause.time > LATENESS,
            fields=cause.fields,
            incident=joint(document, cause.fields),
            proof=self._proof(document, cause),
        )

    def _proof(self, document: Document, cause: Cause) -> Proof:
        if isinstance(document, Correlation):
            read = self.reads.get(document.about.id, frozenset())
            return Proof(rule_hash=document.about.meaning, engine=self.engine, **self._read(read, cause))
        return Proof(
            rule_hash=document.about.meaning,
            engine=self.engine,
            events=(cause.event,),
            count=1,
            values=_measured(document.predicate, cause.fields) | _behind(cause),
            fields=tuple(sorted(fields_of(document.predicate))),
            **self._read(document.lists, cause),
        )

    def _read(self, names: frozenset[str], cause: Cause) -> _Lists:
        """Return the lists' hashes, and for those that change by the hour who had set them: as the cause read them."""
        hashes = {name: self.lists[name] for name in sorted(names) if name in self.lists}
        used = {name: one for name, one in cause.lists.items() if name in names}
        return {
            "lists": hashes | {name: one.hash for name, one in used.items()},
            "commands": {name: one.offset for name, one in used.items()},
        }

    def episode(
        self, correlation: Correlation, step: Step, cause: Cause, key: dict[str, Value], episode: Episode
    ) -> Alert:
        """Return the alert of a correlation's episode, with its window, its measure and its contributors."""
        asks = correlation.correlating
        values: dict[str, Value] = {"value": episode.value, **_behind(cause)}
        values.update(asks.limits.ops if asks.limits else ())
        alert = self.alert(correlation, step, cause, key, episode.first)
        proof = alert.proof.model_copy(
            update={
                "events": episode.events,
                "count": episode.count,
                "digest": episode.digest,
                "window_start": episode.start[0] - asks.timespan,
                "window_end": episode.last[0],
                "values": values,
                "fields": (*asks.group_by, *(asks.limits.fields if asks.limits else ())),
            }
        )
        return alert.model_copy(update={"time": episode.last[0], "since": episode.since, "proof": proof})


def _read(ruleset: RuleSet) -> dict[str, frozenset[str]]:
    """Return, for each correlation, the lists that the rules below it read."""
    out = {rule.about.id: rule.lists for rule in ruleset.rules}
    for correlation in ruleset.correlations:  # inner ones first
        below = (out.get(name, frozenset()) for name in ruleset.refers.get(correlation.about.id, ()))
        out[correlation.about.id] = frozenset[str]().union(*below)
    return out


def told(document: Document) -> Rule:
    """Return what an alert says of its rule."""
    about, alerting = document.about, document.alerting
    return Rule(
        id=about.id,
        title=about.title,
        level=about.level,
        kind=alerting.kind,
        urgency=alerting.urgency,
        tell=alerting.tell,
        runbook=alerting.runbook,
        description=about.description,
        tags=about.tags,
    )


def joint(document: Document, fields: Fields) -> dict[str, Value]:
    """Return what tells the alert's incident from others, where its rule shares incidents with other rules.

    Without a value for each field of that key it shares none: what is absent would make strangers one incident.
    """
    shared = document.alerting.incident
    key = {name: fields.get(name) for name in shared.key} if shared else {}
    return {"name": shared.name, **key} if shared and not any(one in (None, "", []) for one in key.values()) else {}


def _behind(cause: Cause) -> dict[str, Value]:
    """Say which lists may have been newer than what the cause was judged by."""
    names: list[Scalar] = [name for name, one in cause.lists.items() if one.behind]
    return {"tocsin.lists.behind": names} if names else {}


def _measured(predicate: Predicate, fields: Fields) -> dict[str, Value]:
    """Return each value that was compared with a number, and its threshold as a rule writes it (`name|gte`)."""
    match predicate:
        case And(parts) | Or(parts):
            return {name: value for part in parts for name, value in _measured(part, fields).items()}
        case Not(part):
            return _measured(part, fields)
        case Field(name, Compare(op, limit)):
            return {name: fields.get(name), f"{name}|{op}": limit}
    return {}
