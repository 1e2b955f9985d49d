"""vsftpd, ProFTPD, Pure-FTPd and BSD's ftpd: logins, their refusal, and what was done to which file.

Sources: vsftpd 2 and 3 (logging.c), ProFTPD 1.3 (mod_auth.c, session.c, main.c), Pure-FTPd 1 (messages_en.h), BSD's ftpd.c.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from collectors.formats.sayings import AUTH, NETWORK, SESSION, Fields, Saying, reader
from rules.event import Scalar

_VSFTPD: Final = re.compile(
    r"\[(.*?)\] (OK|FAIL) (LOGIN|UPLOAD|DOWNLOAD|DELETE|MKDIR|RENAME|RMDIR|CHMOD): Client \"([^\"]*)\"(.*)$", re.DOTALL
)
_VSFTPD_OTHER: Final = reader(
    "vsftpd",
    (
        Saying("CONNECT: ", r"Client \"(?P<host>[^\"]*)\".*", NETWORK, "ftp_connection"),
        Saying("DEBUG: ", r"Client \"(?P<host>[^\"]*)\", \"(?P<why>.*)\"", NETWORK, "ftp_connection"),
        Saying(
            "FTP response: ", r"Client \"(?P<host>[^\"]*)\", \"(?P<why>530 .*)\"", NETWORK, "ftp_response", "failure"
        ),
        Saying("FTP response: ", r"Client \"(?P<host>[^\"]*)\", \"(?P<why>.*)\"", NETWORK, "ftp_response"),
        Saying("FTP command: ", r"Client \"(?P<host>[^\"]*)\", \"(?P<why>.*)\"", NETWORK, "ftp_command"),
    ),
)


def read_vsftpd(message: str) -> Fields | None:
    """[alice] FAIL LOGIN: Client "1.2.3.4"; or PAM's words without PAM's name, as Debian's vsftpd writes them."""
    if message.startswith("authentication failure; "):
        from collectors.formats import pam  # noqa: PLC0415  a cycle in name only: pam reads no program

        return pam.read(f"pam_unix(vsftpd:auth): {message}", "vsftpd")
    found = _VSFTPD.match(message)
    if found is None:
        who, marked, rest = message.partition("] FTP ")
        fields = _VSFTPD_OTHER(f"FTP {rest}" if marked and who.startswith("[") else message)
        if fields is not None and marked:
            fields["user.name"] = who[1:]
        return fields
    user, verdict, what, host, rest = found.groups()
    login = what == "LOGIN"
    outcome = "success" if verdict == "OK" else "failure"
    fields = _base("vsftpd", f"ftp_{what.lower()}", outcome, [AUTH] if login else ["file"])
    fields["user.name"] = user
    source(fields, host)
    if not login and '"' in rest:
        fields["file.path"] = rest.partition('"')[2].partition('"')[0]
    return fields


_PUREFTPD: Final = re.compile(r"\(([^()\s]*)@([^()\s@]*)\) \[\w+\] (.*)$", re.DOTALL)
_PUREFTPD_SAID: Final = reader(
    "pure-ftpd",
    (
        Saying("Authentication failed for user ", r"\[(?P<user>.*)\]", AUTH, "ftp_login", "failure"),
        Saying("Can't login as ", r"\[(?P<user>.*)\]: (?P<why>.*)", AUTH, "ftp_login", "failure"),
        Saying("Too many authentication failures", "", AUTH, "ftp_login", "failure"),
        Saying("New connection from ", r"(?P<domain>\S+)", NETWORK, "ftp_session"),
        Saying("Logout.", "", SESSION, "ftp_session_closed", types="end"),
        Saying("Deleted ", r"(?P<path>.*)", "file", "ftp_delete", "success", "deletion"),
    ),
)
_PUREFTPD_FILE: Final = re.compile(r"(.*) (uploaded|downloaded) +\(\d+ bytes, .*\)\Z", re.DOTALL)


def read_pureftpd(message: str) -> Fields | None:
    """(USER@HOST) [WARNING] Authentication failed for user [USER]; (?@HOST) [INFO] USER is now logged in."""
    found = _PUREFTPD.match(message)
    if found is None:
        return None
    user, host, said = found.groups()
    fields = _pureftpd(said)
    fields.pop("source.domain", None)
    source(fields, host)
    if user not in ("?", ""):
        fields.setdefault("user.name", user)
    return fields


def _pureftpd(said: str) -> Fields:
    if said.endswith(" is now logged in"):
        return {**_base("pure-ftpd", "ftp_login", "success", [AUTH]), "user.name": said[: -len(" is now logged in")]}
    if (moved := _PUREFTPD_FILE.match(said)) is not None:
        fields = _base("pure-ftpd", "ftp_upload" if moved[2] == "uploaded" else "ftp_download", "success", ["file"])
        return {**fields, "file.path": moved[1]}
    return _PUREFTPD_SAID(said) or _base("pure-ftpd", "ftp_session", "unknown", [NETWORK])


# "host (name[1.2.3.4]) - USER alice: Login successful." Some write ": " for " - ".
_PROFTPD: Final = re.compile(r"(?:\S+ )?\((\S*)\[([^\]\s]*)\]\)(?: - |: )(.*)$", re.DOTALL)
# The name is anyone's words, what follows it the server's: the last of its sentences counts.
_PROFTPD_USER: Final = re.compile(
    r"(?:USER|ANON) (.*)(?: \(Login failed\): |: (?=no such user found from ))(.*)\Z", re.DOTALL
)
_PROFTPD_IN: Final = re.compile(r"(?:USER|ANON) (.*): (Login successful\.?)\Z", re.DOTALL)
_PROFTPD_REST: Final = re.compile(r"(?:USER|ANON) (.*?): (.*)\Z", re.DOTALL)
_PROFTPD_SAID: Final = reader(
    "proftpd",
    (
        Saying("SECURITY VIOLATION: ", r"(?P<user>.*) login attempted\.?", AUTH, "ftp_login", "failure"),
        Saying("Maximum login attempts ", r"(?P<why>.*)", AUTH, "ftp_login", "failure"),
        Saying("FTP login timed out", r"(?P<why>.*)", NETWORK, "ftp_session", "failure"),
        Saying("Connection ", r"(?P<why>(?:refused|from .* denied).*)", NETWORK, "ftp_session", "failure"),
        Saying("Refused ", r"(?P<why>.*)", NETWORK, "ftp_session", "failure"),
        Saying("FTP session opened", r"\.?", NETWORK, "ftp_session_opened"),
        Saying("FTP session closed", r"\.?", NETWORK, "ftp_session_closed"),
        Saying("SSH2 session opened", r"\.?", NETWORK, "ftp_session_opened"),
        Saying("SSH2 session closed", r"\.?", NETWORK, "ftp_session_closed"),
    ),
)


def read_proftpd(message: str) -> Fields | None:
    """NAME (HOST[ADDRESS]) - USER alice: Login successful; (Login failed): Incorrect password; no such user ..."""
    found = _PROFTPD.match(message)
    if found is None:
        return _REFUSED(message)
    name, address, said = found.groups()
    fields = _proftpd_user(said) if said.startswith(("USER ", "ANON ")) else _PROFTPD_SAID(said)
    fields = fields or _base("proftpd", "ftp_session", "unknown", [NETWORK])
    source(fields, address or name)
    return fields


def _proftpd_user(said: str) -> Fields | None:
    found = _PROFTPD_IN.match(said)
    success = found is not None
    found = found or _PROFTPD_USER.match(said) or _PROFTPD_REST.match(said)
    if found is None:
        return None
    fields = _base("proftpd", "ftp_login", "success" if success else "failure", [AUTH])
    fields["user.name"] = found[1]
    fields["event.reason"] = found[2]
    return fields


_REFUSED: Final = reader(
    "proftpd",
    (Saying("refused connect from ", r"(?:\S+ \()?(?P<host>[^()\s]+)\)?", NETWORK, "ftp_session", "failure"),),
)
read_ftpd: Final = reader(
    "ftpd",
    (
        Saying("FTP LOGIN FROM ", r"(?P<host>\S+?),? as (?P<user>.*)", AUTH, "ftp_login", "success"),
        Saying(
            "FTP LOGIN REFUSED ",
            r"(?:\([^()]*\) )?FROM (?P<host>[^\s,]+)(?: \[[^\]]*\])?, (?P<user>.*)",
            AUTH,
            "ftp_login",
            "failure",
        ),
        Saying(
            "FTP LOGIN FAILED ",
            r"(?:\([^()]*\) )?FROM (?P<host>[^\s,]+)(?: \[[^\]]*\])?, (?P<user>.*)",
            AUTH,
            "ftp_login",
            "failure",
        ),
        Saying(
            "ANONYMOUS FTP LOGIN FROM ", r"(?P<host>[^\s,]+)(?: \[[^\]]*\])?, (?P<why>.*)", AUTH, "ftp_login", "success"
        ),
        Saying("refused connect from ", r"(?:\S+ \()?(?P<host>[^()\s]+)\)?", NETWORK, "ftp_session", "failure"),
        Saying("connection from ", r"(?P<host>[^\s()]+).*", NETWORK, "ftp_session"),
        Saying("connect from ", r"(?P<host>[^\s()]+).*", NETWORK, "ftp_session"),
    ),
)


def _base(module: str, action: str, outcome: str, category: list[Scalar]) -> Fields:
    return {
        "event.module": module,
        "event.dataset": "system.auth",
        "event.category": category,
        "event.type": ["info"],
        "event.action": action,
        "event.outcome": outcome,
    }
