"""su (util-linux, shadow, BSD, AIX) and login (util-linux, shadow): who became whom, and who sat at the console."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_SU: Final = (
    # util-linux: "(to root) alice on pts/0", "FAILED SU (to root) alice on pts/0"
    re.compile(r"(?P<bad>FAILED SU )?\(to (?P<whom>[^()]{1,256})\) (?P<who>.*) on (?P<tty>\S+)$"),
    # shadow: "Successful su for root by alice", "FAILED su for root by alice",
    # "+ pts/0 alice:root", "- pts/0 alice:root"
    re.compile(r"(?:(?P<ok>Successful)|(?P<bad>FAILED)) su for (?P<whom>.*) by (?P<who>.*)$"),
    re.compile(r"(?:(?P<ok>\+)|(?P<bad>-)) (?P<tty>\S+) (?P<who>[^\s:]+)[:-](?P<whom>\S+)$"),
    # BSD: "BAD SU alice to root on /dev/pts/1", "alice to root on /dev/pts/1"
    re.compile(r"(?P<bad>BAD SU )?(?P<who>\S+) to (?P<whom>\S+) on (?P<tty>\S+)$"),
    # AIX: "failed: ttyq4 changing from ldap to root", "from ldap to root at ttyq4"
    re.compile(r"(?P<bad>failed): (?P<tty>\S+) changing from (?P<who>\S+) to (?P<whom>\S+)$"),
    re.compile(r"from (?P<who>\S+) to (?P<whom>\S+) at (?P<tty>\S+)$"),
    # Solaris and HP-UX: "'su root' failed for alice on /dev/pts/1"
    re.compile(r"'su (?P<whom>\S+)' (?:(?P<bad>failed)|(?P<ok>succeeded)) for (?P<who>\S+) on (?P<tty>\S+)$"),
)
_LOGIN: Final = (
    # util-linux (login-utils/login.c)
    re.compile(r"(?P<root>ROOT) LOGIN ON (?P<tty>\S+)(?: FROM (?P<host>\S+))?$"),
    re.compile(r"LOGIN ON (?P<tty>\S+) BY (?P<user>.*?)(?: FROM (?P<host>\S+))?$", re.DOTALL),
    re.compile(r"DIALUP AT (?P<tty>\S+) BY (?P<user>\S+)$"),
    # util-linux and shadow; the reason is PAM's, the name the attacker's
    re.compile(
        r"(?P<bad>FAILED LOGIN|TOO MANY LOGIN TRIES)(?: SESSION)? ?\(?\d*\)?(?: on '(?P<tty>[^']*)')?"
        r"(?: FROM \(null\)| (?:FROM|from) '?(?P<host>[^\s']+)'?)? FOR '?(?P<user>.*?)'?(?:, (?P<why>[^,]*))?$",
        re.DOTALL,
    ),
    # shadow (src/login.c)
    re.compile(r"(?P<root>ROOT) LOGIN +on '(?P<tty>[^']*)'(?: from '(?P<host>[^']*)')?$"),
    re.compile(
        r"(?P<bad>invalid password) for '(?P<user>.*)' on '(?P<tty>[^']*)'(?: from '(?P<host>[^']*)')?$", re.DOTALL
    ),
    re.compile(r"'(?P<user>[^']*)' logged in on '(?P<tty>[^']*)'(?: from '(?P<host>[^']*)')?$"),
)


def read_su(message: str) -> Fields | None:
    """Return who became whom by su, or failed to; None if this is no verdict of su."""
    found = next((hit for pattern in _SU if (hit := pattern.match(message)) is not None), None)
    if found is None:
        return None
    groups = found.groupdict()
    fields: Fields = {
        "event.module": "su",
        "event.dataset": "system.auth",
        "event.category": ["authentication"],
        "event.type": ["info"],
        "event.action": "su",
        "event.outcome": "failure" if groups.get("bad") else "success",
        "user.name": groups["who"],
        "user.effective.name": groups["whom"],
    }
    if groups.get("tty"):
        fields["system.auth.su.tty"] = groups["tty"]
    return fields


def read(message: str) -> Fields | None:
    """Return who logged in at a terminal, or failed to; None if this is no verdict of login."""
    found = next((hit for pattern in _LOGIN if (hit := pattern.match(message)) is not None), None)
    if found is None:
        return None
    groups = found.groupdict()
    fields: Fields = {
        "event.module": "login",
        "event.dataset": "system.auth",
        "event.category": ["authentication"] if groups.get("bad") else ["authentication", "session"],
        "event.type": ["info"],
        "event.action": "login",
        "event.outcome": "failure" if groups.get("bad") else "success",
        "user.name": "root" if groups.get("root") else groups["user"],
    }
    host = groups.get("host") or ""
    tty = groups.get("tty") or (host if host.startswith(("tty", "pts/", "/dev/")) else "")
    if tty:
        fields["system.auth.login.tty"] = tty.removeprefix("/dev/")
    if host and host != tty:
        source(fields, host)
    if groups.get("why"):
        fields["event.reason"] = groups["why"]
    return fields
