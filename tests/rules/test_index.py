"""The index narrows, and never rules out what holds: events made of the rule's own value, spelt in many ways."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.compile import Index
from rules.evaluate import compiled
from rules.ruleset import load
from rules.sieve import Sieve

REGEXES = [
    *("a{0,2}bc", "(ab)*c", "x?y+z", "(foo|ba[rz]) ?qux", "^k[0-9]{2}$", "s+k", "(?:one|two){2}", "\\bword\\b", "a|bb"),
    *(
        "[ab]cd",
        "ab.{3}cd",
        "(a(b)?c)+d",
        "x{3,5}",
        "(?i)kiss",
        "\\d+ms",
        "[^a]bc",
        "a?b?c?",
        "(|x)y",
        "ab*?c",
        "\\.exe$",
    ),
]
ODD = ["K", "\u212a", "\u017f", "\u0130", "\u00e9", "\u00c9", "\ud800", "\x02", "\x03", '"', "\\", "/", "\n", "\x00"]
TEXTS = [
    "kiss",
    "Sk",
    "5",
    "-1.5",
    "1e3",
    "a b",
    "\u00e9t\u00e9",
    "a\\b",
    'say "x"',
    "c:\\a/b",
    "*",
    "a*c?",
    "",
    "\x02a\x03",
]
AFFIXES = [
    "",
    "|contains",
    "|startswith",
    "|endswith",
    "|contains|all",
    "|cased",
    "|contains|cased",
    "|neq",
    "|windash",
]


@st.composite
def item(draw: st.DrawFn) -> tuple[str, Any]:
    field = draw(st.sampled_from(["f", "f", "f", ""]))
    if draw(st.booleans()):
        flags = draw(st.sampled_from(["", "|i", "|s", "|i|m"]))
        return f"{field}|re{flags}", draw(st.lists(st.sampled_from(REGEXES), min_size=1, max_size=3))
    affix = draw(st.sampled_from(AFFIXES)) if field else ""
    values = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3)
    if field and not affix:
        number = st.one_of(st.integers(-3, 12), st.sampled_from([1.5, 1000, 4625, -0.0, 10**20]))
        values = st.lists(
            st.one_of(number, number, st.sampled_from(TEXTS), st.booleans(), st.none()), min_size=1, max_size=3
        )
    return f"{field}{affix}", draw(values)


def spelt(draw: st.DrawFn, value: Any, *, regex: bool) -> Any:
    """The value as an event may hold it, or nearly."""
    if not isinstance(value, str):
        ways = [value, str(value), [value, "z"], f"{value}.0", [None, str(value)]]
        return (
            draw(st.sampled_from(ways)) if not isinstance(value, bool) else draw(st.sampled_from([value, str(value)]))
        )
    text = draw(st.from_regex(value)) if regex else value.replace("*", draw(st.sampled_from(["", "x", "\u00e9"])))
    text = draw(st.sampled_from([text, text.upper(), text.replace("k", "\u212a").replace("s", "\u017f"), text[:-1]]))
    text = draw(st.sampled_from(["", *ODD])) + text + draw(st.sampled_from(["", *ODD]))
    return draw(st.sampled_from([text, text, ["q", text], [text[:1], text[1:]], f"{text}{'-' * 9000}"]))


def record_of(draw: st.DrawFn, event: dict[str, Any]) -> bytes:
    """JSON as some writer spells it: characters as they are, or any of them escaped."""
    if draw(st.booleans()):
        return json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    plain = json.dumps(event, ensure_ascii=True).replace("/", "\\/")
    return (
        plain.replace("k", "\\u006b")
        .replace("a", draw(st.sampled_from(["a", "\\u0061"])))
        .replace("f\\u0061lse", "false")
        .encode()
    )


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(st.lists(item(), min_size=1, max_size=4), st.data())
def test_what_holds_is_never_ruled_out(items: list[tuple[str, Any]], data: st.DataObject) -> None:
    documents = [
        {"title": f"r{n}", "logsource": {"product": "x"}, "detection": {"s": {key: value}, "condition": "s"}}
        for n, (key, value) in enumerate(items)
    ]
    ruleset = load([("r.yml", yaml.safe_dump_all(documents, allow_unicode=True))], {})
    index = Index([(rule.predicate, rule.about.title) for rule in ruleset.rules])
    sieve = Sieve(Index([(rule.predicate, rule.about.title) for rule in ruleset.rules]), {}, msgspec.json.decode)
    key, values = data.draw(st.sampled_from(items))
    value = data.draw(st.composite(spelt)(data.draw(st.sampled_from(values)), regex="|re" in key))
    event = {data.draw(st.sampled_from(["f", "f", "g"])): value}
    held = {rule.about.title for rule in ruleset.rules if compiled(rule.predicate)(event)}
    assert held <= set(index.candidates(event))
    record = data.draw(st.composite(record_of)(event))
    try:
        event = msgspec.json.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # half a surrogate pair
    held = {rule.about.title for rule in ruleset.rules if compiled(rule.predicate)(event)}
    read = sieve.read(record)
    triggered = sieve.narrow(read, record)
    assert held <= set(sieve.caught(triggered, read, record)[0] if triggered else ())
