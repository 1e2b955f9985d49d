"""What a config's values may be: durations, sizes, and a model that refuses keys it does not know."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 36500 * _UNITS["d"]  # what can still be counted back from now
_SIZES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def duration(value: object) -> object:
    """Return `7d`, `10s`, `1h30m` as a timedelta."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"(\d+)(ms|[smhdw])", value)
    if not parts or "".join(n + u for n, u in parts) != value:
        raise ValueError(f"{value!r} is no duration; write 10s, 5m, 1h30m or 7d")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise ValueError(f"{value!r} is longer than a century; write 36500d")
    return timedelta(seconds=seconds)


def size(value: object) -> object:
    """Return `1GiB`, `512MiB` as bytes; a share of the disk (`10%`) stays a text."""
    if not isinstance(value, str) or re.fullmatch(r"\d{1,2}%", value):
        return value
    found = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB|TiB)", value)
    if found is None:
        raise ValueError(f"{value!r} is no size; write 512MiB, 1GiB or 10%")
    return int(found[1]) * _SIZES[found[2]]


Duration = Annotated[timedelta, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
SizeOrShare = Annotated[int | str, BeforeValidator(size)]

Environment = Literal["production", "staging", "development", "unknown"]
Priority = Annotated[
    Literal["first", "normal", "last"] | None,
    Field(
        description="in the journal: `first` is sent first and always has room; by kind and format if absent "
        "(log-ins and databases first, metrics last)"
    ),
]


class Model(BaseModel):
    """A key that is not known is a fault, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)
