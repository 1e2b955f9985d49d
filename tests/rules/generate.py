"""Random rules and events, small enough to meet each other often."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

FIELDS = ("a", "b.c", "d")
_text = st.text(alphabet="aAbB-/*?\\ .1é", max_size=6)
_needle = st.text(alphabet="aAbB*?\\", min_size=1, max_size=4)
_scalar = st.one_of(
    _text,
    st.integers(-2, 12),
    st.sampled_from(["1", "01", "1.0", "10.0.0.1", "10.9.9.9", "true", ""]),
    st.booleans(),
    st.none(),
    st.floats(-2, 2, allow_nan=False).map(lambda x: round(x, 1)),
)
event = st.dictionaries(st.sampled_from(FIELDS), st.one_of(_scalar, st.lists(_scalar, max_size=3)), max_size=3)

_texts = st.one_of(_text, st.lists(_text, min_size=1, max_size=3))
_numbers = st.one_of(st.integers(-2, 12), st.lists(st.integers(-2, 12), min_size=2, max_size=3))
_field = st.sampled_from(FIELDS)


@st.composite
def item(draw: st.DrawFn) -> tuple[str, Any]:
    field = draw(_field)
    kind = draw(st.integers(0, 9))
    neq = draw(st.sampled_from(["", "", "|neq"]))
    if kind == 0:
        return f"{field}|exists", draw(st.booleans())
    if kind == 1:
        return f"{field}|{draw(st.sampled_from(['lt', 'lte', 'gt', 'gte']))}{neq}", draw(_numbers)
    if kind == 2:
        return f"{field}|re{draw(st.sampled_from(['', '|i']))}{neq}", draw(
            st.sampled_from(["a+b", "^A", "b$", "[ab]{2}", "a.b", "", "(a|b)1"])
        )
    if kind == 3:
        return f"{field}|cidr{neq}", draw(st.sampled_from(["10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0"]))
    if kind == 4:
        how = draw(st.sampled_from(["", "|startswith", "|endswith", "|contains"]))
        return f"{field}|fieldref{how}{neq}", draw(_field)
    if kind == 5:
        return f"{field}{neq}", draw(st.one_of(_scalar, st.lists(_scalar, max_size=3)))
    affix = draw(st.sampled_from(["", "|contains", "|startswith", "|endswith"]))
    every = draw(st.sampled_from(["", "|all"]))
    cased = draw(st.sampled_from(["", "", "|cased"]))
    windash = draw(st.sampled_from(["", "", "|windash"]))
    values = draw(_texts)
    return f"{field}{windash}{affix}{every}{cased}{neq}", values


@st.composite
def selection(draw: st.DrawFn) -> Any:
    maps = st.lists(item(), min_size=1, max_size=2).map(dict)
    return draw(st.one_of(maps, maps, st.lists(st.one_of(maps, _needle), min_size=1, max_size=3), _needle))


_condition = st.sampled_from([
    "s1", "not s1", "s1 and s2", "s1 or s2", "s1 and not s2", "1 of s*", "all of them", "not (s1 or _x) and s2",
    "1 of them and not all of s*", "not s1 or s2 and _x", "any of _*",
])  # fmt: skip


@st.composite
def rule(draw: st.DrawFn, number: int = 0) -> dict[str, Any]:
    return {
        "title": f"rule {number}",
        "logsource": {"product": "test"},
        "detection": {
            "s1": draw(selection()),
            "s2": draw(selection()),
            "_x": draw(selection()),
            "condition": draw(st.one_of(_condition, st.lists(_condition, min_size=1, max_size=2))),
        },
    }
