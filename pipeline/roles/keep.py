"""Keep: whole segments of the stream and whole indexes go when their time is over, and never before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

_EVERY = timedelta(minutes=1)


class Keep:
    """Calls each of `trims` once a minute with the moment; each returns how many files or indexes it dropped."""

    name = "keep"

    def __init__(self, trims: Sequence[Callable[[datetime], int]]) -> None:
        self._trims = trims
        self._last: datetime | None = None

    def step(self, now: datetime) -> bool:
        if self._last is not None and abs(now - self._last) < _EVERY:
            return False
        self._last = now
        for trim in self._trims:
            trim(now)
        return False

    def close(self) -> None:
        """What is trimmed is the caller's to close."""
