"""su (util-linux, shadow, BSD, AIX, Solaris) and login (util-linux, shadow, BSD): who became whom, who sat down where.

A name typed at a login prompt is anyone's words, so patterns that hold one are read to the server's own last word.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.sayings import AUTH, Fields, Saying, reader

_SU: Final = (
    # util-linux: "(to root) alice on pts/0", "FAILED SU (to root) alice on pts/0"
    re.compile(r"(?P<bad>FAILED SU )?\(to (?P<whom>[^()]{1,256})\) (?P<who>.*) on (?P<tty>\S+)$"),
    # shadow: "Successful su for root by alice", "FAILED su for root by alice",
    # "+ pts/0 alice:root", "- pts/0 alice:root"; Solaris's sulog: "SU 11/22 02:00 + pts/0 alice-root"
    re.compile(r"(?:(?P<ok>Successful)|(?P<bad>FAILED)) su for (?P<whom>.*) by (?P<who>.*)$"),
    re.compile(
        r"(?:SU \d\d/\d\d \d\d:\d\d )?(?:(?P<ok>\+)|(?P<bad>-)) (?P<tty>\S+) (?P<who>[^\s:]+)[:-](?P<whom>\S+)$"
    ),
    # BSD: "BAD SU alice to root on /dev/pts/1", "alice to root on /dev/pts/1"
    re.compile(r"(?:SU )?(?P<bad>BAD SU |bad su from )?(?P<who>\S+) to (?P<whom>\S+) on (?P<tty>\S+)$"),
    # AIX: "failed: ttyq4 changing from ldap to root", "from ldap to root at ttyq4"
    re.compile(r"(?P<bad>failed): (?P<tty>\S+) changing from (?P<who>\S+) to (?P<whom>\S+)$"),
    re.compile(r"from (?P<who>\S+) to (?P<whom>\S+) at (?P<tty>\S+)$"),
    # Solaris and HP-UX: "'su root' failed for alice on /dev/pts/1"
    re.compile(r"'su (?P<whom>\S+)' (?:(?P<bad>failed)|(?P<ok>succeeded)) for (?P<who>\S+) on (?P<tty>\S+)$"),
)
_SU_FAILED: Final = reader(
    "su",
    (
        Saying("pam_authenticate: ", r"(?P<why>.*)", AUTH, "su", "failure"),
        Saying("pam_acct_mgmt: ", r"(?P<why>.*)", AUTH, "su", "failure"),
        Saying("Authentication failed for ", r"(?P<whom>.*)", AUTH, "su", "failure"),
        Saying("No passwd entry for user ", r"'(?P<whom>.*)'", AUTH, "su", "failure"),
        Saying("You are not authorized to su ", r"(?P<whom>.*)", AUTH, "su", "failure"),
        Saying("unknown user: ", r"(?P<whom>.*)", AUTH, "su", "failure"),
    ),
)
_LINE: Final = r"(?:(?P<tty>(?:/dev/)?(?:tty|pts/|console|ttyv|cua)\S*|\(null\)|none)|(?P<host>\S+))"
_OPEN: Final = "authentication session"
_AT: Final = r" on ['`](?P<tty>[^']*)'(?: from ['`](?P<host>[^']*)')?"


def _in(start: str, rest: str) -> Saying:
    return Saying(start, rest, _OPEN, "login", "success")


def _out(start: str, rest: str) -> Saying:
    return Saying(start, rest, AUTH, "login", "failure")


_FOR: Final = r" FOR (?:'(?:UNKNOWN|(?P<user>.*))'|(?:\(unknown\)|(?P<who>.*?)))(?:, (?P<why>[^,']*))?"
_LOGIN: Final = reader(
    "login",
    (
        # util-linux (login-utils/login.c)
        _in("ROOT LOGIN ON ", rf"(?P<terminal>\S+)(?: FROM {_LINE})?"),
        _in("LOGIN ON ", rf"(?P<terminal>\S+) BY (?P<user>.*) FROM {_LINE}"),
        _in("LOGIN ON ", r"(?P<terminal>\S+) BY (?P<user>.*)"),
        _in("DIALUP AT ", r"(?P<terminal>\S+) BY (?P<user>.*)"),
        _out("FAILED LOGIN ", rf"(?:SESSION|\(?\d*\)?)(?: (?:FROM|from) {_LINE})?{_FOR}"),
        _out("FAILED LOGIN ", rf"\(?\d*\)?{_AT}{_FOR}"),
        _out("TOO MANY LOGIN TRIES ", rf"\(?\d*\)?(?: (?:FROM|from) {_LINE})?{_FOR}"),
        _out("TOO MANY LOGIN TRIES ", rf"\(?\d*\)?{_AT}{_FOR}"),
        # shadow (src/login.c)
        _in("ROOT LOGIN ", rf"{_AT}"),
        _in("ROOT LOGIN", rf"{_AT}"),
        _out("invalid password for ", rf"['`](?:UNKNOWN|(?P<user>.*))'{_AT}"),
        # BSD (usr.bin/login)
        _out("LOGIN FAILURE ", rf"(?:FROM|ON) {_LINE}"),
        _out("REPEATED LOGIN FAILURES ", rf"ON (?P<terminal>\S+?)(?: FROM {_LINE})?, (?P<user>.*)"),
        _in("ROOT LOGIN ", rf"\((?P<user>[^()]*)\) ON (?P<terminal>\S+)(?: FROM {_LINE})?"),
        _in("login on ", r"(?P<terminal>\S+) as (?P<user>.*)"),
        _in("login from ", r"(?P<host>\S+) on (?P<terminal>\S+) as (?P<user>.*)"),
        _out("LOGIN ", r"(?P<user>.*) REFUSED (?P<why>.*)"),
        _out("ILLEGAL ROOT LOGIN ", rf"ON (?P<terminal>\S+)(?: FROM {_LINE})?"),
        _out("ROOT LOGIN REFUSED ", rf"(?:ON (?P<terminal>\S+))?(?: ?FROM {_LINE})?"),
    ),
)
# BSD writes a number first: "2 LOGIN FAILURES FROM h.example.org, bob"; shadow, where told to, the name.
_TRIES: Final = reader(
    "login", (Saying("LOGIN FAILURE", rf"S? (?:FROM|ON) {_LINE}(?:, (?P<user>.*))?", AUTH, "login", "failure"),)
)
_NAMED: Final = reader("login", (Saying("logged in", _AT, _OPEN, "login", "success"),))


def read_su(message: str) -> Fields | None:
    """Return who became whom by su, or failed to; None if this is no verdict of su."""
    found = next((hit for pattern in _SU if (hit := pattern.match(message)) is not None), None)
    if found is None:
        return _SU_FAILED(message)
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
    fields = _LOGIN(message)
    if fields is None and message[:1].isdigit():
        fields = _TRIES(message.partition(" ")[2])
    if fields is None and message.startswith("'"):
        name, _, rest = message[1:].rpartition("' logged in ")
        fields = _NAMED(f"logged in {rest}")
        if fields is not None:
            fields["user.name"] = name
    if fields is None:
        return None
    if message.startswith(("ROOT LOGIN", "ILLEGAL ROOT LOGIN")):
        fields.setdefault("user.name", "root")
    tty = fields.get("system.auth.login.tty")
    if isinstance(tty, str):
        fields["system.auth.login.tty"] = tty.removeprefix("/dev/")
    return fields
