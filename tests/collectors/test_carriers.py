"""Headers of syslog as their writers leave them: each gives time, host, program and process, and the message's meaning."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS

CTX = Context(received=datetime(2026, 11, 22, 9, 30, tzinfo=UTC))
SAID = "Failed password for alice from 10.0.0.9 port 51234 ssh2"
AT = "2026-11-22T02:00:00+00:00"
# (what stands before the message, when, host, program, process)
HEADERS = [
    ("Nov 22 02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Nov  2 02:00:00 web1 sshd[4711]: ", "2026-11-02T02:00:00+00:00", "web1", "sshd", 4711),
    ("Nov 2 02:00:00 web1 sshd[4711]: ", "2026-11-02T02:00:00+00:00", "web1", "sshd", 4711),
    ("Nov 22 02:00:00 web1 sshd: ", AT, "web1", "sshd", None),
    ("Nov 22 02:00:00 web1 sshd[4711] ", AT, "web1", "sshd", 4711),
    ("Nov 22 02:00:00 web1 /usr/sbin/sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Nov 22 02:00:00 web1 sshd-session[4711]: ", AT, "web1", "sshd-session", 4711),
    ("Nov 22 02:00:00 web1 sshd-auth[4711]: ", AT, "web1", "sshd-auth", 4711),
    ("Nov 22 02:00:00 web1.example.org sshd[4711]: ", AT, "web1.example.org", "sshd", 4711),
    ("Nov 22 02:00:00 web_1 sshd[4711]: ", AT, "web_1", "sshd", 4711),
    ("Nov 22 02:00:00 10.0.0.1 sshd[4711]: ", AT, "10.0.0.1", "sshd", 4711),
    ("Nov 22 02:00:00 2001:db8::1 sshd[4711]: ", AT, "2001:db8::1", "sshd", 4711),
    ("Nov 22 02:00:00 fe80::1%eth0 sshd[4711]: ", AT, "fe80::1%eth0", "sshd", 4711),
    ("Nov 22 02:00:00 s_sys@web1 sshd[4711]: ", AT, "web1", "sshd", 4711),  # syslog-ng
    ("Nov 22 02:00:00 web1/10.0.0.1 sshd[4711]: ", AT, "web1", "sshd", 4711),  # syslog-ng that relays
    ("Nov 22 02:00:00 <auth.info> web1 sshd[4711]: ", AT, "web1", "sshd", 4711),  # FreeBSD, syslogd -vv
    ("Nov 22 02:00:00 <4.6> web1 sshd[4711]: ", AT, "web1", "sshd", 4711),  # FreeBSD, syslogd -v
    ("Nov 22 02:00:00 web1 sshd[4711]: [ID 800047 auth.info] ", AT, "web1", "sshd", 4711),  # Solaris
    ("Nov 22 02:00:00 web1 auth|security:info sshd[4711]: ", AT, "web1", "sshd", 4711),  # AIX
    ("Nov 22 02:00:00 web1 Message forwarded from node2: sshd[4711]: ", AT, "web1", "sshd", 4711),  # AIX that relays
    ("2026-11-22 02:00:00.123456-0700  localhost sshd[4711]: ", "2026-11-22T09:00:00.123456+00:00", "localhost", "sshd", 4711),  # macOS
    ("Nov 22 2026 02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Nov 22 02:00:00 2026 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("2026 Nov 22 02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Sun Nov 22 02:00:00 2026 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Sun Nov 22 02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Nov 22 02:00:00 UTC web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("Nov 22 02:00:00.123 web1 sshd[4711]: ", "2026-11-22T02:00:00.123000+00:00", "web1", "sshd", 4711),
    ("Nov 22 02:00:60 web1 sshd[4711]: ", "2026-11-22T02:01:00+00:00", "web1", "sshd", 4711),  # a leap second
    ("2026-11-22T02:00:00.123456+02:00 web1 sshd[4711]: ", "2026-11-22T00:00:00.123456+00:00", "web1", "sshd", 4711),
    ("2026-11-22T02:00:00+0000 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("2026-11-22T02:00:00Z web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("2026-11-22T02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("2026-11-22 02:00:00,123 web1 sshd[4711]: ", "2026-11-22T02:00:00.123000+00:00", "web1", "sshd", 4711),
    ("<38>Nov 22 02:00:00 web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("<38>Nov 22 02:00:00 sshd[4711]: ", AT, None, "sshd", 4711),
    ("<38>sshd[4711]: ", None, None, "sshd", 4711),
    ("<38> sshd[4711]: ", None, None, "sshd", 4711),
    ("<38>2026-11-22T02:00:00Z web1 sshd[4711]: ", AT, "web1", "sshd", 4711),
    ("<38>1 2026-11-22T02:00:00.123Z web1 sshd 4711 - - ", "2026-11-22T02:00:00.123000+00:00", "web1", "sshd", 4711),
    ("<38>1 2026-11-22T02:00:00Z web1 sshd - - - ", AT, "web1", "sshd", None),
    ("<38>1 - - sshd - - - ", None, None, "sshd", None),
    ("<38>1 2026-11-22T02:00:00Z web1 /usr/sbin/sshd 4711 - - ", AT, "web1", "sshd", 4711),
    ('<38>1 2026-11-22T02:00:00Z web1 sshd 4711 ID47 [a@1 b="c\\"d\\]"][e@2] \ufeff', AT, "web1", "sshd", 4711),
    ("1 2026-11-22T02:00:00Z web1 sshd 4711 - - ", AT, "web1", "sshd", 4711),  # a file, its PRI left out
    ("web1 sshd[4711]: ", None, "web1", "sshd", 4711),
    ("sshd[4711]: ", None, None, "sshd", 4711),
    ("@4000000068f5c5ab1234abcd sshd[4711]: ", "2025-10-20T05:16:17.305441+00:00", None, "sshd", 4711),  # multilog
]  # fmt: skip


@pytest.mark.parametrize("format_", ["syslog", "auto"])
@pytest.mark.parametrize(("header", "at", "host", "program", "process"), HEADERS)
def test_a_header_gives_when_where_and_by_which_program(
    format_: str, header: str, at: str | None, host: str | None, program: str, process: int | None
) -> None:
    time, fields = understand(header + SAID, FORMATS[format_], CTX)
    assert (time.isoformat() if time else None) == at
    assert (fields.get("host.hostname"), fields["process.name"], fields.get("process.pid")) == (host, program, process)
    assert fields["message"] == SAID
    assert (fields["event.action"], fields["user.name"], fields["source.ip"]) == ("ssh_login", "alice", "10.0.0.9")


@pytest.mark.parametrize(
    ("line", "action", "more"),
    [
        ("Nov 22 02:00:00 web1 last message repeated 3 times", "message_repeated", {"tocsin.repeat": 3, "host.hostname": "web1"}),
        ("Nov 22 02:00:00 web1 sshd[7]: last message repeated 3 times", "message_repeated", {"tocsin.repeat": 3, "process.name": "sshd"}),
        ("Nov 22 02:00:00 web1 --- last message repeated 2 times ---", "message_repeated", {"tocsin.repeat": 2}),
        ("Nov 22 02:00:00 web1 [sssd[krb5_child[12]]]: Preauthentication failed", "authentication_failure", {"process.name": "krb5_child", "process.pid": 12}),
        ("Nov 22 02:00:00 web1 [sssd[krb5_child[12]]][12]: Password has expired", "password_expired", {"process.name": "krb5_child", "process.pid": 12}),
        ("Nov 22 02:00:00 web1 sssd[be[example.org]]: Backend is offline", "directory_unreachable", {"process.name": "sssd_be"}),
        ("[20261122-02:00:00] [INFO ] AUTHFAIL: user=bob ip=::ffff:10.0.0.9 time=1795312800", "rdp_login", {"source.ip": "10.0.0.9", "user.name": "bob"}),
        ("[2026-11-22 02:00:00 -0500] info [cpsrvd] 10.0.0.9 - root - SUCCESS LOGIN whostmgrd", "cpanel_login", {"source.ip": "10.0.0.9", "event.outcome": "success"}),
        ('[2026-11-22 02:00:00 -0500] info [cpsrvd] 10.0.0.9 - bob "POST /login/ HTTP/1.1" FAILED LOGIN whostmgrd: user password incorrect', "cpanel_login",
         {"source.ip": "10.0.0.9", "user.name": "bob", "event.outcome": "failure"}),
        ("Nov 22 02:00:00 web1 audit[1]: USER_LOGIN pid=9 uid=0 auid=1000 ses=3 msg='op=login acct=\"bob\" exe=\"/usr/sbin/sshd\" hostname=? addr=10.0.0.9 "
         "terminal=ssh res=failed'", "user_login", {"user.name": "bob", "source.ip": "10.0.0.9", "event.outcome": "failure", "process.pid": 9}),
        ("Nov 22 02:00:00 web1 crond(pam_unix)[12]: session opened for user root by (uid=0)", "logged-on", {"process.name": "crond", "user.name": "root"}),
        ("Nov 22 02:00:00 web1 /USR/SBIN/CRON[12]: (root) CMD (/bin/x)", "cron_cmd", {"process.name": "CRON", "user.name": "root"}),
    ],
)  # fmt: skip
def test_what_stands_in_a_tag_or_before_it_is_no_hindrance(line: str, action: str, more: dict[str, object]) -> None:
    fields = understand(line, FORMATS["auto"], CTX).fields
    assert fields["event.action"] == action
    assert {name: fields.get(name) for name in more} == more


@pytest.mark.parametrize(
    ("stamp", "received", "zone", "at"),
    [
        ("Dec 31 23:59:59", "2027-01-01T00:00:05", "UTC", "2026-12-31T23:59:59+00:00"),  # New Year
        ("Jan  1 00:00:01", "2026-12-31T23:59:59", "UTC", "2027-01-01T00:00:01+00:00"),  # a clock ahead at New Year
        (
            "Jan  1 08:00:00",
            "2026-12-31T23:30:00",
            "Asia/Tokyo",
            "2026-12-31T23:00:00+00:00",
        ),  # a zone that is there already
        ("Feb 29 12:00:00", "2026-03-01T00:00:00", "UTC", "2024-02-29T12:00:00+00:00"),
        ("Oct 25 02:30:00", "2026-10-25T00:31:00", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),  # the first of two
        (
            "Oct 25 02:30:00",
            "2026-10-25T01:31:00",
            "Europe/Berlin",
            "2026-10-25T01:30:00+00:00",
        ),  # the second, just now
    ],
)
def test_a_stamp_without_a_year_or_a_zone_is_of_the_moment_that_it_can_be(
    stamp: str, received: str, zone: str, at: str
) -> None:
    ctx = Context(received=datetime.fromisoformat(f"{received}+00:00"), zone=ZoneInfo(zone))
    told = understand(f"{stamp} web1 sshd[7]: {SAID}", FORMATS["syslog"], ctx)
    assert told.time is not None
    assert told.time.isoformat() == at


def test_what_a_tag_claims_of_another_host_does_not_change_the_host() -> None:
    line = f"Nov 22 02:00:00 web1 Message forwarded from db-1: sshd[7]: {SAID}"
    assert understand(line, FORMATS["syslog"], CTX).fields["host.hostname"] == "web1"
