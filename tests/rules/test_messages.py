"""What an author reads: where it is, and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import rulesets
from rules.evaluate import compiled
from rules.faults import Fault
from rules.ruleset import load
from tests.rules.test_faults import GOOD, faults

CORRELATION = "---\ntitle: c\ncorrelation:\n  type: event_count\n  timespan: 1m\n  condition: {gte: 1}\n  rules: "
CHARACTER = "not YAML: found character that cannot start any token"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("detectoin: {s: {a: x}, condition: s}", 4, "a rule: 'detectoin' is not known; 'detection' was meant?"),
        ("detection: {s: {a: x}, conditon: s}", 4, "detection: 'conditon' is not known; 'condition' was meant?"),
        ("levle: high", 4, "warning: 'levle' is not known; 'level' was meant?"),
        ("detection: {sel: {a: x}, condition: sell}", 4, "condition: no selection is named 'sell'; 'sel' was meant?"),
        (
            "detection: {s: {a: x}, condition: s and NOT s}",
            4,
            "condition: no selection is named 'NOT'; keywords are lower case: 'not'; there is s",
        ),
        (
            "detection: {sel_a: {a: x}, condition: 1 of sel}",
            4,
            "condition: '1 of sel' names no selection; 'sel*' was meant?; there is sel_a",
        ),
        ("detection:\n  s:\n\ta: b", 6, f"{CHARACTER}; a tab cannot indent; use spaces"),
        ("detection:\n  s:\n    a: %b%", 6, f"{CHARACTER}; a value that begins with % must be quoted"),
        (
            "detection:\n  s:\n    a: *b",
            6,
            "not YAML: found undefined alias; a value that begins with * must be quoted",
        ),
        (
            "detection:\n  s:\n    a: b: c",
            6,
            "not YAML: mapping values are not allowed in this context; a value that holds ': ' must be quoted",
        ),
        ("detection:\n  s:\n    a: 'b\n  condition: s", 6, "not YAML: a quote opens here and does not close"),
        ("detection:\n  s: &s [*s]\n  condition: s", 5, "an alias stands within what it stands for"),
    ],
)
def test_a_message_says_where_and_what_was_meant(text: str, line: int, said: str) -> None:
    assert f"r.yml:{line}: {said}" in [one[: len(f"r.yml:{line}: {said}")] for one in faults(f"{GOOD}{text}\n")]


@pytest.mark.parametrize(
    ("rule", "named", "line", "said"),
    [
        (
            "detection: {s: {a: x}, condition: s}",
            "[t]",
            11,
            "correlation refers to 't', which is not loaded; that is a title, and an id or a name is meant",
        ),
        (
            "name: login\ndetection: {s: {a: x}, condition: s}",
            "\n    - login\n    - logn",
            14,
            "correlation refers to 'logn', which is not loaded; 'login' was meant?",
        ),
        (
            "name: login\ndetection: {s: {a|x: x}, condition: s}",
            "login",
            12,
            "correlation refers to 'login', which is faulty",
        ),
        (
            "name: l\ndetection: {s: {a: x}, condition: s}",
            "l\n  aliases:\n    u: {m: x}",
            14,
            "alias 'u' refers to 'm', which is not loaded",
        ),
        (
            "name: l\ndetection: {s: {a: x}, condition: s}\n---\n"
            "title: f\nfilter: {rules: gone, s: {a: b}, condition: s}",
            "l",
            8,
            "warning: filter refers to 'gone', which is not loaded",
        ),
    ],
)
def test_a_reference_to_nothing_is_told_where_it_is_made(rule: str, named: str, line: int, said: str) -> None:
    assert f"r.yml:{line}: {said}" in faults(f"{GOOD}{rule}\n{CORRELATION}{named}\n")


def test_a_document_that_is_no_yaml_hides_no_fault_of_the_next() -> None:
    rule = f"{GOOD}detection: {{s: {{a|x: b}}, condition: s}}\n"
    broken = f"{GOOD}detection:\n  s: [\n"
    assert [one.split(":")[1] for one in faults(f"{rule}---\n{broken}---\n{rule}---\n{broken}---\n{rule}")] == [
        *("4", "11", "15", "22", "26"),
    ]  # fmt: skip


def test_a_fault_behind_an_alias_is_told_once_and_where_it_stands() -> None:
    text = f"{GOOD}detection:\n  s: &s\n    a|x: b\n  t: *s\n  u:\n    <<: *s\n    c: d\n  condition: 1 of them\n"
    assert faults(text) == ["r.yml:6: a|x: unknown modifier 'x'"]


def test_merged_keys_give_way_to_those_that_stand_beside_them() -> None:
    text = (
        f"{GOOD}detection:\n  s: &s {{a: x, b: y}}\n  t: &t {{b: z, c: w}}\n"
        "  u:\n    <<: [*s, *t]\n    a: own\n  condition: u and (s or t or u)\n"
    )
    ruleset = load([("r.yml", text)], {})
    assert not ruleset.faults
    holds = compiled(ruleset.rules[0].predicate)
    assert holds({"a": "own", "b": "y", "c": "w"})
    assert not holds({"a": "x", "b": "y", "c": "w"})
    assert not holds({"a": "own", "b": "z", "c": "w"})


def test_files_have_any_line_ends_and_a_byte_order_mark_and_say_where_they_are_not_utf_8(
    tmp_path: Path,
) -> None:
    rule = f"{GOOD}detection:\n  s: {{a|x: b}}\n  condition: s\n"
    (tmp_path / "bom.yml").write_bytes(b"\xef\xbb\xbf" + rule.replace("\n", "\r\n").encode())
    (tmp_path / "latin.yml").write_bytes(rule.replace("b}", "\u00e9}").encode("latin-1"))
    found: list[Fault] = []
    said = load(rulesets.sources([str(tmp_path)], found), {}).faults
    assert [str(one).rpartition("/")[2] for one in (*found, *said)] == [
        "latin.yml:5: cannot be read: byte 0xe9 is not UTF-8",
        "bom.yml:5: a|x: unknown modifier 'x'",
    ]
