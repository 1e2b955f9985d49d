"""What is let go for want of room: never silently, and never a group that was told of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rules import correlation, groups, window
from rules.correlator import Correlator
from rules.match import Marker, Match
from rules.window import Seen, Window
from tests.rules.test_correlations import at, ruleset


def match(number: int, seconds: float, group: str, value: int = 0) -> Match:
    fields = {"g": group, "v": value, "host.id": "h"}
    return Match("a", "", f"e{number:05}", at(seconds), at(seconds), at(seconds), fields)


def test_a_window_that_is_full_lets_the_oldest_go_and_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "SEEN_LIMIT", 4)
    asks = ruleset({"type": "value_sum", "rules": ["a"], "condition": {"gte": 1, "field": "v"}}).correlations[0]
    full = Window(asks.correlating)
    for number in range(6):
        full.push(Seen(at(number), f"e{number}", (0,), (str(number),), float(number)))
    assert [one.id for one in full.seen] == ["e2", "e3", "e4", "e5"]
    assert full.value() == 2 + 3 + 4 + 5
    assert full.evicted == 2


def test_where_there_are_too_many_groups_the_oldest_that_was_told_nothing_of_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(groups, "GROUPS_LIMIT", 3)
    correlator = Correlator(ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}}), "test")
    fired = [correlator.feed(match(number, number, name)) for number, name in enumerate(["told", "told", "old", "new"])]
    assert [len(alerts) for alerts in fired] == [0, 1, 0, 0]
    assert not correlator.feed(match(4, 4, "more"))  # "old" goes, "told" stays
    assert correlator.evicted == 1
    assert not correlator.feed(match(5, 5, "told"))  # it goes on, and fires no second time
    assert correlator.feed(match(6, 6, "new"))
    assert not correlator.feed(match(7, 7, "old"))


def test_a_group_that_is_full_settles_its_oldest_early_and_its_alert_says_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(correlation, "RECENT_LIMIT", 5)
    correlator = Correlator(ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}}), "test")
    for number in range(9):
        correlator.feed(match(number, number, "g"))
    out = [alert for second in (75, 140, 200) for alert in correlator.feed(Marker(0, at(second)), at(second))]
    assert [alert.step for alert in out] == ["settled"]
    assert out[0].proof.count == 9
    assert out[0].proof.values["tocsin.evicted"] == 4


def test_an_idle_group_is_let_go_once_no_late_match_is_expected() -> None:
    correlator = Correlator(ruleset({"type": "event_count", "rules": ["a"], "condition": {"gte": 2}}), "test")
    correlator.feed(match(1, 0, "g"))
    (place,) = correlator.changed()
    correlator.feed(Marker(0, at(100)), at(100))
    assert correlator.changed().get(place, b"kept")
    gone = at(0) + correlation.LATENESS + correlation.KEPT + timedelta(seconds=21)
    correlator.feed(Marker(0, gone), gone)
    assert correlator.changed() == {place: b""}
