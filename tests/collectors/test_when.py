"""Times as logs write them: New Year, the two ends of summer time, leap seconds, zones that are stated or not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from collectors.formats import Context, ParseError, when
from collectors.formats.registry import FORMATS

ZURICH = ZoneInfo("Europe/Zurich")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamped(stamp: str, received: str, zone: str = "UTC", year: int | None = None) -> datetime | None:
    ctx = Context(received=utc(received), zone=ZoneInfo(zone) if zone != "UTC" else UTC, year=year)
    return FORMATS["syslog"].parse(f"{stamp} h app: x", ctx).time


@pytest.mark.parametrize(
    ("stamp", "received", "expected"),
    [
        ("Dec 31 23:59:59", "2027-01-01T00:00:05", "2026-12-31T23:59:59"),
        ("Jan  1 00:00:01", "2027-01-01T00:00:05", "2027-01-01T00:00:01"),
        ("Jan  1 00:00:01", "2026-12-31T23:59:59", "2027-01-01T00:00:01"),  # a clock that is two seconds fast
        ("Nov 21 02:00:00", "2026-11-22T02:00:00", "2026-11-21T02:00:00"),
        ("Nov 24 02:00:00", "2026-11-22T02:00:00", "2025-11-24T02:00:00"),  # the latest that is not in the future
        ("Feb 29 12:00:00", "2026-11-22T02:00:00", "2024-02-29T12:00:00"),  # the latest year that has the day
    ],
)
def test_a_stamp_without_a_year_is_of_the_latest_year_that_is_not_in_the_future(
    stamp: str, received: str, expected: str
) -> None:
    assert stamped(stamp, received) == utc(expected)


def test_a_year_that_is_given_is_taken() -> None:
    assert stamped("Dec 31 23:59:59", "2026-11-22T02:00:00", year=2019) == utc("2019-12-31T23:59:59")


@pytest.mark.parametrize("stamp", ["Feb 30 12:00:00", "Nov 22 25:00:00", "Nov 22 12:61:00", "Nov 22 12:00:61"])
def test_a_time_that_no_clock_shows_is_no_header(stamp: str) -> None:
    with pytest.raises(ParseError):
        stamped(stamp, "2026-11-22T02:00:00")


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [("Dec 31 23:59:60", "2017-01-01T00:00:00"), ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00")],
)
def test_a_leap_second_is_the_next_minutes_first(stamp: str, expected: str) -> None:
    assert stamped(stamp, "2017-01-01T00:00:10") == utc(expected)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("2026-10-25T00:30:05", "2026-10-25T00:30:00"),  # read while it was summer time
        ("2026-10-25T01:30:05", "2026-10-25T01:30:00"),  # read within the hour of the second time
        ("2026-11-22T02:00:00", "2026-10-25T00:30:00"),  # read long after: the first
    ],
)
def test_a_local_time_that_happens_twice_is_the_one_that_was_just_now_else_the_first(
    received: str, expected: str
) -> None:
    assert stamped("Oct 25 02:30:00", received, "Europe/Zurich") == utc(expected)


def test_a_local_time_that_summer_time_skips_keeps_the_offset_before() -> None:
    assert stamped("Mar 29 02:30:00", "2026-11-22T02:00:00", "Europe/Zurich") == utc("2026-03-29T01:30:00")


def test_new_year_is_the_hosts_own() -> None:
    assert stamped("Jan  1 00:30:00", "2026-12-31T23:31:00", "Europe/Zurich") == utc("2026-12-31T23:30:00")


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T03:14:00+01:00", "2026-11-22T03:14:00+0100", "2026-11-22 02:14:00Z", "2026-11-21T16:14:00-10"],
)
def test_a_stated_zone_is_believed(text: str) -> None:
    found = when.iso(text, Context(received=utc("2026-11-22T02:15:00"), zone=ZURICH))
    assert found is not None
    assert found[0] == utc("2026-11-22T02:14:00")


def test_a_fraction_of_nine_digits_is_cut_to_microseconds() -> None:
    found = when.iso("2026-11-22T02:14:00.123456789Z", Context(received=utc("2026-11-22T02:15:00")))
    assert found is not None
    assert found[0] == utc("2026-11-22T02:14:00") + timedelta(microseconds=123456)


@pytest.mark.parametrize(
    ("name", "hour"),
    [("CET", 1), ("CEST", 2), ("EST", -5), ("IST", 5.5), ("+03", 3), ("+0530", 5.5), ("Europe/Moscow", 3)],
)
def test_a_zone_by_its_short_name_is_postgresqls(name: str, hour: float) -> None:
    ctx = Context(received=utc("2026-11-22T02:15:00"))
    got = when.abbreviated((2026, 11, 22, 12, 0, 0), 0, name, ctx)
    assert got == utc("2026-11-22T12:00:00") - timedelta(hours=hour)


def test_a_short_name_that_the_hosts_zone_uses_is_that_zones() -> None:
    ctx = Context(received=utc("2026-11-22T02:15:00"), zone=ZoneInfo("Asia/Jerusalem"))
    got = when.abbreviated((2026, 11, 22, 12, 0, 0), 0, "IST", ctx)
    assert got == utc("2026-11-22T10:00:00")


YEARLESS = {  # every form of a stamp that states no year, by format
    "syslog": [
        "{b} h app: x", "<13>{b} h app: x", "{b}.250 h app[7]: x", "{w} {b} h app: x", "{b} app: x",
        "{b} h sshd[7]: Invalid user a from 192.0.2.1 port 5",
    ],
    "mongodb-text": ["{w} {b}.250 [conn7] end connection 192.0.2.1:5 (0 connections now open)"],
    "auto": ["{b} h app: x", "<13>{b} h app: x"],
}  # fmt: skip
FORMS = [(name, form) for name, forms in YEARLESS.items() for form in forms]


@pytest.mark.parametrize(("name", "form"), FORMS)
@pytest.mark.parametrize(
    ("local", "received", "zone", "expected"),
    [
        ("2026-12-31 23:59:59", "2027-01-01T00:00:05", "UTC", "2026-12-31T23:59:59"),
        ("2027-01-01 00:00:01", "2026-12-31T23:59:59", "UTC", "2027-01-01T00:00:01"),
        ("2027-01-01 00:30:00", "2026-12-31T23:31:00", "Europe/Zurich", "2026-12-31T23:30:00"),
        ("2026-12-31 19:30:00", "2027-01-01T00:31:00", "America/New_York", "2027-01-01T00:30:00"),
        ("2026-03-29 03:00:00", "2026-11-22T02:00:00", "Europe/Zurich", "2026-03-29T01:00:00"),
        ("2026-10-25 02:30:00", "2026-10-25T01:30:05", "Europe/Zurich", "2026-10-25T01:30:00"),
        ("2026-10-25 02:30:00", "2026-11-22T02:00:00", "Europe/Zurich", "2026-10-25T00:30:00"),
        ("2024-02-29 12:00:00", "2024-11-22T02:00:00", "UTC", "2024-02-29T12:00:00"),
    ],
)
def test_each_form_without_a_year_is_the_hosts_own_time(
    name: str, form: str, local: str, received: str, zone: str, expected: str
) -> None:
    at = datetime.fromisoformat(local)
    text = form.format(b=f"{at:%b} {at.day:2d} {at:%H:%M:%S}", w=f"{at:%a}")
    ctx = Context(received=utc(received), zone=UTC if zone == "UTC" else ZoneInfo(zone))
    found = FORMATS[name].parse(text, ctx).time
    assert found is not None
    assert found.replace(microsecond=0) == utc(expected)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_each_form_without_a_year_knows_a_leap_second(name: str, form: str) -> None:
    found = FORMATS[name].parse(form.format(b="Dec 31 23:59:60", w="Sat"), Context(received=utc("2017-01-01T00:00:10")))
    assert found.time is not None
    assert found.time.replace(microsecond=0) == utc("2017-01-01T00:00:00")
