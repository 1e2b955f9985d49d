"""Syslog: any carrier header, then the message by the program that it names.

RFC 5424, RFC 3164 (with or without PRI, year, fraction, host), and the ISO 8601 headers that rsyslog and syslog-ng
write to files. In a file a line that begins with a blank continues the one before.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, rfc5424, when
from collectors.formats.address import number
from collectors.formats.programs import read, understand
from rules.event import Value

_FACILITIES: Final = (
    "kernel", "user-level", "mail", "system", "security/authorization", "syslogd", "line printer", "network news",
    "UUCP", "clock", "security/authorization", "FTP", "NTP", "log audit", "log alert", "clock",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
_SEVERITIES: Final = (
    "Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug",
)  # fmt: skip
_LEVELS: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
# "Jan  2 03:04:05", with a year before or after the clock, a fraction, a zone (Cisco's and syslog-ng's variants).
_STAMP: Final = re.compile(
    r"\*?(?:((?:19|20)\d\d) )?([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: (\d{4}))? (\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
    r"(?: ((?:19|20)\d\d)(?= ))?(?: (UTC|GMT|Z|[+-]\d\d:?\d\d)(?=[ :]))?:?",
    re.ASCII,
)
# The headers that nearly all lines have, in one step each.
_PLAIN_TAG: Final = r" ([A-Za-z][\w.-]{0,254}) ([A-Za-z][\w.-]{0,255})(?:\[(\d{1,10})\])?: ((?!\[ID ).*)\Z"
_PLAIN: Final = re.compile(
    r"((?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 1-3]\d \d\d:\d\d:\d\d)" + _PLAIN_TAG,
    re.ASCII | re.DOTALL,
)
_PLAIN_ISO: Final = re.compile(
    r"((?:19|20)\d\d-\d\d-\d\dT[012]\d:[0-5]\d:[0-5]\d\.(?:\d{6}|\d{3})(?:Z|[+-][01]\d:[0-5]\d))" + _PLAIN_TAG,
    re.ASCII | re.DOTALL,
)
_new = tuple.__new__  # a NamedTuple's own takes twice as long, and this is done for every line
_AFTER_CLOCK: Final = re.compile(r"(?:(?:19|20)\d\d|UTC|GMT|[+-]\d\d:?\d\d) ", re.ASCII)  # a year or a zone, no host
_WEEKDAY: Final = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?=[A-Z])")
# A tag: the program, perhaps with a version, a path or "(pam_unix)", then its number in brackets.
# gdm writes a "]" too many.
_TAG: Final = re.compile(r"([^\s:\[\]]{1,256}?)\]?(?:\[([^\]\s]{1,64})\])?:(?= |$)(?<! :)")
_TAG_NO_COLON: Final = re.compile(r"([^\s:\[\]]{1,256})\[(\d{1,10})\](?=:? )|\[([\w.-]{1,128})\]:?(?= )", re.ASCII)
_VERSIONED: Final = re.compile(r"([\w.-]{1,64} [\d.]{1,32}):(?= )", re.ASCII)
# "host sshd[12]: " without a time, as `journalctl -o short` cut short or a relay's template leaves it.
_TIMELESS: Final = re.compile(r"(?:[\w.-]{1,255} )?[A-Za-z][\w./()-]{0,63}\[\d{1,10}\]: ", re.ASCII)
_SOLARIS: Final = re.compile(r"\[ID \d{1,10} [a-z0-9]{1,16}\.[a-z]{1,16}\] ", re.ASCII)
# A host's name; syslog-ng writes "source@host" and, where it relays, "host/relay".
_HOST: Final = re.compile(r"(?:[\w.-]{1,64}@)?([\w.:%*-]{1,255})(?:/[\w.:%*-]{1,255}){0,8}", re.ASCII)
# What some write between time, host and tag: FreeBSD's "<auth.info>", Solaris' and AIX's "auth|security:info".
_LEVEL: Final = re.compile(
    r"<[\w.|]{1,40}> (?! )|[\w|]{1,32}[:.](?:emerg|alert|crit|err|warn(?:ing)?|notice|info|debug) ", re.ASCII
)
_FORWARDED: Final = re.compile(r"Message forwarded from ([\w.:%-]{1,255}): ", re.ASCII)
# SSSD names its children within its own name: "[sssd[krb5_child[12]]]: ", "sssd[be[example.org]][12]: ".
_SSSD: Final = re.compile(
    r"\[?sssd\[(?:(\w{1,32})\[(\d{1,10})\]|(\w{1,32})(?:\[[^\[\]]{0,255}\])?)\]{1,3}(?:\[(\d{1,10})\])?:(?: |$)",
    re.ASCII,
)
# Programs' own files: xrdp's "[20261122-02:00:00] [INFO ] ", cPanel's "[2026-11-22 02:00:00 +0000] info [cpsrvd] ".
_XRDP: Final = re.compile(r"\[(\d{4})(\d\d)(\d\d)-(\d\d:\d\d:\d\d)\] (?=\[[A-Z]+ ?\] )", re.ASCII)
_CPANEL: Final = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] (\w{1,16}) \[([\w-]{1,64})\] ", re.ASCII)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one syslog record. Raises ParseError where no header is to be found."""
    if (plain := _PLAIN.match(text)) is not None:
        stamp, host, program, process, message = plain.groups()
        time = ctx.moments.get(stamp) or when.bsd(stamp, ctx)
        return _new(Parsed, (time, _plain(host, program, process, message)))
    if (plain := _PLAIN_ISO.match(text)) is not None:
        stamp, host, program, process, message = plain.groups()
        return _new(Parsed, (when.stated(stamp), _plain(host, program, process, message)))
    fields: dict[str, Value] = {"event.kind": "event", "event.module": "syslog", "event.dataset": "system.syslog"}
    at = 0
    if text[:1] == "<":
        at = _priority(text, fields)
        if text.startswith("1 ", at):
            return rfc5424.read(text, at + 2, fields, ctx)
    if text[:1] == "[" and (own := _own(text, fields, ctx)) is not None:
        return own
    if text.startswith("1 ") and text[2:6].isdecimal():  # RFC 5424 in a file, without its PRI
        return rfc5424.read(text, 2, fields, ctx)
    at += 1 if at and text.startswith(" ", at) else 0
    found = _stamp(text, at, ctx)
    if found is None:
        if _TIMELESS.match(text, at) is None:
            raise ParseError("no syslog header: it begins with no time that syslog writes")
        return Parsed(None, _message(text, at, fields))
    time, at = found
    return Parsed(time, _message(text, at, fields))


def _own(text: str, fields: dict[str, Value], ctx: Context) -> Parsed | None:
    """Read a line of a program's own file that has its time in brackets."""
    if (xrdp := _XRDP.match(text)) is not None:
        program, end = "xrdp", xrdp.end()
        stamp = when.iso("{}-{}-{}T{}".format(*xrdp.groups()), ctx)
    elif (cpanel := _CPANEL.match(text)) is not None:
        program, end = cpanel[3], cpanel.end()
        stamp = when.iso(cpanel[1], ctx)
        fields["log.level"] = cpanel[2]
    else:
        return None
    fields["process.name"] = program
    fields["message"] = text[end:]
    return Parsed(stamp[0] if stamp else None, understand(program, fields))


def _plain(host: str, program: str, process: str | None, message: str) -> dict[str, Value]:
    """Return what a plain header and its message say: the same as the steps below, in one dict made once."""
    fields = read(program, message)
    if fields is None:
        fields = {"event.module": "syslog", "event.dataset": "system.syslog"}
    elif "event.kind" in fields:  # a format of its own within syslog, which says more than what stands below
        return _carried(fields, host, program, process, message)
    fields["event.kind"] = "event"
    fields["host.hostname"] = host
    fields["process.name"] = program
    fields["message"] = message
    if process is not None and "process.pid" not in fields:
        fields["process.pid"] = int(process)
    return fields


def _carried(fields: dict[str, Value], host: str, program: str, process: str | None, message: str) -> dict[str, Value]:
    for name, value in (("host.hostname", host), ("process.name", program), ("message", message)):
        fields.setdefault(name, value)
    fields.setdefault("event.dataset", "system.syslog")
    fields.setdefault("event.module", "syslog")
    if process is not None:
        fields.setdefault("process.pid", int(process))
    return fields


def _priority(text: str, fields: dict[str, Value]) -> int:
    end = text.find(">", 1, 5)
    digits = text[1:end] if end > 0 else ""
    if not (digits.isdecimal() and digits.isascii()) or int(digits) > 191:
        raise ParseError("no syslog header: <PRI> is not a number up to 191")
    priority(fields, int(digits))
    return end + 1


def priority(fields: dict[str, Value], value: int) -> None:
    """Add what a PRI says: facility and severity, by number and by name."""
    facility, severity = divmod(value, 8)
    fields["log.syslog.priority"] = value
    fields["log.syslog.facility.code"] = facility
    fields["log.syslog.facility.name"] = _FACILITIES[facility]
    fields["log.syslog.severity.code"] = severity
    fields["log.syslog.severity.name"] = _SEVERITIES[severity]
    fields["log.level"] = _LEVELS[severity]


def _stamp(text: str, at: int, ctx: Context) -> tuple[datetime, int] | None:
    """Return the time at `at` and where it ends: RFC 3164's, quickly where it is written exactly so, else any."""
    month = when.MONTHS.get(text[at : at + 3])
    if (
        month is not None
        and text[at + 9 : at + 10] == text[at + 12 : at + 13] == ":"
        and text[at + 15 : at + 16] == " "
        and _AFTER_CLOCK.match(text, at + 16) is None
    ):
        day, hour, minute, second = (
            text[at + 4 : at + 6],
            text[at + 7 : at + 9],
            text[at + 10 : at + 12],
            text[at + 13 : at + 15],
        )
        digits = hour + minute + second
        if digits.isdecimal() and digits.isascii() and day.strip(" ").isdecimal() and day.isascii():
            return when.yearless(month, int(day), (int(hour), int(minute), int(second)), 0, ctx), at + 15
    if text[at : at + 1].isdecimal():
        return when.iso(text, ctx, at) or _stamp_of_kin(text, at, ctx)
    if text[at : at + 1] == "@":
        return _tai64n(text, at)
    return _stamp_of_kin(text, at, ctx)


def _stamp_of_kin(text: str, at: int, ctx: Context) -> tuple[datetime, int] | None:
    weekday = _WEEKDAY.match(text, at)
    found = _STAMP.match(text, weekday.end() if weekday else at)
    if found is None or found[2] not in when.MONTHS:
        return None
    first, name, day, before, hour, minute, second, fraction, after, zone = found.groups()
    micro = int((fraction + "00000")[:6]) if fraction else 0
    clock = (int(hour), int(minute), int(second))
    year = first or before or after
    month = when.MONTHS[name]
    if year is None:
        return when.yearless(month, int(day), clock, micro, ctx), found.end()
    parts = (int(year), month, int(day), *clock)
    time = when.moment(parts, micro, when.offset(zone)) if zone else when.local(parts, micro, ctx)
    return time, found.end()


def _tai64n(text: str, at: int) -> tuple[datetime, int] | None:
    """Return the time of multilog's `@` and 24 hexadecimal digits (TAI is 10 seconds off UTC there, by its habit)."""
    digits = text[at + 1 : at + 25]
    try:
        seconds, nanos = int(digits[:16], 16) - (1 << 62) - 10, int(digits[16:], 16)
    except ValueError:
        return None
    return when.epoch(seconds).replace(microsecond=min(nanos // 1000, 999_999)), at + 25


def _message(text: str, at: int, fields: dict[str, Value]) -> dict[str, Value]:
    """Read `host tag[pid]: message` as RFC 3164 has it, the host missing where the tag follows at once."""
    while text.startswith(" ", at):
        at += 1
    if text.startswith("[pid ", at):  # vsftpd's own log, which has syslog's kind of time alone
        fields["process.name"] = "vsftpd"
        number(fields, "process.pid", text[at + 5 : max(at, text.find("]", at, at + 20))])
        fields["message"] = text[text.find("]", at) + 1 :].lstrip(" ")
        return understand("vsftpd", fields)
    at = _skip(_LEVEL, text, at) if text.startswith("<", at) else at
    end = text.find(" ", at)
    word = text[at:end] if end > 0 else text[at:]
    host = _HOST.fullmatch(word) if not word.endswith((":", "]")) and word != "last" else None
    if host is not None:
        fields["host.hostname"] = host[1]
        at = end + 1 if end > 0 else len(text)
        while text.startswith(" ", at):
            at += 1
    forwarded = _FORWARDED.match(text, at)
    if forwarded is not None:  # AIX: by whom it came stands first; from whom is what a tag claims
        fields["log.syslog.hostname"] = forwarded[1]
        at = forwarded.end()
    return tagged(text, _skip(_LEVEL, text, at), fields)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def tagged(text: str, at: int, fields: dict[str, Value]) -> dict[str, Value]:
    """Read `tag[pid]: message` at `at`, and the message by the program; a message without a tag stands alone."""
    found = _TAG.match(text, at) or _TAG_NO_COLON.match(text, at) or _VERSIONED.match(text, at)
    child = _SSSD.match(text, at) if text.startswith(("sssd[", "[sssd["), at) else None
    if child is not None:
        fields["process.name"] = child[1] or (f"sssd_{child[3]}" if child[3] in ("be", "pam", "nss") else "sssd")
        number(fields, "process.pid", child[2] or child[4] or "")
        fields["message"] = text[child.end() :]
        return understand(str(fields["process.name"]), fields)
    if found is None:
        fields["message"] = text[at:]
        return understand("", fields)
    groups = found.groups()
    program = groups[0] or (groups[2] if len(groups) > 2 else "")
    fields["process.name"] = (program.rpartition("/")[2] if program.startswith("/") else program).partition("(")[
        0
    ] or program
    if len(groups) > 1 and groups[1]:
        number(fields, "process.pid", groups[1])
    at = found.end()
    if text.startswith(":", at):
        at += 1
    at += 1 if text.startswith(" ", at) else 0
    solaris = _SOLARIS.match(text, at) if text.startswith("[ID ", at) else None
    fields["message"] = text[solaris.end() if solaris else at :]
    return understand(program, fields)


def continues(first: str, line: str) -> bool:
    """Say whether `line` belongs to the record before: it begins with a blank."""
    return line[:1] in (" ", "\t")


FORMAT = Format("syslog", parse, continues)
