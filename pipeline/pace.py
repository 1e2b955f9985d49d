"""How far what can wait may run ahead of whoever judges it, so that what cannot is not behind it in the line. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class Pace:
    """Holds while more than `ahead` records are unjudged, as long as the judge moves or has just been looked at.

    A judge that stands still for `patience` is not there; then everything is taken in, for it waits safely.
    """

    ahead: int = 6_000
    patience: timedelta = timedelta(seconds=30)
    _judged: int = -1
    _moved: datetime | None = None

    def holds(self, records: int, judged: int, now: datetime) -> bool:
        if judged != self._judged or self._moved is None or now < self._moved:
            self._judged, self._moved = judged, now
        return records - judged > self.ahead and abs(now - self._moved) < self.patience
