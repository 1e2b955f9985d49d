"""Retention: whole indexes go, by class and day, when their time is over or the disk's share is used up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from pipeline.indexes import Retained
from rules.event import EventClass

_DAY = timedelta(days=1)


def expire(index: Retained, keep: Mapping[EventClass, timedelta], now: datetime) -> int:
    """Drop each class's days that ended longer ago than it is kept, and return how many indexes went."""
    present = {event_class for event_class, _, _ in index.days()}
    return sum(index.drop(one, first_kept(time, now)) for one, time in keep.items() if one in present)


def first_kept(time: timedelta, now: datetime) -> date:
    """Return the first day of which any moment is still to be kept."""
    return (now.astimezone(UTC) - time).date()


def shrink(index: Retained, limit_bytes: int, now: datetime) -> int:
    """Drop the oldest days until all indexes together are within the limit, and return how many went.

    Today's indexes stay, whatever their size: they are being written.
    """
    today = now.astimezone(UTC).date()
    days = index.days()
    excess = sum(size for _, _, size in days) - limit_bytes
    dropped = 0
    for event_class, day, size in days:
        if excess <= 0 or day >= today:
            break
        dropped += index.drop(event_class, day + _DAY)
        excess -= size
    return dropped
