"""The matcher over records of the stream: the same rules as for an event's fields, whatever came before."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.matcher import Matcher
from rules.ruleset import load

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


@settings(max_examples=200, deadline=None)
@given(st.lists(_EVENT, min_size=1, max_size=30))
def test_a_record_is_judged_as_its_fields_are_whatever_came_before_it(events: list[dict[str, Any]]) -> None:
    assert not RULES.errors
    matcher, plain = Matcher(RULES, ["tocsin.writer"]), Matcher(RULES)
    for event in events:
        assert titles(matcher.match_json(msgspec.json.encode(event))[0]) == titles(plain.match(event))


def test_what_is_learnt_after_many_records_changes_nothing() -> None:
    """Enough records that triggers are learnt, twice, with common and rare ones among them."""
    matcher, plain = Matcher(RULES), Matcher(RULES)
    for number in range(2_000):
        event: dict[str, Any] = {
            "event.category": ["process"] if number % 3 else ["authentication"],
            "event.module": ("sshd", "auditd", "cron")[number % 3],
            "user.name": "root" if number % 5 == 0 else f"u{number}",
            "message": "cron" if number % 7 == 0 else "nothing",
            "n": number % 11,
        }
        assert titles(matcher.match_json(msgspec.json.encode(event))[0]) == titles(plain.match(event))
