"""What nearly every line of pam_unix says, in one pattern each: only where every part is plainly what it seems.

Names without blanks or brackets, an address in its usual form, no remote user. What is not so plain is read part by
part in pam, which says the same of these (a test holds both to it).
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import IPV4
from rules.event import Value

Fields = dict[str, Value]
# The services whose failures tell of two people, who asked and whom to become: `failure` leaves those to pam.
LOCAL: Final = frozenset({"sudo", "sudo-i", "su", "su-l", "polkit-1", "runuser", "runuser-l", "doas"})
_SESSION: Final = re.compile(
    r"pam_unix\(([\w./-]{1,64}):session\): session (?:(opened)|closed) for user ([^\s()]+)(?:\(uid=([0-9]{1,10})\))?"
    r"(?: by ([^\s()]*)\(uid=([0-9]{1,10})\))?\Z",
    re.ASCII,
)
_FAILURE: Final = re.compile(
    r"pam_unix\(([\w./-]{1,64}):auth\): authentication failure; logname=\S* uid=[0-9]* euid=[0-9]* tty=(\S*) ruser= "
    rf"rhost=({IPV4})  user=(\S+)\Z",
    re.ASCII,
)


def session(message: str) -> Fields | None:
    """session opened|closed for user NAME[(uid=N)][ by NAME(uid=N)]."""
    found = _SESSION.match(message)
    if found is None:
        return None
    service, opened, user, uid, by, by_uid = found.groups()
    if opened is None and by_uid is not None:
        return None
    fields: Fields = {
        "event.module": "pam",
        "event.dataset": "system.auth",
        "system.auth.pam.module": "pam_unix",
        "system.auth.pam.service": service,
        "system.auth.pam.type": "session",
        "event.category": ["session"],
        "event.type": ["end" if opened is None else "start"],
        "event.action": "logged-off" if opened is None else "logged-on",
    }
    if by or by_uid is None or by_uid == "0":
        fields["user.name"] = by or user
    if by_uid is not None and (by or by_uid != "0"):
        fields["user.id"] = by_uid
    elif uid is not None:
        fields["user.id"] = uid
    if opened is not None:
        fields["user.effective.name"] = user
        if uid is not None:
            fields["user.effective.id"] = uid
    return fields


def failure(message: str) -> Fields | None:
    """authentication failure; logname= uid= euid= tty= ruser= rhost=ADDRESS  user=NAME."""
    found = _FAILURE.match(message)
    if found is None:
        return None
    service, tty, host, user = found.groups()
    if service in LOCAL:
        return None
    fields: Fields = {
        "event.module": "pam",
        "event.dataset": "system.auth",
        "system.auth.pam.module": "pam_unix",
        "system.auth.pam.service": service,
        "system.auth.pam.type": "auth",
        "event.category": ["authentication"],
        "event.type": ["info"],
        "event.action": "authentication_failure",
        "event.outcome": "failure",
        "user.name": user,
        "source.ip": host,
    }
    if tty:
        fields["system.auth.pam.tty"] = tty
    return fields
