"""What pySigma refuses is refused: each valid document with one part gone, or replaced by what does not belong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from rules.ruleset import load

BASE: dict[str, Any] = {
    "title": "B", "name": "base", "logsource": {"product": "x"}, "detection": {"s": {"a": "b"}, "condition": "s"},
}  # fmt: skip
OTHER = BASE | {"title": "O", "name": "other"}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "rule": {
        "title": "T",
        "logsource": {"product": "windows", "category": "process_creation", "service": "x"},
        "detection": {
            "item": {"a|contains|all": ["x", "y"], "b": 5},
            "keywords": ["foo", "bar"],
            "maps": [{"c": "d"}, {"e|re": "f.*"}],
            "condition": "item and keywords and maps",
        },
    },
    "correlation": {
        "title": "C",
        "correlation": {
            "type": "value_count",
            "rules": ["base", "other"],
            "group-by": ["u"],
            "timespan": "10m",
            "generate": True,
            "condition": {"gte": 3, "field": "f"},
            "aliases": {"u": {"base": "x", "other": "y"}},
        },
    },
    "condition in words": {
        "title": "C",
        "correlation": {
            "type": "temporal",
            "rules": ["base", "other"],
            "group-by": ["u"],
            "timespan": "10m",
            "condition": "base and not other",
        },
    },
    "filter": {
        "title": "F",
        "logsource": {"product": "x"},
        "filter": {"rules": ["base"], "selection": {"u|startswith": "adm"}, "condition": "not selection"},
    },
}
VALUES: list[Any] = [
    None,
    "",
    [],
    {},
    1.5,
    True,
    "text",
    ["l"],
    ["l", 5],
    [None],
    {"k": "v"},
    [["n"]],
    [{"k": "v"}],
    -1,
]
LEFT_TO_LINTS = ("SigmaTitleError", "Sigma filter must have a log source", "filter rules field must be")


def places(part: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, inner in pairs:
        yield (*at, name)
        yield from places(inner, (*at, name))


def changed(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for place in places(document):
        for value in ("absent", *VALUES):
            out = copy.deepcopy(document)
            inner: Any = out
            for name in place[:-1]:
                inner = inner[name]
            if value == "absent":
                del inner[place[-1]]
            else:
                inner[place[-1]] = value
            yield f"{'.'.join(map(str, place))} is {value!r}", out


def refused(text: str) -> str | None:
    """What pySigma says against it."""
    try:
        for rule in SigmaCollection.from_yaml(text).rules:
            for condition in rule.detection.parsed_condition if isinstance(rule, SigmaRule) else ():
                condition.parse()
    except SigmaError as error:
        return f"{type(error).__name__}: {error}"
    except (AttributeError, TypeError, KeyError) as error:  # it stumbles over some
        return repr(error)
    return None


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_what_pysigma_refuses_is_refused(document: dict[str, Any]) -> None:
    checked = 0
    for what, one in changed(document):
        text = yaml.safe_dump_all([BASE, OTHER, one])
        theirs = refused(text)
        if theirs is not None and not any(left in theirs for left in LEFT_TO_LINTS):
            assert load([("r.yml", text)], {}).errors, f"{what}: {theirs}"
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS.keys())
def test_a_whole_document_loads_and_so_does_one_with_words_of_its_own(document: dict[str, Any]) -> None:
    assert not load([("r.yml", yaml.safe_dump_all([BASE, OTHER, document]))], {}).faults
    own = document | {"mine": {"a": [1]}, "custom": "x", "taxonomy": "sigma"}
    assert not load([("r.yml", yaml.safe_dump_all([BASE, OTHER, own]))], {}).errors


MODIFIERS = (
    *("contains", "startswith", "endswith", "all", "cased", "neq", "re", "i", "m", "s", "cidr", "base64", "wide"),
    *("base64offset", "utf16be", "utf16", "windash", "lt", "gte", "exists", "expand", "fieldref", "hour", "week", "no"),
)
TAKEN = ("f|expand", "f|re|", "f|fieldref|cased")  # a number among a list's entries; an affix beside a search
PLAIN = ["x", "a*b", 5, "5", True, "10.0.0.0/8", "10.0.0.1/8", "-a", 1.5, ["x", "y"], ["x", 5], [5, 6]]


@pytest.mark.slow
def test_modifiers_that_pysigma_refuses_in_this_order_or_for_this_value_are_refused() -> None:
    """But `all` and `neq` stand anywhere, and a few are TAKEN all the same."""
    for first in ("", *MODIFIERS):
        for second in MODIFIERS:
            for value in PLAIN:
                chain = "|".join(filter(None, ("f", first, second)))
                detection = {"s": {chain: value}, "condition": "s"}
                text = yaml.safe_dump(BASE | {"detection": detection})
                ours = load([("r.yml", text)], {}).errors
                if not ours and first not in ("all", "neq") and not chain.startswith(TAKEN):
                    assert refused(text) is None, (chain, value)


@pytest.mark.parametrize("chain", ["utf16|wide", "wide|utf16be", "base64|utf16|utf16", "wide|base64|wide"])
@pytest.mark.parametrize("value", ["x", "\u00e9", "\\ud800", ""])
def test_no_encoding_of_an_encoding_stops_the_load(chain: str, value: str) -> None:
    text = f'title: t\nlogsource: {{product: x}}\ndetection: {{s: {{"f|{chain}": "{value}"}}, condition: s}}\n'
    found = load([("bad.yml", text), ("good.yml", yaml.safe_dump(BASE))], {})
    assert [rule.about.title for rule in found.rules][-1] == "B"
