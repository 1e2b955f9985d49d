"""Dropbear (svr-auth*.c, svr-session.c) and OpenSSH's sftp-server."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_STAMPED: Final = re.compile(r"\[\d{1,10}\] [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d ", re.ASCII)
_PEER: Final = re.compile(r"(.*) from <?([^\s<>]+?)(?::(\d{1,5}))?>?$", re.ASCII | re.DOTALL)
_QUOTED: Final = re.compile(r"'(.*)'", re.DOTALL)
_EXIT: Final = re.compile(
    r"Exit before auth(?: from <([^\s<>]+?):(\d{1,5})>)?(?:: | )?(?:\(user '(.*)', (\d{1,5}) fails\))?", re.ASCII
)
_SFTP: Final = re.compile(r"session (opened|closed) for local user (.*) from \[([^\]]*)\]$")
_SFTP_VERBS: Final = frozenset(
    {"open", "close", "remove", "rename", "mkdir", "rmdir", "opendir", "closedir", "symlink", "set", "hardlink", "copy"}
)


def read(message: str) -> Fields | None:
    """Return what one message of dropbear says."""
    stamp = _STAMPED.match(message)
    body = message[stamp.end() :] if stamp else message
    low = body[:64].lower()
    if low.startswith("exit before auth"):
        return _exit(body)
    for literal, action, outcome in _SAYINGS:
        if literal in low:
            return _said(body, action, outcome)
    return None


_SAYINGS: Final = (
    ("auth succeeded for ", "ssh_login", "success"),
    ("password attempt for ", "ssh_login", "failure"),
    ("login attempt for nonexistent user", "ssh_login", "failure"),
    ("max auth tries reached", "ssh_login", "failure"),
    ("login attempt with wrong user", "ssh_login", "failure"),
    ("has invalid shell, rejected", "ssh_login", "failure"),
    ("has blank password, rejected", "ssh_login", "failure"),
    ("root login rejected", "ssh_login", "failure"),
    ("child connection from ", "ssh_connection", "unknown"),
)


def _said(body: str, action: str, outcome: str) -> Fields:
    category = ["network"] if action == "ssh_connection" else ["authentication"]
    fields = _base(action, outcome, category)
    peer = _PEER.match(body)
    if peer is not None:
        source(fields, peer[2], peer[3])
    user = _QUOTED.search(peer[1] if peer else body)
    if user is not None:
        fields["user.name"] = user[1]
    if action == "ssh_login":
        fields["system.auth.ssh.method"] = "publickey" if body.startswith(("Pubkey", "pubkey")) else "password"
    return fields


def _exit(body: str) -> Fields:
    fields = _base("ssh_disconnected", "failure", ["authentication"])
    found = _EXIT.match(body)
    if found is not None and found[1]:
        source(fields, found[1], found[2])
    if found is not None and found[3] is not None:
        fields["user.name"] = found[3].partition("', ")[0]
    peer = _PEER.match(body)
    if peer is not None and "source.ip" not in fields:
        source(fields, peer[2], peer[3])
    return fields


def _base(action: str, outcome: str, category: list[str]) -> Fields:
    return {
        "event.module": "dropbear",
        "event.dataset": "system.auth",
        "event.category": [*category],
        "event.type": ["info"],
        "event.action": action,
        "event.outcome": outcome,
    }


def read_sftp(message: str) -> Fields | None:
    """Return what sftp-server says: a session by whom and from where, or what was done to which file."""
    found = _SFTP.match(message)
    fields: Fields = {"event.module": "sshd", "event.dataset": "system.auth", "event.outcome": "success"}
    if found is not None:
        fields["event.category"] = ["session"]
        fields["event.action"] = f"sftp_session_{found[1]}"
        fields["user.name"] = found[2]
        source(fields, found[3])
        return fields
    verb, _, rest = message.partition(" ")
    if verb not in _SFTP_VERBS or '"' not in rest:
        return None
    fields["event.category"] = ["file"]
    fields["event.action"] = f"sftp_{verb}"
    fields["file.path"] = rest.partition('"')[2].partition('"')[0]
    return fields
