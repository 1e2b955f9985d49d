"""OpenSSH's sshd: its messages by their first word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from collectors.formats import sshd_login, sshd_network, sshd_quick, sshd_service
from collectors.formats.sshd_fields import Fields

_LEVELS: Final = ("error: ", "fatal: ", "debug1: ", "kernel:")
_REPEATED: Final = re.compile(r"message repeated (\d{1,9}) times?: \[ ?(.*?)\]?$", re.ASCII | re.DOTALL)


def read(message: str) -> Fields | None:
    """Return what one message of sshd says, or None if sshd never wrote it that we know."""
    quick = sshd_quick.BY_INITIAL.get(message[:1])
    return (quick(message) if quick is not None else None) or by_word(message)


def by_word(message: str) -> Fields | None:
    """The same by the readers that know every form of each message."""
    message = message.lstrip(" ")
    reader = _BY_WORD.get(message[: message.find(" ")])
    found = reader(message) if reader is not None else None
    if found is None and message.startswith("kernel:"):
        return _kernel(message)
    return sshd_service.read(message) if found is None else found


def _error(message: str) -> Fields | None:
    """error: and fatal: (and libwrap's and debug levels) before a message of any kind, which is of that level."""
    level, _, body = message.partition(": ")
    if body.startswith(_LEVELS):
        return None
    fields = by_word(body)
    if fields is not None:
        fields["log.level"] = level
    return fields


def _repeated(message: str) -> Fields | None:
    """message repeated N times: [ MESSAGE] (rsyslog's): the message once, with the number of times."""
    found = _REPEATED.match(message)
    if found is None or "message repeated" in found[2]:
        return None
    fields = read(found[2])
    if fields is not None:
        fields["tocsin.repeat"] = int(found[1])
    return fields


def _kernel(message: str) -> Fields | None:
    """kernel: [TIME] MESSAGE: what a relay put before it."""
    body = message.partition("]")[2].lstrip(": ")
    return read(body) if message.startswith(("kernel: [", "kernel:[")) and not body.startswith("kernel:") else None


_BY_WORD: Final[dict[str, Callable[[str], Fields | None]]] = {
    "Accepted": sshd_login.accepted,
    "Failed": sshd_login.attempt,
    "Postponed": sshd_login.attempt,
    "Partial": sshd_login.attempt,
    "Invalid": sshd_login.invalid,
    "Illegal": sshd_login.invalid,
    "Connection": sshd_network.connection,
    "Disconnected": sshd_network.connection,
    "Disconnecting": sshd_network.connection,
    "Disconnecting:": sshd_network.too_many,
    "Received": sshd_network.received,
    "User": sshd_login.user,
    "error:": _error,
    "fatal:": _error,
    "debug1:": _error,
    "maximum": sshd_login.maximum,
    "PAM:": sshd_login.pam_verdict,
    "Starting": sshd_network.session,
    "Close": sshd_network.session,
    "Bad": sshd_network.bad_protocol,
    "Did": sshd_network.bad_protocol,
    "ROOT": sshd_login.root_refused,
    "Authentication": sshd_login.pam_alone,
    "message": _repeated,
    "input_userauth_request:": sshd_login.input_request,
}
