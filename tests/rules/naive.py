"""A second reading of Sigma, as plain as can be: it shares no code with rules/, and is there to disagree with it."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import re
from collections.abc import Mapping
from typing import Any

DASHES = ["-", "/", "\u2013", "\u2014", "\u2015"]


def matches(rule: Mapping[str, Any], event: Mapping[str, Any], lists: Mapping[str, list[str]] | None = None) -> bool:
    detection = dict(rule["detection"])
    condition = detection.pop("condition")
    conditions = condition if isinstance(condition, list) else [condition]
    truths = {name: _selection(body, event, lists or {}) for name, body in detection.items()}
    return any(_condition(text, truths) for text in conditions)


def _condition(text: str, truths: Mapping[str, bool]) -> bool:
    def of(found: re.Match[str]) -> str:
        pattern = found[2]
        names = [
            name
            for name in truths
            if (pattern == "them" and not name.startswith("_"))
            or (
                re.fullmatch(pattern.replace("*", ".*"), name) and (pattern.startswith("_") or not name.startswith("_"))
            )
        ]
        values = [truths[name] for name in names]
        return " True " if (all(values) if found[1] == "all" else any(values)) else " False "

    text = re.sub(r"\b(1|any|all) of ([\w*]+)", of, text)
    words = re.findall(r"[()]|[\w.-]+", text)
    known = {"and", "or", "not", "(", ")", "True", "False"}
    return bool(eval(" ".join(word if word in known else str(truths[word]) for word in words)))


def _selection(body: Any, event: Mapping[str, Any], lists: Mapping[str, list[str]]) -> bool:
    if isinstance(body, dict):
        return all(_item(key, value, event, lists) for key, value in body.items())
    if isinstance(body, list):
        return any(_selection(part, event, lists) for part in body)
    return _item("", body, event, lists)


def _item(key: str, value: Any, event: Mapping[str, Any], lists: Mapping[str, list[str]]) -> bool:
    field, *modifiers = key.split("|")
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not value:
        values = [None]
    results = [_value(field, modifiers, one, event, lists) for one in values]
    held = all(results) if "all" in modifiers else any(results)
    return held is not ("neq" in modifiers)


def _value(
    field: str, modifiers: list[str], value: Any, event: Mapping[str, Any], lists: Mapping[str, list[str]]
) -> bool:
    if "exists" in modifiers:
        return (field in event) is value
    if field:
        found = event.get(field)
        candidates = found if isinstance(found, list) and found else [None] if isinstance(found, list) else [found]
    else:
        candidates = [x for v in event.values() for x in (v if isinstance(v, list) else [v])]
    if "fieldref" in modifiers:
        other = event.get(value)
        others = other if isinstance(other, list) else [other]
        return any(_referred(modifiers, a, b) for a in candidates for b in others)
    tests = [_test(modifiers, value, keyword=not field, text=text) for text in _texts(modifiers, value, lists)]
    return any(test(one) for test in tests for one in candidates)


def _referred(modifiers: list[str], a: Any, b: Any) -> bool:
    left, right = _as_text(a), _as_text(b)
    if left is None or right is None:
        return False
    if "cased" not in modifiers:
        left, right = left.lower(), right.lower()
    if "startswith" in modifiers:
        return left.startswith(right)
    if "endswith" in modifiers:
        return left.endswith(right)
    return right in left if "contains" in modifiers else left == right


def _texts(modifiers: list[str], value: Any, lists: Mapping[str, list[str]]) -> list[Any]:
    if not isinstance(value, str):
        return [value]
    texts = [value]
    if "expand" in modifiers:
        parts = re.split(r"%([\w.-]+)%", value)
        choices = [[part] if place % 2 == 0 else lists[part] for place, part in enumerate(parts)]
        texts = ["".join(choice) for choice in itertools.product(*choices)]
    for modifier in modifiers:
        if modifier in ("wide", "utf16le"):
            texts = [_unescape(text).encode("utf-16-le").decode("latin-1") for text in texts]
        elif modifier == "base64":
            texts = [base64.b64encode(_unescape(text).encode("latin-1")).decode() for text in texts]
        elif modifier == "windash":
            texts = [out for text in texts for out in _dashed(text)]
    return texts


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\*?])", r"\1", text)


def _dashed(text: str) -> list[str]:
    parts = re.split(r"\B[-/]\b", text)
    return [
        "".join(a + b for a, b in itertools.zip_longest(parts, dashes, fillvalue=""))
        for dashes in itertools.product(DASHES, repeat=len(parts) - 1)
    ]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    return float(value) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", str(value), re.ASCII) else None


def _test(modifiers: list[str], value: Any, *, keyword: bool, text: Any) -> Any:
    for op in ("lt", "lte", "gt", "gte"):
        if op in modifiers:
            return lambda one: (
                (n := _as_number(one)) is not None
                and {"lt": n < value, "lte": n <= value, "gt": n > value, "gte": n >= value}[op]
            )
    if "re" in modifiers:
        flags = re.ASCII | (re.IGNORECASE if "i" in modifiers else 0)
        return lambda one: (said := _as_text(one)) is not None and re.search(str(value), said, flags) is not None
    if "cidr" in modifiers:
        return lambda one: _is_address(one) and ipaddress.ip_address(one) in ipaddress.ip_network(value)
    if value is None:
        return lambda one: one is None
    if isinstance(value, bool):
        return lambda one: one is value or (isinstance(one, str) and one.lower() == str(value).lower())
    if isinstance(value, (int, float)) and not keyword:
        return lambda one: _as_number(one) == value
    regex = _regex(str(text))
    if keyword or "contains" in modifiers:
        regex = f".*{regex}.*"
    if "startswith" in modifiers:
        regex = f"{regex}.*"
    if "endswith" in modifiers:
        regex = f".*{regex}"
    flags = re.DOTALL | (0 if "cased" in modifiers else re.IGNORECASE)
    return lambda one: (said := _as_text(one)) is not None and re.fullmatch(regex, said, flags) is not None


def _is_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _regex(text: str) -> str:
    out = ""
    at = 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in "\\*?":
            out += re.escape(text[at + 1])
            at += 2
            continue
        out += {"*": ".*", "?": "."}.get(text[at], re.escape(text[at]))
        at += 1
    return out
