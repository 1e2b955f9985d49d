"""Dropbear (svr-auth.c, svr-authpasswd.c, svr-authpam.c, svr-authpubkey.c, svr-session.c; 0.48 to 2025.88)."""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from collectors.formats.sayings import AUTH, NETWORK, SESSION, Fields, Saying, reader

_STAMPED: Final = re.compile(r"\[\d{1,10}\] [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d:\d\d ", re.ASCII)
_PEER: Final = r"<?\[?(?P<host>[^\s<>\[\]]+?)\]?(?::(?P<port>\d{1,5}))?>?"
_FROM: Final = rf"(?: from {_PEER})?"
_USER: Final = r"'(?:is invalid|(?P<user>.*))'"  # "is invalid" is dropbear's own word for a name that it will not log
_FAILS: Final = r"\(user '(?P<user>.*?)', \d{1,5} fails\)"


def _login(start: str, rest: str, outcome: str = "failure") -> Iterator[Saying]:
    """Give the message as it is since 2011.54, and as it was before: with a small letter first."""
    for first in (start[0], start[0].lower()):
        yield Saying(first + start[1:], rest, AUTH, "ssh_login", outcome)


_LOGINS: Final = (
    *_login("Password auth succeeded for ", rf"{_USER}{_FROM}", "success"),
    *_login("PAM password auth succeeded for ", rf"{_USER}{_FROM}", "success"),
    *_login("Pubkey auth succeeded for ", rf"{_USER} with (?:[^']*key )?(?P<key>[^']*?){_FROM}", "success"),
    *_login("Auth succeeded with blank password for ", rf"{_USER}{_FROM}", "success"),
    *_login("Bad password attempt for ", rf"{_USER}{_FROM}"),
    *_login("Bad PAM password attempt for ", rf"{_USER}{_FROM}"),
    *_login("Login attempt for nonexistent user", rf"(?: {_USER})?{_FROM}"),
    *_login("Login attempt with wrong user ", rf"'?(?P<user>.*?)'?{_FROM}"),
    *_login("Max auth tries reached - user ", rf"{_USER}{_FROM}"),
    *_login(
        "User ",
        rf"{_USER} (?P<why>has invalid shell, rejected|has blank password, rejected|pubkey file has bad permissions){_FROM}",
    ),
    *_login("User account ", rf"{_USER} (?P<why>is locked){_FROM}"),
    *_login("Root login rejected", rf"{_FROM}"),
    *_login("Bad signature ", rf"from {_PEER}"),
)
_CONNECTIONS: Final = (
    Saying("Child connection from ", _PEER, NETWORK, "ssh_connection"),
    Saying("child connection from ", _PEER, NETWORK, "ssh_connection"),
    Saying("Exit before auth ", rf"from {_PEER}: (?:{_FAILS}: )?(?P<why>.*)", AUTH, "ssh_disconnected", "failure"),
    Saying("Exit before auth ", rf"{_FAILS}: (?P<why>(?:.*?){_FROM})", AUTH, "ssh_disconnected", "failure"),
    Saying("Exit before auth: ", r"(?P<why>.*)", AUTH, "ssh_disconnected", "failure"),
    Saying("exit before auth ", rf"{_FAILS}: (?P<why>(?:.*?){_FROM})", AUTH, "ssh_disconnected", "failure"),
    Saying("exit before auth: ", r"(?P<why>.*)", AUTH, "ssh_disconnected", "failure"),
    Saying(
        "Exit ", rf"\((?P<user>[^()]*)\)(?: from {_PEER})?: (?P<why>.*)", SESSION, "ssh_session_closed", types="end"
    ),
    Saying(
        "exit after auth ",
        rf"\((?P<user>[^()]*)\)(?: from {_PEER})?: (?P<why>.*)",
        SESSION,
        "ssh_session_closed",
        types="end",
    ),
    Saying("Failed listening on ", r"(?P<why>.*)", "process", "ssh_server_failed", "failure", "error"),
)
_read: Final = reader("dropbear", (*_LOGINS, *_CONNECTIONS))


def read(message: str) -> Fields | None:
    """Return what one message of dropbear says."""
    stamp = _STAMPED.match(message)
    fields = _read(message[stamp.end() :] if stamp else message)
    if fields is None or fields["event.action"] != "ssh_login":
        return fields
    low = message.lower()
    fields["system.auth.ssh.method"] = "publickey" if "pubkey" in low[:64] or "signature" in low[:64] else "password"
    if "root login rejected" in low[:64]:
        fields["user.name"] = "root"
    return fields
