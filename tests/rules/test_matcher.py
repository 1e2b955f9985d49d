"""The matcher over records of the stream: the same rules as for an event's fields, whatever came before."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.matcher import Matcher
from rules.ruleset import load
from tests.properties import examples

_NAMES = ("event.category", "event.module", "process.name", "user.name", "event.dataset", "n", "message")
_WORDS = st.sampled_from(
    ["authentication", "process", "sshd", "cron", "root", "linux.x", "a", "A*", "1", 1, True, None]
)
_EVENT = st.dictionaries(st.sampled_from(_NAMES), st.one_of(_WORDS, st.lists(_WORDS, max_size=3)), max_size=6)
_SOURCES = (
    "{category: application}",
    "{product: linux}",
    "{category: authentication}",
    "{service: sshd}",
    "{service: cron}",
    "{category: process_creation}",
)
_SELECTIONS = (
    "{event.category: authentication}",
    "{event.category: process, user.name: root}",
    "{event.module|contains: s, process.name: [cron, root]}",
    "{n: 1}",
    "{n|gte: 1}",
    "{user.name|neq: root}",
    "{user.name|re: '^r.*t$'}",
    "[root, 'cro?']",
    "{event.category|exists: true, message: null}",
    "{message|fieldref: user.name}",
)
_RULES = "---\n".join(
    f"title: r{n}-{m}\nlogsource: {source}\ndetection: {{s: {selection}, condition: s}}\n"
    for n, source in enumerate(_SOURCES)
    for m, selection in enumerate(_SELECTIONS)
)
RULES = load([("r.yml", _RULES)], {})


def titles(hits: Any) -> list[str]:
    return [hit.rule.about.title for hit in hits]


@settings(max_examples=examples(200))
@given(st.lists(_EVENT, min_size=1, max_size=30))
def test_a_record_is_judged_as_its_fields_are_whatever_came_before_it(events: list[dict[str, Any]]) -> None:
    assert not RULES.errors
    matcher, plain = Matcher(RULES, ["tocsin.writer"]), Matcher(RULES)
    for event in events:
        assert titles(matcher.match_json(msgspec.json.encode(event))[0]) == titles(plain.match(event))


def _many() -> list[dict[str, Any]]:
    """Enough records that triggers are learnt, twice, with common and rare ones among them."""
    return [
        {
            "event.category": ["process"] if number % 3 else ["authentication"],
            "event.module": ("sshd", "auditd", "cron")[number % 3],
            "user.name": "root" if number % 5 == 0 else f"u{number}",
            "message": "cron" if number % 7 == 0 else "nothing",
            "n": number % 11,
        }
        for number in range(2_000)
    ]


def test_what_is_learnt_after_many_records_changes_nothing() -> None:
    matcher, plain = Matcher(RULES), Matcher(RULES)
    for event in _many():
        assert titles(matcher.match_json(msgspec.json.encode(event))[0]) == titles(plain.match(event))


def test_a_record_that_was_read_before_something_was_learnt_is_judged_the_same() -> None:
    matcher, plain = Matcher(RULES), Matcher(RULES)
    records = [msgspec.json.encode(event) for event in _many()]
    early = [matcher.read(record) for record in records]
    for event, read, record in zip(_many(), early, records, strict=True):
        assert titles(matcher.match_read(read, record)[0]) == titles(plain.match(event))


def test_the_record_at_which_something_is_learnt_is_judged_the_same() -> None:
    """It was read for what was waited for until then: here a long text that is everywhere, later the short one."""
    detection = "{s: {x: everywhere to be found, y: b}, condition: s}"
    rule = f"title: t\nlogsource: {{category: application}}\ndetection: {detection}\n"
    for phase in range(4):
        matcher = Matcher(load([("r.yml", rule)], {}))
        for number in range(600):
            event = {"x": "everywhere to be found", "y": "b" if (number + phase) % 4 == 0 else "a"}
            assert bool(matcher.match_json(msgspec.json.encode(event))[0]) is (event["y"] == "b")
