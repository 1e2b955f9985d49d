"""What nearly every line of sshd's says, in one pattern each: only where every part is plainly what it seems.

An address in its usual form, a name without blanks, nothing after the end. What is not so plain is read by the
readers of sshd_login and sshd_network, which say the same of these (a test holds both to it).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from collectors.formats.address import IPV4
from collectors.formats.sshd_fields import Fields

_PORT: Final = r"port ([0-9]{1,5})"
_VERDICT: Final = re.compile(
    rf"(Accepted|Failed) (\S+) for (invalid user )?(\S*) from ({IPV4}) {_PORT} ssh2(?:: (\S+ \S+))?\Z", re.ASCII
)
_INVALID: Final = re.compile(rf"Invalid user (\S+) from ({IPV4}) {_PORT}\Z", re.ASCII)
_CLOSED: Final = re.compile(
    rf"Connection (closed|reset) by (?:(invalid|authenticating) user (\S+) )?({IPV4}) {_PORT}( \[preauth\])?\Z",
    re.ASCII,
)
_RECEIVED: Final = re.compile(rf"Received disconnect from ({IPV4}) {_PORT}:([0-9]{{1,5}}): (\w[\w .;]*)\Z", re.ASCII)


def _verdict(message: str) -> Fields | None:
    found = _VERDICT.match(message)
    if found is None:
        return None
    event, method, unknown, user, host, port, extra = found.groups()
    accepted = event == "Accepted"
    fields: Fields = {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["authentication", "session"] if accepted else ["authentication"],
        "event.type": ["info"],
        "event.action": "ssh_login",
        "event.outcome": "success" if accepted else "failure",
        "system.auth.ssh.event": event,
        "system.auth.ssh.method": method,
        "user.name": user,
        "source.ip": host,
        "source.port": int(port),
    }
    if unknown is not None:
        fields["system.auth.ssh.invalid_user"] = True
    if extra is not None:
        fields["system.auth.ssh.signature"] = extra
    return fields


def _invalid(message: str) -> Fields | None:
    found = _INVALID.match(message)
    if found is None:
        return None
    user, host, port = found.groups()
    return {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["authentication"],
        "event.type": ["info"],
        "event.action": "ssh_login",
        "event.outcome": "failure",
        "system.auth.ssh.event": "Invalid",
        "system.auth.ssh.invalid_user": True,
        "user.name": user,
        "source.ip": host,
        "source.port": int(port),
    }


def _closed(message: str) -> Fields | None:
    found = _CLOSED.match(message)
    if found is None:
        return None
    how, kind, user, host, port, preauth = found.groups()
    fields: Fields = {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["network"],
        "event.type": ["connection"],
        "event.action": f"ssh_connection_{how}",
        "event.outcome": "failure" if preauth or kind == "invalid" else "unknown",
        "system.auth.ssh.event": f"Connection {how} by",
        "source.ip": host,
        "source.port": int(port),
    }
    if kind is not None:
        fields["user.name"] = user
        if kind == "invalid":
            fields["system.auth.ssh.invalid_user"] = True
    return fields


def _received(message: str) -> Fields | None:
    found = _RECEIVED.match(message)
    if found is None:
        return None
    host, port, code, reason = found.groups()
    return {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["network"],
        "event.type": ["connection"],
        "event.action": "ssh_disconnected",
        "event.outcome": "unknown" if code == "11" else "failure",
        "system.auth.ssh.event": "Received disconnect",
        "event.reason": reason,
        "system.auth.ssh.disconnect_code": int(code),
        "source.ip": host,
        "source.port": int(port),
    }


# A message's first letter -> its reader: what the message says if it is one of these, else None.
BY_INITIAL: Final[dict[str, Callable[[str], Fields | None]]] = {
    "F": _verdict,
    "A": _verdict,
    "I": _invalid,
    "C": _closed,
    "R": _received,
}
