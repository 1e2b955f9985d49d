"""What sshd says of itself, of forwarding, and of keys and accounts that it does not take (OpenSSH 7 to 9).

Sources: sshd.c, serverloop.c, auth.c, auth2-pubkey.c, auth-options.c, channels.c, packet.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from collectors.formats.address import source
from collectors.formats.sshd_fields import AUTH, NETWORK, Fields, base
from rules.event import Scalar

_PROCESS: Final[list[Scalar]] = ["process"]
_SERVICE: Final = (
    ("Server listening on ", "ssh_server_listening", "start"),
    ("Received SIGHUP; restarting.", "ssh_server_restarted", "change"),
    ("Received signal ", "ssh_server_stopped", "end"),
    ("Exiting on signal ", "ssh_server_stopped", "end"),
)
# "originator ADDRESS port N, target HOST port N" (server's own words); 9.x: "Received request from ADDRESS port N to
# connect to host HOST port N, but the request was denied."
_FORWARD: Final = re.compile(
    r"refused (?:local|remote|streamlocal) port forward: originator (\S+) port (\d{1,5}), target (.*) port (\d{1,5})$"
    r"|Received request from (\S+) port (\d{1,5}) to connect to (?:host )?(.*) port (\d{1,5}), but "
    r"the request was denied",
    re.ASCII | re.DOTALL,
)
_WRONG_HOST: Final = re.compile(
    r"Authentication tried for (\S+) with (?:correct|valid certificate).* but not from a permitted "
    r"(?:host|source address) \((?:host=\S*, )?(?:ip=)?([^\s,()]+)",
    re.DOTALL,
)
_ACCESS_DENIED: Final = re.compile(r"Access denied for user (\S*) by PAM account configuration(?: \[preauth\])?$")
_REFUSED_KEY: Final = re.compile(
    r"(?:Authentication key (?P<key>\S+ \S+) revoked by file "
    r"|Refusing certificate ID \"(?P<id>.*)\" serial=(?P<serial>\d{1,20}) signed by (?P<ca>\S+ CA \S+)"
    r"|Refusing (?P<weak>\S+) key:|Certificate (?P<why>invalid: |ID \S+ not ))",
    re.ASCII | re.DOTALL,
)
_LOST: Final = re.compile(r"(?:Read|Write) error (?:from|to) remote host (\S+)(?: port (\d{1,5}))?: (.*)$", re.DOTALL)
_LEAVING: Final = re.compile(r"Closing connection to (\S+) port (\d{1,5})$", re.ASCII)
_SENT: Final = re.compile(r"Transferred: sent (\d{1,18}), received (\d{1,18}) bytes$", re.ASCII)


def read(message: str) -> Fields | None:
    """Return what a message of these says, or None."""
    for start, action, kind in _SERVICE:
        if message.startswith(start):
            fields = base(action, "unknown", _PROCESS, start.rstrip(" "))
            fields["event.type"] = [kind]
            return fields
    for pattern, build in _READERS:
        found = pattern.match(message)
        if found is not None:
            return build(found)
    return None


def _forward(found: re.Match[str]) -> Fields:
    host, port, target, target_port = (found[n] or found[n + 4] for n in range(1, 5))
    fields = base("ssh_forward_refused", "failure", NETWORK, "port forward")
    fields["event.type"] = ["connection", "denied"]
    source(fields, host, port)
    fields["destination.address"] = target
    fields["destination.port"] = int(target_port)
    return fields


def _wrong_host(found: re.Match[str]) -> Fields:
    fields = base("ssh_login", "failure", AUTH, "not from a permitted host")
    fields["user.name"] = found[1]
    fields["event.reason"] = "key not from a permitted host"
    source(fields, found[2])
    return fields


def _denied(found: re.Match[str]) -> Fields:
    fields = base("ssh_login", "failure", AUTH, "Access denied")
    fields["user.name"] = found[1]
    fields["event.reason"] = "PAM account configuration"
    return fields


def _refused_key(found: re.Match[str]) -> Fields:
    fields = base("ssh_login", "failure", AUTH, "key refused")
    fields["event.reason"] = found.string
    if found["key"]:
        fields["system.auth.ssh.signature"] = found["key"]
    if found["id"] is not None:
        fields["system.auth.ssh.certificate.id"] = found["id"]
        fields["system.auth.ssh.certificate.serial"] = found["serial"]
    return fields


def _lost(found: re.Match[str]) -> Fields:
    fields = base("ssh_connection_reset", "unknown", NETWORK, found.string.partition(" remote")[0])
    fields["event.reason"] = found[3]
    source(fields, found[1], found[2])
    return fields


def _leaving(found: re.Match[str]) -> Fields:
    fields = base("ssh_connection_closed", "unknown", NETWORK, "Closing connection")
    source(fields, found[1], found[2])
    return fields


def _sent(found: re.Match[str]) -> Fields:
    fields = base("ssh_transferred", "unknown", NETWORK, "Transferred")
    fields["destination.bytes"], fields["source.bytes"] = int(found[1]), int(found[2])
    return fields


_READERS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Fields]], ...]] = (
    (_FORWARD, _forward),
    (_WRONG_HOST, _wrong_host),
    (_ACCESS_DENIED, _denied),
    (_REFUSED_KEY, _refused_key),
    (_LOST, _lost),
    (_LEAVING, _leaving),
    (_SENT, _sent),
)


def certificate(extra: str, fields: Fields) -> None:
    """Part what follows `ssh2: ` of an accepted certificate, `TYPE HASH ID NAME (serial N) CA TYPE HASH`.

    The name is whatever the authority wrote: it ends at the last serial, since the server writes no more of those.
    """
    name, marked, rest = extra.partition(" ID ")[2].rpartition(" (serial ")
    serial, closed, authority = rest.partition(") CA ")
    if marked and closed:
        fields["system.auth.ssh.certificate.id"] = name
        fields["system.auth.ssh.certificate.serial"] = serial
        fields["system.auth.ssh.certificate.authority"] = authority
