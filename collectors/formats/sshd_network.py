"""sshd's connections (packet.c, session.c, serverloop.c): opened, closed, cut off, and by whom."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import number, source
from collectors.formats.sshd_fields import LAST_FROM, NETWORK, Fields, base

_PEER: Final = re.compile(r"(\S+)(?: port (\d{1,5}))?(?=$|:| )", re.ASCII)
_DISCONNECT: Final = re.compile(
    r"(\S+)(?: port (\d{1,5}):|: ) ?(\d{1,10}): ?(.*?)( \[preauth\])?$", re.ASCII | re.DOTALL
)
_USER_PEER: Final = re.compile(r"(.*) (\S+) port (\d{1,5})$", re.ASCII | re.DOTALL)
_TOO_MANY_PEER: Final = re.compile(r"(.*) from (\S+) port (\d{1,5}) ssh[12]\Z", re.ASCII | re.DOTALL)
_SESSION: Final = re.compile(
    r"(Starting|Close) session: (?:(\S+)(?: \([\w-]+\))?(?: '([^']*)')?(?: on (\S+))? for |user )(.*) from (\S+)"
    r" port (\d{1,5}) id (\d{1,9})$",
    re.ASCII,
)


def connection(message: str) -> Fields | None:
    """Connection closed|reset by, Disconnected from, Disconnecting [KIND user USER ]ADDRESS port N."""
    preauth = message.endswith(" [preauth]")
    body = message[:-10] if preauth else message
    if body.endswith(" timed out"):
        return None
    found_start = next(((s, a) for s, a in _CONNECTION_STARTS if body.startswith(s)), None)
    if found_start is None:
        return None
    start, action = found_start
    rest = body[len(start) :]
    fields = base(action, "failure" if preauth else "unknown", NETWORK, start.rstrip(" "))
    kind, _, named = rest.partition(" user ") if rest.startswith(_USER_KINDS) else ("", "", "")
    if rest.startswith("user "):
        kind, named = "user", rest[5:]
    if start == "Disconnecting ":
        named, rest = _until_reason(named, fields), _until_reason(rest, fields) if not named else rest
    if kind:
        found = _USER_PEER.match(named)
        if found is None:
            return None
        fields["user.name"] = found[1]
        if kind in ("invalid", "illegal"):
            fields["event.outcome"] = "failure"
            fields["system.auth.ssh.invalid_user"] = True
        source(fields, found[2], found[3])
        return fields
    return bare_peer(rest, fields)


_CONNECTION_STARTS: Final = (
    ("Connection closed by ", "ssh_connection_closed"),
    ("Connection reset by ", "ssh_connection_reset"),
    ("Disconnected from ", "ssh_disconnected"),
    ("Disconnecting ", "ssh_disconnected"),
    ("Connection from ", "ssh_connection"),
    ("Connection ", "ssh_connection"),
)
_USER_KINDS: Final = ("invalid user ", "illegal user ", "authenticating user ")


def _until_reason(text: str, fields: Fields) -> str:
    """Part what sshd disconnects from its reason, whose only attacker's words are a change of user name."""
    at = text.rfind(": Too many authentication failures")
    if at < 0:
        at = text.find(": Change of username or service not allowed")
    if at < 0:
        at = text.rfind(": ")
    if at < 0:
        return text
    fields["event.reason"] = text[at + 2 :]
    fields["event.outcome"] = "failure"
    return text[:at]


def bare_peer(rest: str, fields: Fields) -> Fields | None:
    found = _PEER.match(rest)
    if found is not None:
        source(fields, found[1].rstrip(":,"), found[2])
    return fields


def too_many(message: str) -> Fields:
    """Disconnecting: Too many authentication failures[ for USER[ from ADDRESS port N ssh2]] (before OpenSSH 7.5)."""
    fields = base("ssh_disconnected", "failure", NETWORK, "Disconnecting")
    body = message.removesuffix(" [preauth]")
    fields["event.reason"] = body.removeprefix("Disconnecting: ")
    _, marked, user = body.partition(" authentication failures for ")
    if marked:
        peer = _TOO_MANY_PEER.match(user)
        fields["user.name"] = (peer[1] if peer else user).removeprefix("invalid user ")
        if peer is not None:
            source(fields, peer[2], peer[3])
    return fields


def received(message: str) -> Fields | None:
    """Received disconnect from ADDRESS[ port N]:CODE: REASON; the code says if it was an error (RFC 4253, 11.1)."""
    found = _DISCONNECT.match(message, 25) if message.startswith("Received disconnect from ") else None
    if found is None:
        return None
    host, port, code, reason, _ = found.groups()  # the peer's reason may itself end with [preauth]: it decides nothing
    fields = base("ssh_disconnected", "unknown" if code == "11" else "failure", NETWORK, "Received disconnect")
    fields["event.reason"] = reason
    number(fields, "system.auth.ssh.disconnect_code", code)
    source(fields, host, port)
    return fields


def session(message: str) -> Fields | None:
    """Starting session: command|shell on pts/0|subsystem 'sftp' for USER from ADDRESS port N id N, and its close."""
    found = _SESSION.match(message)
    if found is None:
        return None
    verb, kind, subsystem, tty, user, host, port, number_ = found.groups()
    started = verb == "Starting"
    fields = base("ssh_session_started" if started else "ssh_session_closed", "success", ["session"], verb + " session")
    fields["event.type"] = ["start" if started else "end"]
    fields["user.name"] = user
    fields["system.auth.ssh.session_id"] = int(number_)
    if kind:
        fields["system.auth.ssh.session_kind"] = subsystem or kind
    if tty:
        fields["system.auth.ssh.tty"] = tty
    source(fields, host, port)
    return fields


def bad_protocol(message: str) -> Fields | None:
    """Bad protocol version identification 'TEXT' from ADDRESS port N; Did not receive identification string from."""
    found = LAST_FROM.match(message)
    if found is None:
        return None
    fields = base("ssh_no_identification", "failure", NETWORK, found[1].partition(" '")[0])
    source(fields, found[2], found[3])
    if message.startswith("Did not") and found[2] != "UNKNOWN":
        fields["system.auth.ssh.dropped_ip"] = found[2]
    return fields
