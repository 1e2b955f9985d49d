"""How a value of an event is read: as text, as a number, as one value or several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import repeat

from rules.event import Scalar, Value

_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NESTED = frozenset((dict, list))
_LONGEST = 100  # no number is written longer; keeps the test cheap on long texts


def text_of(value: Scalar) -> str | None:
    """Return the value's text; null has none."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def number_of(value: Scalar) -> int | float | None:
    """Return the value as a number, be it one or a text that reads as one; a boolean is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST or _NUMBER.fullmatch(value) is None:
        return None
    return int(value) if value.lstrip("+-").isdigit() else float(value)


def flatten(event: Mapping[str, object]) -> dict[str, Value]:
    """Return a nested event with dotted names; what is already flat stays, lists of objects become lists of values."""
    out: dict[str, Value] = {}
    stack: list[tuple[str, Iterator[tuple[str, object]]]] = [("", iter(event.items()))]
    while stack:
        prefix, rest = stack[-1]
        for key, value in rest:
            name = prefix + key
            kind = type(value)
            if kind is not dict and kind is not list and name not in out:  # the usual case, without detours
                out[name] = value  # type: ignore[assignment]
            elif value == {}:
                out.setdefault(name, [])  # there, and nothing in it
            elif isinstance(value, dict):
                stack.append((f"{name}.", iter(value.items())))
                break
            elif isinstance(value, list) and not _NESTED.isdisjoint(map(type, value)):
                stack.append((name, zip(repeat(""), value)))
                break
            else:
                out[name] = _merged(out[name], value) if name in out else value  # type: ignore[assignment]
        else:
            stack.pop()
    return out


def _merged(old: Value, new: object) -> list[Scalar]:
    """Add a later value of the same name; `old` becomes ours once it is a list."""
    both = old if isinstance(old, list) else [old]
    both.extend(new if isinstance(new, list) else [new])  # type: ignore[list-item]
    return both
