"""JSON at the door: text -> objects, whatever it holds. Its keys and values are the sender's."""

from __future__ import annotations

from typing import Final

import msgspec

from collectors.formats import ParseError
from rules.event import Scalar, Value

_DECODER: Final = msgspec.json.Decoder()
_DEEPEST: Final = 24  # what is nested deeper is kept as text: an index would refuse it


def object_of(text: str) -> dict[str, object]:
    """Return the one JSON object that `text` is. Raises ParseError for anything else, nested beyond reason too."""
    try:
        found = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ParseError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ParseError("no JSON object")
    return found


def flat(record: dict[str, object], prefix: str = "") -> dict[str, Value]:
    """Return an object's leaves under dotted names; a list of plain values stays one, others become text."""
    out: dict[str, Value] = {}
    stack: list[tuple[str, object, int]] = [(f"{prefix}{name}", value, 0) for name, value in reversed(record.items())]
    while stack:
        name, value, depth = stack.pop()
        if isinstance(value, dict) and value and depth < _DEEPEST:
            stack += [(f"{name}.{key}", inner, depth + 1) for key, inner in reversed(value.items())]
        else:
            out[name] = scalar_or_list(value)
    return out


def scalar_or_list(value: object) -> Value:
    """Return a JSON value as a field may hold it."""
    if isinstance(value, list):
        return [_scalar(item) for item in value]
    return _scalar(value)


def _scalar(value: object) -> Scalar:
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, RecursionError, ValueError):
        return str(type(value).__name__)
