"""A condition on a key, against a model of its few states; what is late, handed over or means something else by now."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.correlator import Correlator
from rules.match import Marker, Match, Verdict
from rules.ruleset import RuleSet, load
from tests.rules.test_correlations import at

State = Literal["holds", "between", "clear"]
DISK = """
title: disk
id: disk
logsource: {category: application}
detection: {full: {v|gt: 10}, condition: full}
alert: {kind: condition, key: [k], for: %s, clear: {v|lt: 5}}
"""


def rules(hold: str) -> RuleSet:
    found = load([("r.yml", DISK % hold)], {})
    assert not found.errors
    return found


def verdict(rules: RuleSet, state: State, second: int, number: int = 0) -> Verdict:
    about = rules.rules[0].about
    return Verdict(about.id, about.meaning, state, {"k": "a"}, f"e{number}", at(second), at(second), at(second), {})


def model(said: list[tuple[int, State]], hold: int) -> list[tuple[str, int]]:
    """(step, second) of each transition. The clock is told each second, up to where the last verdict stands."""
    out: list[tuple[str, int]] = []
    since: int | None = None
    firing = False
    by_second = dict(said)
    for second in range(max(by_second, default=0) + 1):
        state = by_second.get(second)
        if since is not None and not firing and second - since >= hold:
            out.append(("fired", second))
            firing = True
        if state == "holds" and since is None:
            since = second
            if hold == 0:
                out.append(("fired", second))
                firing = True
        elif since is not None and (state == "clear" or (state == "between" and not firing)):
            out += [("resolved", second)] if firing else []
            since, firing = None, False
    return out


states = st.sampled_from(["holds", "between", "clear"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.integers(0, 60), states, max_size=12), st.sampled_from([0, 10, 25]), st.integers(0, 60))
def test_a_condition_fires_and_resolves_as_the_model_says(
    verdicts: dict[int, State], hold: int, restart_at: int
) -> None:
    asked = rules(f"{hold}s" if hold else "1s")
    if not hold:
        asked = load([("r.yml", (DISK % "1s").replace("for: 1s, ", ""))], {})
    correlator = Correlator(asked, "test")
    out: list[tuple[str, int]] = []
    kept: dict[str, bytes] = {}
    for second in range(max(verdicts, default=0) + 1):
        if second == restart_at:
            kept |= correlator.changed()
            correlator = Correlator(asked, "test", correlator.clock)
            correlator.restore({place: state for place, state in kept.items() if state})
        alerts = correlator.feed(Marker(0, at(second)), at(second))
        if second in verdicts:
            alerts += correlator.feed(verdict(asked, verdicts[second], second))
        out += [(alert.step, second) for alert in alerts]
    assert out == model(list(verdicts.items()), hold)


def test_a_verdict_older_than_one_that_was_heard_changes_nothing() -> None:
    asked = rules("10s")
    correlator = Correlator(asked, "test")
    assert not correlator.feed(verdict(asked, "holds", 20))
    assert not correlator.feed(verdict(asked, "clear", 15))  # from a worker that has lost the partition since
    assert [one.step for one in correlator.feed(Marker(0, at(31)), at(31))] == ["fired"]
    assert not correlator.feed(verdict(asked, "clear", 19))
    assert [one.step for one in correlator.feed(verdict(asked, "clear", 32))] == ["resolved"]


COUNT = """
title: a
name: a
logsource: {category: application}
detection: {s: {r: %s}, condition: s}
---
title: c
id: c
correlation: {type: event_count, rules: [a], group-by: [k], timespan: %s, condition: {gte: 2}}
"""


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (("x", "60s"), ("x", "60s"), True),
        (("x", "60s"), ("x", "61s"), False),
        (("x", "60s"), ("y", "60s"), False),  # what a correlation refers to is part of what it means
    ],
)
def test_a_correlation_keeps_its_state_only_where_it_means_the_same(
    before: tuple[str, str], after: tuple[str, str], *, kept: bool
) -> None:
    old, new = (load([("c.yml", COUNT % one)], {}) for one in (before, after))

    def match(ruleset: RuleSet, second: int) -> Match:
        moment = at(second)
        return Match(ruleset.rules[0].about.id, "", f"e{second}", moment, moment, moment, {"k": "a", "host.id": "h"})

    correlator = Correlator(old, "test")
    correlator.feed(match(old, 0))
    assert bool(correlator.reloaded(new).feed(match(new, 1))) is kept
    successor = Correlator(new, "test")
    successor.restore({place: state for place, state in correlator.changed().items() if state})
    assert bool(successor.feed(match(new, 1))) is kept
