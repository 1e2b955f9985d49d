"""Statement: what is shown of one, so that neither its length nor a comment hides what it does. Pure, linear."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from rules.event import Value

_BLANK: Final = re.compile(r"\s*")
_COMMENT: Final = re.compile(r"/\*(?!M?!).*?\*/|--\s[^\n]*\n", re.DOTALL)


def deed(fields: Mapping[str, Value]) -> str:
    """Return what a statement does, and to what, as its format understood it: `DROP TABLE (ddl): table customer`."""
    kind, named = _text(fields, "tocsin.db.kind"), _text(fields, "db.operation.name")
    does = f"{named} ({kind})" if named and kind else named or kind
    to = " ".join(filter(None, (_text(fields, "tocsin.db.object_type"), _text(fields, "tocsin.db.object"))))
    return f"{does}: {to}" if does and to else does or to


def _text(fields: Mapping[str, Value], name: str) -> str:
    value = fields.get(name)
    found = value if isinstance(value, list) else [value]
    return ", ".join(str(one) for one in found[:20] if one not in (None, ""))


def uncommented(text: str) -> str:
    """Return a statement without the comments that it begins with; `…` stands for them.

    Only what every database passes over goes: not what MySQL runs (`/*!`), and of comments within comments no more than
    the first `*/` ends, since MySQL does not nest them. What is nothing but comments stays.
    """
    start = at = _after(_BLANK, text, 0)
    while (end := _after(_COMMENT, text, at)) > at:
        at = _after(_BLANK, text, end)
    return f"… {text[at:]}" if start < at < len(text) else text


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
