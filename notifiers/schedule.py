"""Time intervals for routes, in Alertmanager's words: fields are all to hold, their lists any. Pure.

Two differences, both against misreading: the zone must be stated (`location`), and a range of times may go past
midnight (22:00 to 06:00 belongs to the day on which it began).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from notifiers.route import RouteError

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = tuple(name.lower() for name in calendar.month_name[1:])
_KNOWN: Final = frozenset({"times", "weekdays", "days_of_month", "months", "years", "location"})


@dataclass(frozen=True, slots=True)
class Interval:
    """One entry of `time_intervals`; an empty field holds always. Ranges include both ends, times the first only."""

    zone: ZoneInfo
    times: tuple[tuple[int, int], ...] = ()  # minutes of the day
    weekdays: tuple[tuple[int, int], ...] = ()  # Monday is 0
    days: tuple[tuple[int, int], ...] = ()  # of the month; -1 is the last
    months: tuple[tuple[int, int], ...] = ()
    years: tuple[tuple[int, int], ...] = ()

    def holds(self, moment: datetime) -> bool:
        """Say whether the moment is within, by the wall clock of the zone."""
        local = moment.astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if not self.times:
            return self._date(local)
        for start, end in self.times:
            if start < end:
                if start <= minute < end and self._date(local):
                    return True
            elif (minute >= start and self._date(local)) or (minute < end and self._date(local - timedelta(days=1))):
                return True
        return False

    def _date(self, local: datetime) -> bool:
        last = calendar.monthrange(local.year, local.month)[1]
        return (
            _within(self.weekdays, local.weekday())
            and _within(self.months, local.month)
            and _within(self.years, local.year)
            and (not self.days or any(_from_end(a, last) <= local.day <= _from_end(b, last) for a, b in self.days))
        )


def _within(ranges: Sequence[tuple[int, int]], value: int) -> bool:
    return not ranges or any(start <= value <= end for start, end in ranges)


def _from_end(day: int, last: int) -> int:
    return day if day > 0 else last + 1 + day


def parse(raw: object, where: str = "time_intervals") -> dict[str, tuple[Interval, ...]]:
    """Return the named intervals of a config: `[{name:, time_intervals: [...]}]`. Raises RouteError."""
    if not isinstance(raw, list):
        raise RouteError(where, "expected a list of {name, time_intervals}")
    named: dict[str, tuple[Interval, ...]] = {}
    for number, one in enumerate(raw):
        place = f"{where}[{number}]"
        if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
            raise RouteError(place, "expected a name and its time_intervals")
        listed = one.get("time_intervals")
        if not isinstance(listed, list) or not listed:
            raise RouteError(f"{place}.time_intervals", "expected a list")
        if one["name"] in named:
            raise RouteError(f"{place}.name", f"a second interval named {one['name']!r}")
        named[one["name"]] = tuple(_interval(each, f"{place}.time_intervals[{n}]") for n, each in enumerate(listed))
    return named


def _interval(raw: object, where: str) -> Interval:
    if not isinstance(raw, Mapping):
        raise RouteError(where, "expected times, weekdays, days_of_month, months, years and location")
    node = cast("Mapping[str, object]", raw)
    for name in node:
        if name not in _KNOWN:
            raise RouteError(f"{where}.{name}", f"unknown key, expected one of {', '.join(sorted(_KNOWN))}")
    if not isinstance(node.get("location"), str):
        raise RouteError(
            f"{where}.location", "expected a zone, such as Europe/Berlin or UTC: times mean nothing without"
        )
    try:
        zone = ZoneInfo(str(node["location"]))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise RouteError(f"{where}.location", f"no zone named {node['location']!r}") from error
    return Interval(
        zone,
        tuple(_times(node.get("times"), f"{where}.times")),
        tuple(_ranges(node.get("weekdays"), f"{where}.weekdays", _DAYS, 0)),
        tuple(_ranges(node.get("days_of_month"), f"{where}.days_of_month", (), 0)),
        tuple(_ranges(node.get("months"), f"{where}.months", _MONTHS, 1)),
        tuple(_ranges(node.get("years"), f"{where}.years", (), 0)),
    )


def _times(raw: object, where: str) -> Iterator[tuple[int, int]]:
    for one in raw if isinstance(raw, list) else []:
        if not isinstance(one, Mapping) or set(one) != {"start_time", "end_time"}:
            raise RouteError(where, "expected {start_time: HH:MM, end_time: HH:MM}")
        start, end = _minute(one["start_time"], where), _minute(one["end_time"], where)
        if start == end:
            raise RouteError(where, "the range is empty")
        yield start, end


def _minute(raw: object, where: str) -> int:
    found = re.fullmatch(r"([01]\d|2[0-4]):([0-5]\d)", str(raw))
    if found is None or (found[1] == "24" and found[2] != "00"):
        raise RouteError(where, f"{raw!r} is no time of day; write HH:MM, up to 24:00, in quotes")
    return int(found[1]) * 60 + int(found[2])


def _ranges(raw: object, where: str, names: Sequence[str], first: int) -> Iterator[tuple[int, int]]:
    for one in raw if isinstance(raw, list) else []:
        start, _, end = str(one).lower().partition(":")
        low, high = _number(start, where, names, first), _number(end or start, where, names, first)
        if low > high and (low > 0) == (high > 0):
            raise RouteError(where, f"{one!r} ends before it begins")
        yield low, high


def _number(text: str, where: str, names: Sequence[str], first: int) -> int:
    if text in names:
        return names.index(text) + first
    if re.fullmatch(r"-?\d{1,4}", text) is None or (names and first == 0):
        raise RouteError(where, f"{text!r} is not expected here")
    return int(text)
