"""Dovecot: logins by IMAP, POP3, ManageSieve and submission, and the verdicts of its password databases."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats.address import source
from rules.event import Value

Fields = dict[str, Value]
_LEVEL: Final = re.compile(r"(?:(?:dovecot: )?(?:Info|Warning|Error|Fatal|Debug|Panic): )", re.ASCII)
_LOGIN: Final = re.compile(
    r"(?:dovecot: )?(imap|pop3|managesieve|submission|lmtp)-login: (?:Info: |Warning: )?(.*)$", re.DOTALL
)
# "pam(user,1.2.3.4,<session>): why": the name may hold commas and brackets, the address may not.
_VERDICT: Final = re.compile(
    r"([a-z][\w-]{1,24})\((.*?)(?:,([0-9A-Fa-f.:]{2,45}))(?:,(?:<[^>]*>)?)?\): (.*)$", re.DOTALL
)
# "imap(alice)<pid><session>: Disconnected: Logged out in=1 out=2": the end of what a login began.
_ENDED: Final = re.compile(
    r"(imap|pop3|managesieve|submission|lmtp)\((.*?)(?:,([0-9A-Fa-f.:]{2,45}))?\)"
    r"(?:<\d{1,10}>)?(?:<[^<>]*>)?: (?:Info: )?"
    r"((?:Disconnected|Logged out|Connection closed|Server shutting down|Timeout|Killed)\b.*)$",
    re.DOTALL,
)
# What a database says on its way to a verdict; whatever else it says of someone is why they were not let in.
_ON_THE_WAY: Final = ("lookup", "query", "cache", "Performing", "username changed", "Started", "Finished", "Added")
_GOOD: Final = ("Login successful", "auth succeeded", "Credentials:", "allow_nets")
_FAILED: Final = (
    "auth failed",
    "disallowed plaintext",
    "disabled plaintext",
    "disallowed cleartext",
    "auth_failed",
    "Auth process broken",
    "Maximum number of connections",
)
# The name is the attacker's, and may itself say what looks like pairs: the last address is the server's own word.
_RIP: Final = re.compile(r".*\brip=([^,\s]+)", re.DOTALL)
_USER: Final = re.compile(r": user=<(.*)>(?=, (?:method|rip|proxy|session|mpid)=)", re.DOTALL)
_METHOD: Final = re.compile(r".*>, method=([\w-]{1,32}),", re.DOTALL)


def read(message: str) -> Fields | None:
    """Return who logged in to the mail server from where, or was refused."""
    body = message.removeprefix("dovecot: ")
    level = _LEVEL.match(body)
    body = body[level.end() :] if level else body
    found = _LOGIN.match(body)
    if found is not None:
        return _login(found[1], found[2])
    if (ended := _ENDED.match(body)) is not None:
        return _ended(*ended.groups())
    if body.startswith(("auth", "conn ")) or body[:32].partition("(")[0] in _DATABASES:
        return _database(body)
    return _login("", body) if ", rip=" in body and body.startswith(_LOGIN_WORDS) else None


_DATABASES: Final = frozenset(
    {
        "pam", "sql", "ldap", "passwd-file", "passwd", "shadow", "checkpassword", "static", "lua", "oauth2", "bsdauth",
        "imap", "dict", "policy", "cache", "passdb", "userdb", "plain", "login", "cram-md5", "digest-md5", "apop",
        "scram-sha-1", "scram-sha-256", "gssapi", "gss-spnego", "ntlm", "external",
        "xoauth2", "oauthbearer", "anonymous",
    }
)  # fmt: skip
_LOGIN_WORDS: Final = (
    "Login",
    "Disconnected",
    "Aborted login",
    "Client has quit",
    "Remote closed",
    "Logged",
    "Maximum",
    "Info: ",
)


def _login(protocol: str, said: str) -> Fields:
    """Login: user=<alice>, method=PLAIN, rip=...; Disconnected (auth failed, 3 attempts in 4 secs): user=<...>, ..."""
    said = said.removeprefix("Info: ")
    why = said.partition(": user=<" if ": user=<" in said else ", rip=" if ", rip=" in said else ": rip=")[0]
    success = said.startswith(("Login: ", "Logged in: "))
    failed = any(word in why for word in _FAILED)
    category = ["authentication", "session"] if success else ["authentication"] if failed else ["network"]
    fields = _base(
        f"{protocol}_login" if protocol else "mail_login",
        "success" if success else "failure" if failed else "unknown",
        category,
    )
    _pairs(said[len(why) :], fields)
    if not success:
        fields["event.reason"] = why
    return fields


def _ended(protocol: str, user: str, host: str | None, why: str) -> Fields:
    fields = _base(f"{protocol}_session_ended", "unknown", ["session"])
    fields["event.type"] = ["end"]
    fields["user.name"] = user
    fields["event.reason"] = why
    if host is not None:
        source(fields, host)
    return fields


def _pairs(said: str, fields: Fields) -> None:
    """user=<alice>, method=PLAIN, rip=1.2.3.4, lip=...: the user to the last bracket that a pair follows."""
    rip, user, method = _RIP.match(said), _USER.match(said), _METHOD.match(said)
    if rip is not None:
        source(fields, rip[1])
    if user is not None and user[1]:
        fields["user.name"] = user[1]
    if method is not None:
        fields["dovecot.method"] = method[1]


def _database(body: str) -> Fields | None:
    at = _first_database(body)
    found = _VERDICT.match(body, at) if at >= 0 else None
    if found is None:
        return None
    database, user, host, why = found.groups()
    good = why.startswith(_GOOD)
    told = "Debug: " in body[:at] or why.startswith(_ON_THE_WAY)
    outcome = "success" if good else "unknown" if told else "failure"
    fields = _base("mail_login", outcome, ["authentication"])
    if user != "?":
        fields["user.name"] = user
    fields["dovecot.database"] = database
    fields["event.reason"] = why
    source(fields, host)
    return fields


_DATABASE: Final = re.compile(r"(?:^|[ :])(?:" + "|".join(sorted(_DATABASES)) + r")\(")


def _first_database(body: str) -> int:
    found = _DATABASE.search(body)
    return found.start() + (0 if found.start() == 0 and body[0] not in " :" else 1) if found else -1


def _base(action: str, outcome: str, category: list[str]) -> Fields:
    return {
        "event.module": "dovecot",
        "event.dataset": "dovecot.log",
        "event.category": [*category],
        "event.type": ["info"],
        "event.action": action,
        "event.outcome": outcome,
    }
