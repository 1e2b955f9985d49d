"""The peer of `benchmarks.formats`: a chain of `re` that says of its own lines just what Tocsin says of them.

Program -> first literal -> one regular expression, compiled once; constants shared, nothing checked beyond the pattern.
It knows the lines of the benchmark and no others: what it saves is what a format's other cases cost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rules.event import Value

Fields = dict[str, Value]
Event = tuple[datetime, Fields]
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: n for n, name in enumerate(MONTHS, start=1)}
_TAG: Final = r"(?P<host>\S+) (?P<program>[\w.-]+)(?:\[(?P<pid>\d+)\])?: (?P<message>.*)"
_BSD: Final = re.compile(r"(?P<month>\w{3}) (?P<day>[ \d]\d) (?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d) " + _TAG, re.DOTALL)
_STAMP: Final = r"(?P<y>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)\.(?P<f>\d{3,6})"
_ISO: Final = re.compile(_STAMP + r"\+00:00 " + _TAG, re.DOTALL)
_POSTGRES: Final = re.compile(
    _STAMP + r" UTC \[(?P<pid>\d+)\] (?P<user>\S+)@(?P<db>\S+) (?P<level>[A-Z]+):  (?P<message>.*)", re.DOTALL
)
_PEER: Final = r"(?P<ip>[0-9a-fA-F.:]+) port (?P<port>\d+)"
_PAM: Final = r"pam_unix\((?P<service>[\w-]+):(?P<type>\w+)\): "
_NAMES: Final = {
    "host": "host.hostname",
    "ip": "source.ip",
    "port": "source.port",
    "user": "user.name",
    "target": "user.effective.name",
    "uid": "user.id",
    "target_uid": "user.effective.id",
    "event": "system.auth.ssh.event",
    "method": "system.auth.ssh.method",
    "invalid": "system.auth.ssh.invalid_user",
    "signature": "system.auth.ssh.signature",
    "reason": "event.reason",
    "code": "system.auth.ssh.disconnect_code",
    "service": "system.auth.pam.service",
    "type": "system.auth.pam.type",
    "tty": "system.auth.pam.tty",
    "sudo_tty": "system.auth.sudo.tty",
    "sudo_pwd": "system.auth.sudo.pwd",
    "sudo_user": "system.auth.sudo.user",
    "executable": "system.auth.sudo.executable",
    "command": "process.command_line",
    "su_tty": "system.auth.su.tty",
    "session": "system.auth.session.id",
    "db": "db.namespace",
    "app": "postgresql.log.application_name",
    "pg_method": "postgresql.log.authentication_method",
    "step": "postgresql.log.query_step",
    "query": "db.query.text",
    "operation": "db.operation.name",
    "table": "tocsin.db.object",
}
_WHOLE: Final = frozenset({"port", "code"})


@dataclass(frozen=True, slots=True)
class Link:
    """One kind of line: where the pattern fits, these constants hold, and each copy is made where its name is free."""

    program: str
    literal: str
    pattern: re.Pattern[str]
    constants: Fields
    copies: tuple[tuple[str, str], ...] = ()


def _auth(module: str, category: list[str], kind: str, action: str, outcome: str | None) -> Fields:
    fields: Fields = {
        "event.kind": "event",
        "event.module": module,
        "event.dataset": "system.auth",
        "event.category": [*category],
        "event.type": [kind],
        "event.action": action,
    }
    return fields if outcome is None else {**fields, "event.outcome": outcome}


def _pam(category: str, kind: str, action: str, outcome: str | None) -> Fields:
    return {**_auth("pam", [category], kind, action, outcome), "system.auth.pam.module": "pam_unix"}


def _sshd(literal: str, pattern: str, constants: Fields) -> Link:
    return Link("sshd", literal, re.compile(pattern), constants)


_CLOSED: Final = "ssh_connection_closed"
_LINKS: Final = (
    _sshd(
        "Failed ",
        r"(?P<event>Failed) (?P<method>\S+) for (?P<invalid>invalid user )?(?P<user>\S*) from " + _PEER + r" ssh2$",
        _auth("sshd", ["authentication"], "info", "ssh_login", "failure"),
    ),
    _sshd(
        "Accepted ",
        r"(?P<event>Accepted) (?P<method>\S+) for (?P<user>\S*) from " + _PEER + r" ssh2(?:: (?P<signature>.*))?$",
        _auth("sshd", ["authentication", "session"], "info", "ssh_login", "success"),
    ),
    _sshd(
        "Invalid ",
        r"(?P<event>Invalid)(?P<invalid>) user (?P<user>\S*) from " + _PEER + "$",
        _auth("sshd", ["authentication"], "info", "ssh_login", "failure") | {"system.auth.ssh.invalid_user": True},
    ),
    _sshd(
        "Connection ",
        r"(?P<event>Connection closed by) (?:(?:(?P<invalid>invalid)|authenticating) user (?P<user>\S+) )?"
        + _PEER
        + r" \[preauth\]$",
        _auth("sshd", ["network"], "connection", _CLOSED, "failure"),
    ),
    _sshd(
        "Received ",
        r"(?P<event>Received disconnect) from " + _PEER + r":(?P<code>\d+): (?P<reason>.*)$",
        _auth("sshd", ["network"], "connection", "ssh_disconnected", "unknown"),
    ),
    Link(
        "*",
        "pam_unix(",
        re.compile(
            _PAM + r"session opened for user (?P<target>[^\s(]+)(?:\(uid=(?P<target_uid>\d+)\))?"
            r" by (?P<user>[^\s(]*)\(uid=(?P<uid>\d+)\)$"
        ),
        _pam("session", "start", "logged-on", None),
        (("user.effective.name", "user.name"),),
    ),
    Link(
        "*",
        "pam_unix(",
        re.compile(_PAM + r"session closed for user (?P<user>\S+)$"),
        _pam("session", "end", "logged-off", None),
    ),
    Link(
        "*",
        "pam_unix(",
        re.compile(
            _PAM + r"authentication failure; logname=\S* uid=\d* euid=\d* tty=(?P<tty>\S*) ruser=\S*"
            r" rhost=(?P<ip>\S*)(?:\s+user=(?P<user>\S+))?$"
        ),
        _pam("authentication", "info", "authentication_failure", "failure"),
    ),
    Link(
        "sudo",
        "",
        re.compile(
            r" *(?P<user>\S+) : TTY=(?P<sudo_tty>\S+) ; PWD=(?P<sudo_pwd>.*?) ; USER=(?P<sudo_user>\S+) ; "
            r"COMMAND=(?P<command>(?P<executable>/\S+).*)$"
        ),
        _auth("sudo", ["process"], "start", "ran-command", "success"),
        (("system.auth.sudo.user", "user.effective.name"), ("process.command_line", "system.auth.sudo.command")),
    ),
    Link(
        "su",
        "FAILED ",
        re.compile(r"FAILED SU \(to (?P<target>\S+)\) (?P<user>\S+) on (?P<su_tty>\S+)$"),
        _auth("su", ["authentication"], "info", "su", "failure"),
    ),
    Link(
        "systemd-logind",
        "New ",
        re.compile(r"New session (?P<session>\d+) of user (?P<user>\S+)\.$"),
        _auth("logind", ["session"], "start", "session-started", None),
    ),
)


def _database(category: list[str], kind: list[str], **more: Value) -> Fields:
    return {
        "event.kind": "event",
        "event.module": "postgresql",
        "event.dataset": "postgresql.log",
        "event.category": [*category],
        "event.type": [*kind],
        "db.system.name": "postgresql",
        "event.timezone": "UTC",
        **{name.replace("__", "."): value for name, value in more.items()},
    }


def _statement(verb: str, before: str, kind: str) -> Link:
    return Link(
        "LOG",
        "duration: ",
        re.compile(
            rf"duration: (?P<duration>\d+\.\d+) ms  (?P<step>statement): (?P<query>(?P<operation>{verb}) "
            rf"{before}(?P<table>\w+).*)$",
            re.DOTALL,
        ),
        _database(["database"], ["info"], event__action="statement", event__outcome="success", tocsin__db__kind=kind),
        (("tocsin.db.object", "db.collection.name"), ("db.query.text", "message")),
    )


_QUERIES: Final = (
    _statement("SELECT", r".*? FROM ", "read"),
    _statement("INSERT", "INTO ", "write"),
    _statement("UPDATE", "", "write"),
    _statement("DELETE", "FROM ", "write"),
    Link(
        "LOG",
        "connection authorized",
        re.compile(r"connection authorized: user=\S+ database=\S+(?: application_name=(?P<app>\S+))?$"),
        _database(
            ["database", "authentication", "session"],
            ["info", "start"],
            event__action="connection-authorized",
            event__outcome="success",
            tocsin__db__kind="session",
        ),
    ),
    Link(
        "LOG",
        "connection received",
        re.compile(r"connection received: host=(?P<ip>\S+) port=(?P<port>\d+)$"),
        _database(["database"], ["info"], event__action="connection-received"),
    ),
    Link(
        "FATAL",
        "",
        re.compile(r'(?P<pg_method>\w+) authentication failed for user "[^"]*"$'),
        _database(
            ["database", "authentication"],
            ["error"],
            event__action="connection-refused",
            event__outcome="failure",
            tocsin__db__kind="session",
        ),
    ),
)


def _by(links: tuple[Link, ...]) -> dict[str, tuple[Link, ...]]:
    names = {link.program for link in links} | {"CRON"}
    return {name: tuple(link for link in links if link.program in (name, "*")) for name in names}


_AUTH_CHAIN: Final = _by(_LINKS)
_DATABASE_CHAIN: Final = _by(_QUERIES)


def bsd(text: str) -> Event | None:
    """Read an auth line with RFC 3164's header, of the year 2026."""
    head = _BSD.match(text)
    if head is None:
        return None
    month, day, h, m, s, *tag = head.groups()
    return _tagged(datetime(2026, _MONTHS[month], int(day), int(h), int(m), int(s), tzinfo=UTC), tag)


def iso(text: str) -> Event | None:
    """Read an auth line with rsyslog's ISO 8601 header in UTC."""
    head = _ISO.match(text)
    if head is None:
        return None
    *stamp, host, program, pid, message = head.groups()
    return _tagged(_moment(stamp), [host, program, pid, message])


def postgresql(text: str) -> Event | None:
    """Read a line of PostgreSQL's log with Debian's prefix, in UTC."""
    head = _POSTGRES.match(text)
    if head is None:
        return None
    *stamp, pid, user, db, level, message = head.groups()
    fields: Fields = {"process.pid": int(pid), "log.level": level}
    if user != "[unknown]":
        fields |= {"user.name": user, "db.namespace": db}
    return _said(_DATABASE_CHAIN, level, _moment(stamp), message, fields)


def _moment(stamp: list[str]) -> datetime:
    y, month, day, h, m, s, fraction = stamp
    return datetime(int(y), int(month), int(day), int(h), int(m), int(s), int(fraction.ljust(6, "0")), UTC)


def _tagged(time: datetime, tag: list[str]) -> Event | None:
    host, program, pid, message = tag
    fields: Fields = {"host.hostname": host, "process.name": program}
    if pid:
        fields["process.pid"] = int(pid)
    return _said(_AUTH_CHAIN, program, time, message, fields)


def _said(
    chain: dict[str, tuple[Link, ...]], program: str, time: datetime, message: str, fields: Fields
) -> Event | None:
    for link in chain.get(program, ()):
        if not message.startswith(link.literal):
            continue
        found = link.pattern.match(message)
        if found is None:
            continue
        fields.update(link.constants)
        for name, value in found.groupdict().items():
            if value:
                if name == "duration":
                    fields["event.duration"] = int(float(value) * 1_000_000)
                else:
                    fields[_NAMES[name]] = True if name == "invalid" else int(value) if name in _WHOLE else value
        for old, new in link.copies:
            fields.setdefault(new, fields[old])
        fields.setdefault("message", message)
        return time, fields
    return None
