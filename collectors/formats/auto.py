"""Any line of any format that we know: the first bytes say which to ask, and in which order."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]", re.ASCII)


def candidates(text: str) -> tuple[str, ...]:
    """Return the formats that a record may be of, by how it begins; the likelier first."""
    first = text[:1]
    if first == "{":
        return ("postgresql-json",)
    if text.startswith("AUDIT: "):
        return ("pgaudit",)
    if _DATE.match(text):
        return ("postgresql", "syslog")
    return ("syslog", "postgresql", "sshd")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event by the first format that understands the record. Raises ParseError if none does."""
    from collectors.formats.registry import FORMATS  # noqa: PLC0415  the registry names this module

    for name in candidates(text):
        try:
            return FORMATS[name].parse(text, ctx)
        except ParseError:
            continue
    raise ParseError("no format that we know")


def continues(first: str, line: str) -> bool:
    """Say whether `line` continues `first`, as the format that `first` seems to be has it."""
    from collectors.formats.registry import FORMATS  # noqa: PLC0415

    rule = FORMATS[candidates(first)[0]].continues
    return rule is not None and rule(first, line)


FORMAT = Format("auto", parse, continues)
