"""Lists that change by the hour, and the rules that read them: as of a moment, whoever asks and whenever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rules.lists import NEVER, Timeline, Version, fixed, grouped, read_again
from rules.matcher import Matcher
from rules.ruleset import RuleSet, load

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RULES = """
title: Somebody else
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a01
logsource: {product: linux}
detection:
    it: {event.action: login}
    known: {user.name|expand: '%on_call%'}
    condition: it and not known
---
title: Watched
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a02
logsource: {product: linux}
detection: {it: {host.name|expand|startswith: '%watched%'}, condition: it}
---
title: Always
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a03
logsource: {product: linux}
detection: {it: {user.name|expand: '%dbas%'}, condition: it}
"""
HOLIDAYS = """
title: Not of the machines that are being built
id: 1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a04
logsource: {product: linux}
filter:
    rules: [1f0d9c1e-7a39-4c1e-9a68-0c3f5f7d2a02]
    building: {host.name|expand: '%building%'}
    condition: not building
"""


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def version(offset: int, minutes: float, *values: str, ends: dict[str, datetime] | None = None) -> Version:
    return Version(offset, at(minutes), values, tuple((ends or {}).get(one) for one in values))


def timeline(*versions: Version) -> Timeline:
    out = Timeline()
    for one in versions:
        out.add(one)
    return out


def ruleset(*files: str) -> RuleSet:
    found = load([(f"{n}.yml", text) for n, text in enumerate(files)], {"dbas": ("dba_ann",)},
                 frozenset({"on_call", "watched", "building"}))  # fmt: skip
    assert not found.errors
    return found


@pytest.mark.parametrize(
    ("minutes", "offset", "values"),
    [
        (-1, NEVER, ()),
        (0, NEVER, ()),  # what comes in the same moment came before
        (0.01, 4, ("ann", "bob")),
        (10, 4, ("ann", "bob")),
        (10.01, 9, ("bob",)),
        (600, 9, ("bob",)),
    ],
)
def test_a_list_is_what_the_last_command_before_that_moment_left(
    minutes: float, offset: int, values: tuple[str, ...]
) -> None:
    found = timeline(version(4, 0, "ann", "bob"), version(9, 10, "bob")).as_of(at(minutes))
    assert (found.offset, found.values) == (offset, values)


def test_a_value_whose_time_is_over_is_in_the_list_no_more_and_no_command_is_needed_for_that() -> None:
    found = timeline(version(4, 0, "ann", "bob", ends={"bob": at(30)}))
    assert found.as_of(at(29)).values == ("ann", "bob")
    assert found.as_of(at(30)).values == ("ann",)
    assert found.as_of(at(29)).hash != found.as_of(at(30)).hash


def test_what_stood_before_the_first_command_that_is_still_known_is_not_taken_for_nothing() -> None:
    found = timeline(version(4, 0, "ann"))
    found.whole = False
    assert found.as_of(at(-60)).values == ("ann",)


def test_what_an_earlier_command_had_left_is_found_by_its_offset() -> None:
    found = timeline(version(4, 0, "ann", ends={"ann": at(5)}), version(9, 10, "bob"))
    reading = found.at(4, at(3))
    assert reading is not None
    assert reading.values == ("ann",)
    assert found.at(7, at(3)) is None
    never = found.at(NEVER, at(3))
    assert never is not None
    assert never.values == ()


def test_rules_stand_together_by_the_lists_that_they_read_and_all_others_apart() -> None:
    rules = ruleset(RULES, HOLIDAYS)
    names = {tuple(sorted(read)): [one.about.title for one in found] for read, found in grouped(rules).items()}
    assert names == {("on_call",): ["Somebody else"], ("building", "watched"): ["Watched"]}
    assert [one.about.title for one in fixed(rules).rules] == ["Always"]


def test_without_such_lists_nothing_is_kept_to_be_read_again_and_the_set_is_the_same() -> None:
    rules = load([("r.yml", RULES)], {"dbas": (), "on_call": (), "watched": ()})
    assert rules.live.files == ()
    assert fixed(rules) is rules
    assert grouped(rules) == {}


def held(rules: RuleSet, lists: dict[str, tuple[str, ...]], **fields: str) -> list[str]:
    found = [one for group in grouped(rules).values() for one in read_again(rules, group, lists)]
    dotted = {name.replace("_", ".", 1): value for name, value in fields.items()}
    hits = Matcher(RuleSet(tuple(found))).match({"event.module": "sshd", "tocsin.class": "auth", **dotted})
    return [hit.rule.about.title for hit in hits]


def test_rules_are_read_again_with_what_their_lists_hold_modifiers_and_filters_included() -> None:
    rules = ruleset(RULES, HOLIDAYS)
    lists = {"on_call": ("ann", "b*"), "watched": ("db-",), "building": ("db-9",)}
    assert held(rules, lists, event_action="login", user_name="eve") == ["Somebody else"]
    assert held(rules, lists, event_action="login", user_name="bob") == []
    assert held(rules, {**lists, "on_call": ()}, event_action="login", user_name="bob") == ["Somebody else"]
    assert held(rules, lists, host_name="db-7") == ["Watched"]
    assert held(rules, lists, host_name="db-9") == []
    assert held(rules, {**lists, "building": ()}, host_name="db-9") == ["Watched"]


def test_a_rule_means_the_same_whatever_its_lists_hold_and_something_else_with_another_list() -> None:
    rules = ruleset(RULES)
    (first,) = grouped(rules)[frozenset({"on_call"})]
    (again,) = read_again(rules, [first], {"on_call": ("ann",), "watched": ()})
    assert again.about == first.about
    assert again.predicate != first.predicate
    (other,) = grouped(ruleset(RULES.replace("%on_call%", "%building%")))[frozenset({"building"})]
    assert other.about.meaning != first.about.meaning


def test_a_rule_that_cannot_be_read_with_its_list_is_absent() -> None:
    text = RULES.replace("user.name|expand: '%on_call%'", "user.name|re|expand: '^%on_call%$'")
    rules = ruleset(text)
    (rule,) = grouped(rules)[frozenset({"on_call"})]
    assert len(read_again(rules, [rule], {"on_call": ("a.*",), "watched": ()})) == 1
    assert read_again(rules, [rule], {"on_call": ("a(",), "watched": ()}) == ()
