"""An alert's proof, run again over the events that are stored now: does it still hold? (law 12)

Strict on purpose: an alert holds if the rule still makes this very alert of these very events, with the same id, the
same contributors and the same measure. What would still fire, but not as it was told, is said, and does not hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rules.alert import Alert, alert_id
from rules.episode import Track
from rules.event import Event, Fields, Value
from rules.explain import failing
from rules.groups import feeds, group_of, measured, state_key
from rules.proof import Judged, Measure, Rerun, Trees, judged, missing, single, told
from rules.ruleset import RuleSet
from rules.sigma import Correlation
from rules.window import Seen, Window


def rerun(alert: Alert, ruleset: RuleSet, events: Sequence[Event], trees: Trees) -> Rerun:
    """Return what the loaded rule makes of the stored events, which are the alert's contributors."""
    rules = {rule.about.id: rule for rule in ruleset.rules}
    correlations = {one.about.id: one for one in ruleset.correlations}
    if alert.rule.id in correlations:
        return _Correlated(alert, ruleset, correlations[alert.rule.id], events, trees).again()
    rule = rules.get(alert.rule.id)
    if rule is None:
        return Rerun(reasons=(f"no rule {alert.rule.id} is loaded any more",))
    if rule.missing:
        return Rerun(reasons=(f"the rule is inactive: there is no list {', '.join(sorted(rule.missing))}",))
    return single(alert, rule, events, trees)


@dataclass(slots=True)
class _Correlated:
    """One correlation's alert. Rules feed correlations, inner ones first, as they did."""

    alert: Alert
    ruleset: RuleSet
    correlation: Correlation
    events: Sequence[Event]
    trees: Trees
    _names: dict[str, frozenset[str]] = field(init=False)
    _matched: dict[str, list[Event]] = field(init=False, default_factory=dict)  # rule -> events that it matched
    _all: list[Judged] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._names = {one.about.id: one.about.names for one in self.ruleset.rules}
        self._names |= {one.about.id: one.about.names for one in self.ruleset.correlations}

    def again(self) -> Rerun:
        if self.alert.proof.window_start is None:
            return Rerun(reasons=("late events took it back: nothing of it stood once its events were settled",))
        self._match()
        ours = [seen for key, seen in self._fed(self.correlation) if key == self.alert.key]
        gone = sorted(set(self.alert.proof.events) - {one.id for one in self.events})
        reasons = [missing(gone)] if gone else []
        reasons += self._dropped(ours)
        measures, found = self._measured(ours, self.alert.proof.window_start)
        counted = {identity for seen in ours for identity in seen.events or (seen.id,)}
        told_of = tuple(replace(one, counted=one.matched and one.event in counted) for one in self._all)
        return Rerun(told_of, measures, (*reasons, *found))

    def _match(self) -> None:
        wanted = below(self.ruleset, self.correlation.about.id)
        for rule in self.ruleset.rules:
            if rule.about.id not in wanted or rule.missing:
                continue
            found = [judged(rule, self.trees(rule, event), event) for event in self.events]
            self._all += found
            pairs = zip(self.events, found, strict=True)
            self._matched[rule.about.id] = [event for event, one in pairs if one.matched]

    def _fed(self, correlation: Correlation) -> list[tuple[dict[str, Value], Seen]]:
        """Return what a correlation is fed, each with its group, in order."""
        out: list[tuple[dict[str, Value], Seen]] = []
        for name, feeding in feeds(self.ruleset).items():
            places = next((at for one, at in feeding if one is correlation), None)
            for cause, fields in self._causes(name) if places is not None else ():
                key = group_of(correlation, self._names[name], fields)
                if key is not None and places is not None:
                    out.append((key, measured(correlation, places, cause, fields)))
        return sorted(out, key=lambda one: one[1])

    def _causes(self, name: str) -> list[tuple[Seen, Fields]]:
        inner = next((one for one in self.ruleset.correlations if one.about.id == name), None)
        if inner is None:
            return [(Seen(one.time, one.id), one.fields) for one in self._matched.get(name, ())]
        tracks: dict[str, Track] = {}
        out: list[tuple[Seen, Fields]] = []
        for key, seen in self._fed(inner):
            begun = tracks.setdefault(state_key(name, key), Track.of(inner.correlating)).step(seen)[1]
            if begun is not None:
                identity = alert_id(name, key, begun.first)
                out.append((Seen(begun.start[0], identity, events=begun.begun), key))
        return out

    def _dropped(self, ours: Sequence[Seen]) -> list[str]:
        """Name the stored contributors that contribute no more, with the clause that does not hold."""
        counted = {identity for seen in ours for identity in seen.events or (seen.id,)}
        stored = {one.id: one for one in self.events}
        out: list[str] = []
        for identity in self.alert.proof.events:
            if identity in counted or identity not in stored:
                continue
            out.append(f"event {identity} does not contribute any more: {self._why(stored[identity])}")
        return out

    def _why(self, event: Event) -> str:
        found = [one for one in self._all if one.event == event.id]
        if any(one.matched for one in found):
            names = (*self.correlation.correlating.group_by,)
            return f"it is of another group: {', '.join(f'{name} {event.fields.get(name)!r}' for name in names)}"
        for one in found:
            rule = next(rule for rule in self.ruleset.rules if rule.about.id == one.rule)
            failed = failing(self.trees(rule, event), event.fields)
            if one.unseen is not None:
                return f"{one.title} does not see it: {one.unseen}"
            if failed is not None:
                return f"{one.title}: {told(failed)}"
        return "no rule that feeds the correlation is loaded"

    def _measured(self, ours: Sequence[Seen], window_start: datetime) -> tuple[tuple[Measure, ...], list[str]]:
        """Step through the contributors: the condition must hold where the episode began, and as it was measured."""
        asks = self.correlation.correlating
        begins = window_start + asks.timespan
        window = Window(asks)
        began, begun_with = False, None
        for one in ours:
            if not began and one.time > begins:
                began, begun_with = True, self._stand(window)
            window.push(one)
            if not began and self._named_after(one) and not asks.monotone:
                began, begun_with = True, self._stand(window)
        held, first, value = begun_with or self._stand(window)
        asked = _limits(self.correlation)
        then = self.alert.proof.values.get("value")
        now = window.value()
        reasons = [] if held else [f"{asks.type} is {value}; {asked} is asked"]
        if held and alert_id(self.alert.rule.id, self.alert.key, first) != self.alert.id:
            reasons.append(f"its first contributor is {first}, which would give the alert another id")
        if held and now != then:
            reasons.append(f"{asks.type} came to {now}; the alert told {then}")
        if held and not reasons and not self._whole(ours):
            reasons.append("the contributors are not those that the proof's digest was made of")
        return (Measure(asks.type, then, now, asked),), reasons

    def _named_after(self, one: Seen) -> bool:
        return alert_id(self.alert.rule.id, self.alert.key, one.id) == self.alert.id

    def _stand(self, window: Window) -> tuple[bool, str, float | None]:
        monotone = self.correlation.correlating.monotone
        first = window.seen[0 if monotone else -1].id if window.seen else ""
        return window.holds(), first, window.value()

    def _whole(self, ours: Sequence[Seen]) -> bool:
        """Whether the contributors, in order, have the digest that the proof states."""
        digest, last = "", ""
        for identity in (identity for seen in ours for identity in seen.events or (seen.id,)):
            if identity != last:
                digest = hashlib.blake2b(f"{digest}{identity}".encode(), digest_size=16).hexdigest()
            last = identity
        return digest == self.alert.proof.digest


def _limits(correlation: Correlation) -> str:
    asks = correlation.correlating
    if asks.seen is not None:
        return "what its condition says of its rules"
    if asks.limits is None:
        return f"gte {len(asks.rules)}"
    return ", ".join(f"{op} {limit}" for op, limit in asks.limits.ops)


def below(ruleset: RuleSet, name: str) -> set[str]:
    """Return the ids of all that a correlation refers to, through others too."""
    out: set[str] = set()
    waiting = [name]
    while waiting:
        found = ruleset.refers.get(waiting.pop(), ())
        waiting += [one for one in found if one not in out]
        out.update(found)
    return out
