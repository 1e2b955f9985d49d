"""Times as logs write them -> aware moments in UTC.

A leap second (:60) is the next minute's first, as POSIX counts. A stamp without a year is of the latest year in
which it is not in the future, where "future" allows for the widest zone (a host whose zone we were not told).
A local time that happens twice (the end of summer time) is the first one, unless the record is being read within
the hour of the second.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from collectors.formats import Context, ParseError

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_WIDEST_ZONE: Final = timedelta(hours=14)
_KEPT: Final = 1024  # moments kept for a context
_SECOND: Final = timedelta(seconds=1)
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_LEAP_CYCLE: Final = 9  # the longest time without a 29 February (1896 to 1904)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ] ?(\d\d?):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(?: ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?(?![\d:])))?",
    re.ASCII,
)
# What PostgreSQL and others print for a zone, where it names one offset only. An abbreviation that several zones
# share (IST, CST) is read as the context's zone if that zone uses it, else as the most usual of them.
_ABBREVIATIONS: Final = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "EET": 120, "EEST": 180,
    "MSK": 180, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480,
    "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600, "IST": 330, "JST": 540, "KST": 540, "AEST": 600,
    "AEDT": 660, "ACST": 570, "ACDT": 630, "AWST": 480, "NZST": 720, "NZDT": 780, "SST": -660, "SGT": 480,
    "HKT": 480, "PKT": 300, "WIB": 420, "SAST": 120, "CAT": 120, "EAT": 180, "WAT": 60,
}  # fmt: skip


def moment(parts: tuple[int, int, int, int, int, int], micro: int, zone: tzinfo) -> datetime:
    """Return the moment of year, month, day, hour, minute, second in a zone, in UTC (two times of one zone do not
    compare as moments where summer time ends). Raises ParseError if there is none."""
    here = _here(parts, micro, zone)
    return here if zone is UTC else here.astimezone(UTC)


def _here(parts: tuple[int, int, int, int, int, int], micro: int, zone: tzinfo) -> datetime:
    year, month, day, hour, minute, second = parts
    if not 1 < year < 9999:  # what every zone's calendar holds
        raise ParseError(f"no such time: year {year}")
    try:
        if second == 60:
            return datetime(year, month, day, hour, minute, 59, micro, zone) + _SECOND
        return datetime(year, month, day, hour, minute, second, micro, zone)
    except ValueError as error:
        raise ParseError(f"no such time: {error}") from None


def local(parts: tuple[int, int, int, int, int, int], micro: int, ctx: Context) -> datetime:
    """Return the moment of a time that states no zone: the context's, and of two the one that was just now."""
    here = _here(parts, micro, ctx.zone)
    if ctx.zone is UTC:
        return here
    first, second = here.astimezone(UTC), here.replace(fold=1).astimezone(UTC)
    if second > first and ctx.received - _HOUR < second <= ctx.received + _MINUTE:
        return second
    return first


def yearless(month: int, day: int, clock: tuple[int, int, int], micro: int, ctx: Context) -> datetime:
    """Return the moment of a stamp that states no year. Raises ParseError if there is none in any year."""
    hour, minute, second = clock
    if ctx.year is not None:
        return local((ctx.year, month, day, hour, minute, second), micro, ctx)
    newest = ctx.received.astimezone(ctx.zone).year if ctx.zone is not UTC else ctx.received.year
    horizon = ctx.received + _WIDEST_ZONE
    if ctx.zone is UTC and second < 60:  # most of what there is, in the fewest steps
        try:
            found = datetime(newest, month, day, hour, minute, second, micro, UTC)
        except ValueError:
            found = horizon
        if found < horizon and (month > 1 or horizon.year == newest):
            return found
    for year in range(newest + 1 if horizon.year > newest else newest, newest - _LEAP_CYCLE, -1):
        try:
            found = local((year, month, day, hour, minute, second), micro, ctx)
        except ParseError:
            if (month, day) != (2, 29):
                raise
            continue
        if found <= horizon:
            return found
    raise ParseError(f"no such day: month {month}, day {day}")


@lru_cache(maxsize=64)
def _day(stamp: str, received: datetime, zone: tzinfo, year: int | None) -> str | None:
    """Return the date of `Jan  2` where zone and year are the same for all of its seconds; else None."""
    month, day, ctx = MONTHS[stamp[:3]], int(stamp[4:6]), Context(received, zone, year)
    first, last = yearless(month, day, (0, 0, 0), 0, ctx), yearless(month, day, (23, 59, 59), 0, ctx)
    return f"{first.year}-{month:02}-{day:02}T" if zone is UTC and first.year == last.year else None


def bsd(stamp: str, ctx: Context) -> datetime:
    """Return the moment of exactly `Jan  2 03:04:05`. Raises ParseError. Many lines are of one second: it is kept."""
    moment = ctx.moments.get(stamp)
    if moment is None:
        if len(ctx.moments) >= _KEPT:
            ctx.moments.clear()
        moment = ctx.moments[stamp] = _bsd(stamp, ctx)
    return moment


def _bsd(stamp: str, ctx: Context) -> datetime:
    day = _day(stamp[:6], ctx.received, ctx.zone, ctx.year)
    if day is not None:
        try:
            return datetime.fromisoformat(f"{day}{stamp[7:]}+00:00")
        except ValueError:
            pass  # a leap second, or none at all: said below
    clock = (int(stamp[7:9]), int(stamp[10:12]), int(stamp[13:15]))
    return yearless(MONTHS[stamp[:3]], int(stamp[4:6]), clock, 0, ctx)


def stated(stamp: str) -> datetime:
    """Return the moment of an RFC 3339 stamp whose form the caller has checked. Raises ParseError."""
    try:
        moment = datetime.fromisoformat(stamp)
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ParseError(f"no such time: {error}") from None


def iso(text: str, ctx: Context, at: int = 0) -> tuple[datetime, int] | None:
    """Return the moment of an ISO 8601 stamp at `at` and where it ends; None if there is none. A comma may stand
    for the point, a blank for the T, and nanoseconds are cut to microseconds."""
    found = _ISO.match(text, at)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micro = int((fraction + "00000")[:6]) if fraction else 0
    parts = (int(year), int(month), int(day), int(hour), int(minute), int(second))
    when = local(parts, micro, ctx) if zone is None else moment(parts, micro, offset(zone))
    return when, found.end()


@lru_cache(maxsize=64)
def offset(text: str) -> tzinfo:
    """Return the zone of `Z`, `UTC`, `+02`, `+0200` or `+02:00`. Raises ParseError."""
    if text in ("Z", "UTC", "GMT", "z"):
        return UTC
    digits = text[1:].replace(":", "")
    if text[:1] not in ("+", "-") or not digits.isdecimal() or len(digits) not in (2, 4) or not digits.isascii():
        raise ParseError(f"no such offset: {text!r}")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    if minutes >= 24 * 60:
        raise ParseError(f"no such offset: {text!r}")
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


@lru_cache(maxsize=64)
def zone(text: str) -> tzinfo:
    """Return the zone of an IANA name or an offset. Raises ParseError."""
    if text in ("UTC", "GMT", "Z"):
        return UTC
    if text[:1] in ("+", "-"):
        return offset(text)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise ParseError(f"no such time zone: {text!r}") from None


def abbreviated(parts: tuple[int, int, int, int, int, int], micro: int, name: str, ctx: Context) -> datetime:
    """Return the moment of a time whose zone is a short name, such as PostgreSQL's %t writes it."""
    here = _here(parts, micro, ctx.zone)
    for candidate in (here, here.replace(fold=1)):
        if candidate.tzname() == name:
            return candidate.astimezone(UTC)
    if name in _ABBREVIATIONS:
        return moment(parts, micro, timezone(timedelta(minutes=_ABBREVIATIONS[name])))
    return moment(parts, micro, zone(name))


def epoch(seconds: float) -> datetime:
    """Return the moment of seconds since 1970. Raises ParseError for what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ParseError(f"no such time: {seconds}") from None
