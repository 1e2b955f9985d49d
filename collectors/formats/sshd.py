"""OpenSSH's sshd: its messages by their first word."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from collectors.formats import sshd_login, sshd_network, sshd_quick, sshd_service
from collectors.formats.address import source
from collectors.formats.sshd_fields import NETWORK, Fields, base

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
    if found is not None:
        return found
    return _other(message)


def _error(message: str) -> Fields | None:
    """error: and fatal: before PAM's verdict, the maximum of attempts, a disconnect, or what else there was."""
    level, _, body = message.partition(": ")
    if body.startswith("PAM: "):
        fields = sshd_login.pam_verdict(body)
    elif body.startswith("maximum authentication attempts exceeded for "):
        fields = sshd_login.maximum(body)
    elif body.startswith("Received disconnect from "):
        fields = sshd_network.received(body)
    else:
        fields = _other(body)
    if fields is not None:
        fields["log.level"] = level
    return fields


def _repeated(message: str) -> Fields | None:
    """message repeated N times: [ MESSAGE] (rsyslog's): the message once, with the number of times."""
    found = _REPEATED.match(message)
    if found is None or found[2].startswith("message repeated"):
        return None
    fields = read(found[2])
    if fields is not None:
        fields["tocsin.repeat"] = int(found[1])
    return fields


def _other(message: str) -> Fields | None:
    """Keep the peer of a message whose kind says nothing of a login: `... Connection from ADDRESS port N: ...`."""
    if message.startswith(
        (
            "Timeout before authentication",
            "Unable to negotiate",
            "drop connection",
            "banner exchange",
            "ssh_dispatch_run_fatal",
            "kex_exchange_identification",
            "Protocol major versions differ",
            "Connection ",
            "srclimit_penalise",
            "beginning MaxStartups",
            "exited MaxStartups",
        )
    ):
        fields = base("ssh_connection_failed", "failure", NETWORK, message.partition(":")[0].partition(" with ")[0])
        found = sshd_network.ANY_PEER.search(message)
        if found is not None:
            source(fields, found[1], found[2])
        return fields
    if message.startswith(("kernel: [", "kernel:[")):
        return read(message.partition("]")[2].lstrip(": "))
    return sshd_service.read(message)


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
    "maximum": sshd_login.maximum,
    "PAM:": sshd_login.pam_verdict,
    "Starting": sshd_network.session,
    "Close": sshd_network.session,
    "Bad": sshd_network.bad_protocol,
    "Did": sshd_network.bad_protocol,
    "ROOT": sshd_login.root_refused,
    "refused": sshd_network.refused,
    "Authentication": sshd_login.pam_alone,
    "message": _repeated,
    "reverse": sshd_network.mapping,
    "Address": sshd_network.mapping,
    "subsystem": sshd_network.subsystem,
    "input_userauth_request:": sshd_login.input_request,
}
