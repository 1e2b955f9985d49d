"""sshd's verdicts on logins (auth.c, auth2.c, monitor.c): accepted, failed, refused.

A user's name is the attacker's word and may hold blanks, ` from ` and ` port `. sshd writes what it knows after
that word, so those lines are read from the right; for a name that exists (no "invalid user" before it, hence no
blanks in it), from the left, since there a certificate's id may follow.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import number, source
from collectors.formats.sshd_fields import AUTH, LAST_FROM, Fields, base
from collectors.formats.sshd_network import bare_peer

# "... from ADDRESS port N ssh2" and what may follow: ": ED25519 SHA256:...", ": ruser ...", " [preauth]"
_FROM: Final = re.compile(r" from (\S+) port (\d{1,5})(?: ssh([12]))?(?=$|: | ruser | \[preauth\]$)", re.ASCII)
_FROM_END: Final = re.compile(
    r"(?:.*)( from (\S+) port (\d{1,5})(?: ssh[12])?)(?: \[preauth\])?$", re.ASCII | re.DOTALL
)
_FROM_KEY: Final = re.compile(r"(?:.*)( from (\S+) port (\d{1,5}) ssh[12]): ", re.ASCII | re.DOTALL)


def attempt(message: str) -> Fields | None:
    """Accepted, Failed, Postponed, Partial METHOD for [invalid user ]USER from ADDRESS port N ssh2[: EXTRA]."""
    event, _, rest = message.partition(" ")
    method, _, rest = rest.partition(" for ")
    if not rest or " " in method:
        return None
    unknown = rest.startswith(("invalid user ", "illegal user "))
    peer = _peer_of_invalid(rest, method) if unknown else _peer_of_valid(rest)
    if peer is None:
        return None
    user, host, port, extra = peer
    return _verdict(event, method, "invalid" if unknown else None, user[13:] if unknown else user, host, port, extra)


def _verdict(  # noqa: PLR0913, PLR0917  the words of one line, in its order
    event: str, method: str, unknown: str | None, user: str, host: str, port: str, extra: str | None
) -> Fields:
    accepted = event == "Accepted"
    fields: Fields = {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["authentication", "session"] if accepted else ["authentication"],
        "event.type": ["info"],
        "event.action": "ssh_login",
        "event.outcome": "success" if accepted else "failure" if unknown or event == "Failed" else "unknown",
        "system.auth.ssh.event": event,
        "system.auth.ssh.method": method,
        "user.name": user,
    }
    if unknown:
        fields["system.auth.ssh.invalid_user"] = True
    source(fields, host, port)
    if extra:
        fields["system.auth.ssh.signature"] = extra
        if "-CERT" in extra:
            certificate(extra, fields)
    return fields


def _peer_of_valid(rest: str) -> tuple[str, str, str, str] | None:
    found = _FROM.search(rest)
    if found is None:
        return None
    extra = rest[found.end() :].removeprefix(": ").removesuffix(" [preauth]")
    return rest[: found.start()], found[1], found[2], extra


def _peer_of_invalid(rest: str, method: str) -> tuple[str, str, str, str] | None:
    found = _FROM_END.match(rest)
    if found is None and (method in ("publickey", "hostbased") or method.startswith("gssapi")):
        found = _FROM_KEY.match(rest)
    if found is None:
        return _peer_of_valid(rest)
    return (
        rest[: found.start(1)],
        found[2],
        found[3],
        rest[found.end(1) :].removeprefix(": ").removesuffix(" [preauth]"),
    )


def invalid(message: str) -> Fields | None:
    """Invalid user USER from ADDRESS[ port N]."""
    if not message.startswith(("Invalid user ", "Illegal user ")):
        return None
    found = LAST_FROM.match(message, 13 if not message.startswith("Invalid user  from") else 12)
    if found is None:
        return None
    fields = base("ssh_login", "failure", AUTH, "Invalid")
    fields["user.name"] = found[1].removeprefix(" ") if message.startswith("Invalid user  from") else found[1]
    fields["system.auth.ssh.invalid_user"] = True
    source(fields, found[2], found[3])
    return fields


def user(message: str) -> Fields | None:
    """User USER from ADDRESS not allowed because ...; User USER not allowed because ...; User child is on pid N."""
    if message.startswith("User child is on pid "):
        fields = base("ssh_session_process", "unknown", ["process"], "User child")
        number(fields, "process.pid", message[21:].strip())
        return fields
    who, marked, why = message[5:].removesuffix(" [preauth]").partition(" not allowed because ")
    if not marked:
        return None
    fields = base("ssh_login", "failure", AUTH, "not allowed")
    user, marked, host = who.rpartition(" from ")
    fields["user.name"] = user if marked else who
    fields["event.reason"] = why
    source(fields, host if marked else "")
    return fields


def pam_verdict(body: str) -> Fields | None:
    """PAM: REASON for [illegal user ]USER from HOST[ via ADDRESS]."""
    why, unknown, rest = body[5:].rstrip(" ").partition(" for illegal user ")
    if not unknown:
        why, marked, rest = _reason(body[5:].rstrip(" "))
        if not marked:
            return None
    if unknown or " via " not in rest:
        user, _, host = rest.rpartition(" from ")
    else:
        user, _, host = rest.partition(" from ")
    fields = base("ssh_login", "failure", AUTH, "PAM")
    fields["event.reason"] = why
    fields["user.name"] = user
    host, _, via = host.partition(" via ")
    source(fields, host)
    if via:
        fields["destination.address"] = via
    return fields


def _reason(verdict: str) -> tuple[str, str, str]:
    """Part PAM's words from the user: one of pam_strerror's sentences has a " for " of its own."""
    if verdict.startswith(_RETRIES):
        return _RETRIES, *verdict.removeprefix(_RETRIES).partition(" for ")[1:]
    return verdict.partition(" for ")


_RETRIES: Final = "Have exhausted maximum number of retries for service"


def maximum(body: str) -> Fields | None:
    rest = body[len("maximum authentication attempts exceeded for ") :]
    unknown = rest.startswith("invalid user ")
    found = _FROM_END.match(rest)
    if found is None:
        return None
    fields = base("ssh_login", "failure", AUTH, "maximum authentication attempts exceeded")
    fields["user.name"] = rest[: found.start(1)].removeprefix("invalid user ")
    if unknown:
        fields["system.auth.ssh.invalid_user"] = True
    source(fields, found[2], found[3])
    return fields


def pam_alone(message: str) -> Fields | None:
    """Authentication failure for USER from HOST, without `error: PAM: ` before it."""
    if message.startswith(("Authentication failure for ", "Authentication error for ", "Authentication failed for ")):
        return pam_verdict(f"PAM: {message}")
    return None


def root_refused(message: str) -> Fields | None:
    """ROOT LOGIN REFUSED FROM ADDRESS[ port N][ [preauth]]."""
    if not message.startswith("ROOT LOGIN REFUSED FROM "):
        return None
    fields = base("ssh_login", "failure", AUTH, "ROOT LOGIN REFUSED")
    fields["user.name"] = "root"
    return bare_peer(message[24:].removesuffix(" [preauth]"), fields)


def accepted(message: str) -> Fields | None:
    """Accepted METHOD for ...; Accepted key TYPE HASH found at FILE:LINE; Accepted certificate ID "..." ..."""
    if message.startswith(("Accepted key ", "Accepted certificate ID ")):
        fields = base("ssh_key_accepted", "unknown", ["network"], " ".join(message.split(" ", 2)[:2]))
        what = message.split(" ", 2)[2]
        fields["system.auth.ssh.signature"] = what.partition(" found at ")[0]
        if message.startswith("Accepted certificate") and (found := _CERTIFICATE.match(what)) is not None:
            fields["system.auth.ssh.certificate.id"] = found[1]
            fields["system.auth.ssh.certificate.authority"] = found[3]
            if found[2]:
                fields["system.auth.ssh.certificate.serial"] = found[2]
        return fields
    return attempt(message)


# ID "NAME" [(serial N) ]signed by TYPE CA HASH via FILE; the name is the authority's, the rest the server's.
_CERTIFICATE: Final = re.compile(r'ID "(.*)" (?:\(serial (\d{1,20})\) )?signed by (\S+ CA \S+)', re.ASCII | re.DOTALL)


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


def input_request(message: str) -> Fields | None:
    """input_userauth_request: invalid user USER [preauth] (of before OpenSSH 7.6)."""
    body = message.removesuffix(" [preauth]").removeprefix("input_userauth_request: ")
    if not body.startswith(("invalid user ", "illegal user ")):
        return None
    fields = base("ssh_login", "failure", AUTH, "Invalid")
    fields["user.name"] = body[13:]
    fields["system.auth.ssh.invalid_user"] = True
    return fields
