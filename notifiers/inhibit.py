"""Inhibition: an alert is kept quiet while a graver one of the same place fires, in Alertmanager's words. Pure.

A target is muted if some unresolved alert matches the source side and has the same value in every `equal` label (an
absent label is the empty text). An alert on both sides is not muted by alerts that are on both sides. Every source
is asked, not the first one found: that is where Alertmanager 0.34 lets targets through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from notifiers.route import Labels, Matcher, RouteError, matchers

_KNOWN = frozenset({"source_matchers", "target_matchers", "equal"})


@dataclass(frozen=True, slots=True)
class Inhibit:
    """One rule of `inhibit_rules`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()

    def place(self, labels: Labels) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self.equal)


def parse(raw: object, where: str = "inhibit_rules") -> tuple[Inhibit, ...]:
    """Return the rules that a config lists. Raises RouteError."""
    if not isinstance(raw, list):
        raise RouteError(where, "expected a list of rules")
    return tuple(_rule(one, f"{where}[{number}]") for number, one in enumerate(raw))


def _rule(raw: object, where: str) -> Inhibit:
    if not isinstance(raw, Mapping):
        raise RouteError(where, "expected source_matchers, target_matchers and equal")
    node = cast("Mapping[str, object]", raw)
    for name in node:
        if name not in _KNOWN:
            raise RouteError(f"{where}.{name}", f"unknown key, expected one of {', '.join(sorted(_KNOWN))}")
    source, target = (_side(node.get(f"{side}_matchers"), f"{where}.{side}_matchers") for side in ("source", "target"))
    equal = node.get("equal") or []
    if not isinstance(equal, list):
        raise RouteError(f"{where}.equal", "expected a list of labels")
    return Inhibit(source, target, tuple(str(name) for name in equal))


def _side(raw: object, where: str) -> tuple[Matcher, ...]:
    if not isinstance(raw, list) or not raw:
        raise RouteError(where, "expected a list of matchers")
    return tuple(one for text in raw for one in matchers(text, where))


class Inhibitor:
    """Which alerts fire now that could keep others quiet. Costs a look-up for each rule, not a scan of all alerts."""

    def __init__(self, rules: Sequence[Inhibit] = ()) -> None:
        self._rules = tuple(rules)
        self._sources: dict[tuple[int, tuple[str, ...]], dict[str, bool]] = {}  # incident -> is on both sides
        self._places: dict[str, list[tuple[int, tuple[str, ...]]]] = {}

    def __bool__(self) -> bool:
        """Whether there is any rule at all."""
        return bool(self._rules)

    def fires(self, incident: str, labels: Labels) -> None:
        """Note that an incident fires, with its labels as they are now."""
        self.ends(incident)
        for number, rule in enumerate(self._rules):
            if all(test(labels) for test in rule.source):
                place = (number, rule.place(labels))
                both = all(test(labels) for test in rule.target)
                self._sources.setdefault(place, {})[incident] = both
                self._places.setdefault(incident, []).append(place)

    def ends(self, incident: str) -> None:
        for place in self._places.pop(incident, ()):
            sources = self._sources[place]
            del sources[incident]
            if not sources:
                del self._sources[place]

    def muting(self, incident: str, labels: Labels) -> str | None:
        """Return an incident that keeps these labels quiet; never the one that they belong to."""
        for number, rule in enumerate(self._rules):
            if not all(test(labels) for test in rule.target):
                continue
            itself = all(test(labels) for test in rule.source)
            sources = self._sources.get((number, rule.place(labels)), {})
            found = next((name for name, both in sources.items() if name != incident and not (itself and both)), None)
            if found:
                return found
        return None
