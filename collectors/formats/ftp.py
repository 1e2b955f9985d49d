"""vsftpd and ProFTPD: logins, and their refusal."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from rules.event import Scalar, Value

Fields = dict[str, Value]
_VSFTPD: Final = re.compile(
    r"\[(.*?)\] (OK|FAIL) (LOGIN|UPLOAD|DOWNLOAD|DELETE|MKDIR|RENAME|RMDIR|CHMOD): Client \"([^\"]*)\"(.*)$", re.DOTALL
)
_PUREFTPD: Final = re.compile(r"\((?:[^()\s]*)@([^()\s@]*)\) \[\w+\] (.*)$", re.DOTALL)
_CONNECT: Final = re.compile(r"CONNECT: Client \"([^\"]*)\"")
# "host (name[1.2.3.4]) - USER alice: Login successful." Some write ": " for " - ".
_PROFTPD: Final = re.compile(r"(?:\S+ )?\((\S*)\[([^\]\s]*)\]\)(?: - |: )(.*)$", re.DOTALL)
_PROFTPD_USER: Final = re.compile(r"(?:USER|ANON) (.*?)(?: \(Login failed\))?: (.*)$", re.DOTALL)


def read_vsftpd(message: str) -> Fields | None:
    """[alice] FAIL LOGIN: Client "1.2.3.4"; or PAM's words without PAM's name, as Debian's vsftpd writes them."""
    if message.startswith("authentication failure; "):
        from collectors.formats import pam  # noqa: PLC0415  a cycle in name only: pam reads no program

        return pam.read(f"pam_unix(vsftpd:auth): {message}", "vsftpd")
    found = _VSFTPD.match(message)
    if found is None:
        connect = _CONNECT.match(message)
        if connect is None:
            return None
        fields = _base("vsftpd", "ftp_connection", "unknown", ["network"])
        source(fields, connect[1])
        return fields
    user, verdict, what, host, rest = found.groups()
    login = what == "LOGIN"
    fields = _base(
        "vsftpd",
        f"ftp_{what.lower()}",
        "success" if verdict == "OK" else "failure",
        ["authentication"] if login else ["file"],
    )
    fields["user.name"] = user
    source(fields, host)
    if not login and '"' in rest:
        fields["file.path"] = rest.partition('"')[2].partition('"')[0]
    return fields


def read_pureftpd(message: str) -> Fields | None:
    """(USER@HOST) [WARNING] Authentication failed for user [USER]; (?@HOST) [INFO] USER is now logged in."""
    found = _PUREFTPD.match(message)
    if found is None:
        return None
    host, said = found.groups()
    failed = said.startswith("Authentication failed for user [")
    good = said.endswith(" is now logged in")
    login = failed or good
    fields = _base(
        "pure-ftpd",
        "ftp_login" if login else "ftp_session",
        "failure" if failed else "success" if good else "unknown",
        ["authentication"] if login else ["network"],
    )
    source(fields, host)
    if login:
        fields["user.name"] = said[32:].removesuffix("]") if failed else said.removesuffix(" is now logged in")
    return fields


def read_proftpd(message: str) -> Fields | None:
    """NAME (HOST[ADDRESS]) - USER alice: Login successful; (Login failed): Incorrect password; no such user ..."""
    found = _PROFTPD.match(message)
    if found is None:
        return None
    _name, address, said = found.groups()
    fields = _base("proftpd", "ftp_session", "unknown", ["network"])
    source(fields, address or _name)
    user = _PROFTPD_USER.match(said)
    if user is not None:
        why = user[2]
        fields |= _base(
            "proftpd", "ftp_login", "success" if why.startswith("Login successful") else "failure", ["authentication"]
        )
        fields["user.name"] = user[1]
        fields["event.reason"] = why
    elif said.startswith("SECURITY VIOLATION: "):
        fields |= _base("proftpd", "ftp_login", "failure", ["authentication"])
        fields["user.name"] = said[20:].partition(" login attempted")[0]
    elif said.startswith("Maximum login attempts"):
        fields |= _base("proftpd", "ftp_login", "failure", ["authentication"])
    return fields


def _base(module: str, action: str, outcome: str, category: list[Scalar]) -> Fields:
    return {
        "event.module": module,
        "event.dataset": "system.auth",
        "event.category": category,
        "event.type": ["info"],
        "event.action": action,
        "event.outcome": outcome,
    }
