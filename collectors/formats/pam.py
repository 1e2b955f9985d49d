"""PAM modules: pam_unix, pam_sss, pam_faillock and their kin, in whatever program's log they speak.

A session that PAM opens is no second login: its category is `session`, never `authentication`, and it states no
outcome, so that a search for successful logins finds each once.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import pam_modules, pam_quick
from collectors.formats.address import source
from collectors.formats.pam_quick import LOCAL
from rules.event import Value

# pam_unix(sshd:auth): ...   (pam_unix) ...   pam_unix[sshd:auth] (Debian's libpam-ldap)   pam_unix(auth): ...
_HEAD: Final = re.compile(
    r"\(?(pam_\w{1,32})\)?(?:[(\[]([\w./-]{1,64})(?::([\w-]{1,32}))?[)\]])?:? *(?:\(([^()]{1,64})\) )?", re.ASCII
)
_UNIX: Final = re.compile(r"pam_unix\(([\w./-]{1,64}):([\w-]{1,32})\): +", re.ASCII)
_UID: Final = re.compile(r"(.*)\(uid=(\d{1,10})\)\s*$", re.ASCII | re.DOTALL)
_FAILURE: Final = re.compile(r"(?:(\d{1,9}) more )?authentication failures?; ")
_SUCCESS: Final = "authentication success; "  # pam_sss, with the pairs of its failures
# The library's functions, by which a program tells of its own failure: no modules.
_CALLS: Final = frozenset({"pam_authenticate", "pam_acct_mgmt", "pam_setcred", "pam_open_session", "pam_start"})


def read(message: str, program: str = "") -> dict[str, Value] | None:
    """Return what a PAM module said, or None if it is no module's message."""
    if message.startswith("pam_unix("):
        quick = pam_quick.failure if ":auth)" in message[:80] else pam_quick.session
        if (fields := quick(message)) is not None:
            return fields
    return by_parts(message, program)


def by_parts(message: str, program: str = "") -> dict[str, Value] | None:
    """The same part by part, whatever stands in them."""
    if message.startswith("pam_unix("):
        head = _UNIX.match(message)
        if head is not None:
            fields: dict[str, Value] = {
                "event.module": "pam",
                "event.dataset": "system.auth",
                "system.auth.pam.module": "pam_unix",
                "system.auth.pam.service": head[1],
                "system.auth.pam.type": head[2],
            }
            body = message[head.end() :]
            return _session(body, fields) if head[2] == "session" else _verdict(body, head[1], fields)
    return _read(message, program)


def _read(message: str, program: str) -> dict[str, Value] | None:
    if message.startswith("PAM "):
        if _FAILURE.match(message, 4) is None:
            return None
        body, module, service, kind = message[4:], "pam_unix", program, "auth"
    else:
        start = message.find("pam_") if not message.startswith("(") else 0
        head = _HEAD.match(message, start) if start >= 0 else None
        if head is None or head[1] in _CALLS:
            return None
        body, module = message[head.end() :], head[1]
        service, kind = (head[2] or program, head[3] or "") if head[3] or head[2] != "auth" else (program, "auth")
        service = program if service.isdecimal() else service  # pam_krb5[4711]: a process, no service
    fields: dict[str, Value] = {
        "event.module": "pam",
        "event.dataset": "system.auth",
        "system.auth.pam.module": module,
        "system.auth.pam.service": service,
    }
    if kind:
        fields["system.auth.pam.type"] = kind
    if body.startswith("session "):
        return _session(body, fields)
    return _verdict(body, service, fields)


def _session(body: str, fields: dict[str, Value]) -> dict[str, Value]:
    opened = body.startswith("session opened for user ")
    if not opened and not body.startswith("session closed for user "):
        return fields
    rest = body[24:].rstrip(" ")
    whom, _, who = rest.rpartition(" by ") if opened and " by " in rest else (rest, "", "")
    user, uid = _uid(whom)
    by, by_uid = _uid(who)
    fields["event.category"] = ["session"]
    fields["event.type"] = ["start"] if opened else ["end"]
    fields["event.action"] = "logged-on" if opened else "logged-off"
    _actors(fields, opened, (user, uid), (by, by_uid))
    return fields


def _actors(fields: dict[str, Value], opened: bool, whom: tuple[str, str], by: tuple[str, str]) -> None:
    """Say whose session it is, and who opened it. A daemon, `by (uid=0)`, opens the session of whoever comes in; of
    another who is known by number alone, `by (uid=1000)`, the number is all that is said."""
    user, uid = whom
    name, by_uid = by
    if name or by_uid in ("", "0"):
        fields["user.name"] = name or user
    if by_uid and (name or by_uid != "0"):
        fields["user.id"] = by_uid
    elif uid:
        fields["user.id"] = uid
    if opened:
        fields["user.effective.name"] = user
        if uid:
            fields["user.effective.id"] = uid


def _uid(text: str) -> tuple[str, str]:
    """Part `name(uid=0)` into name and number."""
    found = _UID.match(text)
    return (found[1], found[2]) if found else (text, "")


def _verdict(body: str, service: str, fields: dict[str, Value]) -> dict[str, Value]:
    found = _FAILURE.match(body)
    if found is not None:
        if found[1]:
            fields["tocsin.repeat"] = int(found[1])
        return failure(body[found.end() :], service, fields)
    if body.startswith(_SUCCESS):
        return {
            **failure(body[len(_SUCCESS) :], service, fields),
            **_said("authentication_success", "success", "authentication"),
        }
    return pam_modules.read(body, fields)


def _said(action: str, outcome: str, category: str) -> dict[str, Value]:
    change = "change" if category == "iam" else "info"
    return {
        "event.action": action,
        "event.outcome": outcome,
        "event.category": [category],
        "event.type": [change] if category != "iam" else ["user", change],
    }


def failure(pairs: str, service: str, fields: dict[str, Value]) -> dict[str, Value]:
    """Read `logname= uid= euid= tty= ruser= rhost=  user=`, as pam_unix writes it, into `fields`.

    The remote user and the user are the attacker's words, and may themselves say ` rhost=`: where no remote user is
    given the first one counts, else the last; the user is all that follows.
    """
    logname, uid, euid, tty, rest = _before(pairs)
    at = 0 if rest.startswith(" rhost=") else rest.rfind(" rhost=")
    ruser, tail = (rest[:at], rest[at + 7 :]) if at >= 0 else (rest, "")
    host, _, named = tail.partition(" ")
    user = named.strip(" ").removeprefix("user=") if named.strip(" ").startswith("user=") else ""
    fields.update(_said("authentication_failure", "failure", "authentication"))
    if host:
        source(fields, host)
    if tty:
        fields["system.auth.pam.tty"] = tty
    if service in LOCAL or (ruser and user and ruser != user and not host):
        return _local(ruser or logname, user, uid, euid, fields)
    who = user or ruser or (logname if fields["system.auth.pam.module"] == "pam_krb5" else "")
    if who:
        fields["user.name"] = who
    return fields


def _local(who: str, whom: str, uid: str, euid: str, fields: dict[str, Value]) -> dict[str, Value]:
    if who:
        fields["user.name"] = who
    if uid:
        fields["user.id"] = uid
    if whom:
        fields["user.effective.name"] = whom
        fields["user.effective.id"] = euid
    return fields


def _before(pairs: str) -> tuple[str, str, str, str, str]:
    """Take logname, uid, euid and tty off the front (they are the host's own words); what follows `ruser=` is last."""
    out = []
    for name, following in (("logname=", " uid="), ("uid=", " euid="), ("euid=", " tty="), ("tty=", " ruser=")):
        if not pairs.startswith(name):
            out.append("")
            continue
        value, found, rest = pairs.partition(following)
        out.append(value[len(name) :])
        pairs = following[1:] + rest if found else ""
    return out[0], out[1], out[2], out[3], pairs.removeprefix("ruser=")
