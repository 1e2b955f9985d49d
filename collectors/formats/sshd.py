"""OpenSSH's sshd (auth.c, auth2.c, monitor.c, packet.c, session.c, serverloop.c).

A user's name is the attacker's word and may hold blanks, ` from ` and ` port `. sshd writes what it knows after
that word, so those lines are read from the right; for a name that exists (no "invalid user" before it, hence no
blanks in it), from the left, since there a certificate's id may follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from collectors.formats.address import number, source
from rules.event import Value

Fields = dict[str, Value]
_AUTH: Final = ["authentication"]
_NETWORK: Final = ["network"]
# "... from ADDRESS port N ssh2" and what may follow: ": ED25519 SHA256:...", ": ruser ...", " [preauth]"
_FROM: Final = re.compile(r" from (\S+) port (\d{1,5})(?: ssh([12]))?(?=$|: | \[preauth\]$)", re.ASCII)
# The same where neither name nor extra has blanks of its own to mistake: nearly every line.
_QUICK: Final = re.compile(
    r"(Accepted|Failed) (\S+) for (invalid user )?(\S*) from ([0-9A-Fa-f.:]+) port (\d{1,5}) ssh2(?:: (\S+ \S+))?\Z",
    re.ASCII,
)
_FROM_END: Final = re.compile(
    r"(?:.*)( from (\S+) port (\d{1,5})(?: ssh[12])?)(?: \[preauth\])?$", re.ASCII | re.DOTALL
)
_FROM_KEY: Final = re.compile(r"(?:.*)( from (\S+) port (\d{1,5}) ssh[12]): ", re.ASCII | re.DOTALL)
_PEER: Final = re.compile(r"(\S+)(?: port (\d{1,5}))?(?=$|:| )", re.ASCII)
_DISCONNECT: Final = re.compile(
    r"(\S+)(?: port (\d{1,5}):|: ) ?(\d{1,10}): ?(.*?)( \[preauth\])?$", re.ASCII | re.DOTALL
)
_LAST_FROM: Final = re.compile(r"(.*) from (\S*)(?: port (\d{1,5}))?( \[preauth\])?$", re.ASCII | re.DOTALL)
_USER_PEER: Final = re.compile(r"(.*) (\S+) port (\d{1,5})$", re.ASCII | re.DOTALL)
_REPEATED: Final = re.compile(r"message repeated (\d{1,9}) times?: \[ ?(.*?)\]?$", re.ASCII | re.DOTALL)
_MAPPING: Final = re.compile(
    r"(?:reverse mapping checking getaddrinfo for|Address) (\S+) (?:\[([^\]\s]+)\]|maps to (\S+?),)"
)
_ANY_PEER: Final = re.compile(
    r"(?:[Cc]onnection |^)(?:from|for|by|with) \[?([0-9A-Fa-f.:%]{2,64}[^\s\]:,]*)\]?(?:(?: port |:)(\d{1,5}))?",
    re.ASCII,
)
_SESSION: Final = re.compile(
    r"(Starting|Close) session: (?:(\S+)(?: '([^']*)'| on (\S+))? for |user )(.*) from (\S+)"
    r" port (\d{1,5}) id (\d{1,9})$",
    re.ASCII,
)


def read(message: str) -> Fields | None:
    """Return what one message of sshd says, or None if sshd never wrote it that we know."""
    message = message.lstrip(" ")
    reader = _BY_WORD.get(message[: message.find(" ")])
    found = reader(message) if reader is not None else None
    if found is not None:
        return found
    return _other(message)


def _base(action: str, outcome: str, category: list[str], event: str) -> Fields:
    return {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": list(category),
        "event.type": ["info"] if category is _AUTH else ["connection"],
        "event.action": action,
        "event.outcome": outcome,
        "system.auth.ssh.event": event,
    }


def _attempt(message: str) -> Fields | None:
    """Accepted, Failed, Postponed, Partial METHOD for [invalid user ]USER from ADDRESS port N ssh2[: EXTRA]."""
    quick = _QUICK.match(message)
    if quick is not None:
        return _verdict(*quick.groups())
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


def _invalid(message: str) -> Fields | None:
    """Invalid user USER from ADDRESS[ port N]."""
    if not message.startswith(("Invalid user ", "Illegal user ")):
        return None
    found = _LAST_FROM.match(message, 13 if not message.startswith("Invalid user  from") else 12)
    if found is None:
        return None
    fields = _base("ssh_login", "failure", _AUTH, "Invalid")
    fields["user.name"] = found[1].removeprefix(" ") if message.startswith("Invalid user  from") else found[1]
    fields["system.auth.ssh.invalid_user"] = True
    source(fields, found[2], found[3])
    return fields


def _connection(message: str) -> Fields | None:
    """Connection closed|reset by, Disconnected from, Disconnecting [KIND user USER ]ADDRESS port N."""
    preauth = message.endswith(" [preauth]")
    body = message[:-10] if preauth else message
    found_start = next(((s, a) for s, a in _CONNECTION_STARTS if body.startswith(s)), None)
    if found_start is None:
        return None
    start, action = found_start
    rest = body[len(start) :]
    fields = _base(action, "failure" if preauth else "unknown", _NETWORK, start.rstrip(" "))
    kind, _, named = rest.partition(" user ") if rest.startswith(_USER_KINDS) else ("", "", "")
    if rest.startswith("user "):
        kind, named = "user", rest[5:]
    if start == "Disconnecting ":
        named, rest = _until_reason(named, fields), _until_reason(rest, fields) if not named else rest
    if kind:
        found = _USER_PEER.match(named)
        if found is None:
            return None
        fields["user.name"] = found[1]
        if kind in ("invalid", "illegal"):
            fields["event.outcome"] = "failure"
            fields["system.auth.ssh.invalid_user"] = True
        source(fields, found[2], found[3])
        return fields
    return _bare_peer(rest, fields)


_CONNECTION_STARTS: Final = (
    ("Connection closed by ", "ssh_connection_closed"),
    ("Connection reset by ", "ssh_connection_reset"),
    ("Disconnected from ", "ssh_disconnected"),
    ("Disconnecting ", "ssh_disconnected"),
    ("Connection from ", "ssh_connection"),
    ("Connection ", "ssh_connection"),
)
_USER_KINDS: Final = ("invalid user ", "illegal user ", "authenticating user ")


def _until_reason(text: str, fields: Fields) -> str:
    """Part what sshd disconnects from its reason, whose only attacker's words are a change of user name."""
    at = text.rfind(": Too many authentication failures")
    if at < 0:
        at = text.find(": Change of username or service not allowed")
    if at < 0:
        at = text.rfind(": ")
    if at < 0:
        return text
    fields["event.reason"] = text[at + 2 :]
    fields["event.outcome"] = "failure"
    return text[:at]


def _bare_peer(rest: str, fields: Fields) -> Fields | None:
    found = _PEER.match(rest)
    if found is not None:
        source(fields, found[1].rstrip(":,"), found[2])
    return fields


def _too_many(message: str) -> Fields:
    """Disconnecting: Too many authentication failures[ for USER] (of before OpenSSH 7.5)."""
    fields = _base("ssh_disconnected", "failure", _NETWORK, "Disconnecting")
    body = message.removesuffix(" [preauth]")
    fields["event.reason"] = body.removeprefix("Disconnecting: ")
    _, marked, user = body.partition(" authentication failures for ")
    if marked:
        fields["user.name"] = user.removeprefix("invalid user ")
    return fields


def _received(message: str) -> Fields | None:
    """Received disconnect from ADDRESS[ port N]:CODE: REASON; the code says if it was an error (RFC 4253, 11.1)."""
    found = _DISCONNECT.match(message, 25) if message.startswith("Received disconnect from ") else None
    if found is None:
        return None
    host, port, code, reason, preauth = found.groups()
    by_application = code == "11"
    fields = _base(
        "ssh_disconnected", "unknown" if by_application and not preauth else "failure", _NETWORK, "Received disconnect"
    )
    fields["event.reason"] = reason
    number(fields, "system.auth.ssh.disconnect_code", code)
    source(fields, host, port)
    return fields


def _user(message: str) -> Fields | None:
    """User USER from ADDRESS not allowed because ...; User USER not allowed because ...; User child is on pid N."""
    if message.startswith("User child is on pid "):
        fields = _base("ssh_session_process", "unknown", ["process"], "User child")
        number(fields, "process.pid", message[21:].strip())
        return fields
    who, marked, why = message[5:].partition(" not allowed because ")
    if not marked:
        return None
    fields = _base("ssh_login", "failure", _AUTH, "not allowed")
    user, marked, host = who.rpartition(" from ")
    fields["user.name"] = user if marked else who
    fields["event.reason"] = why
    source(fields, host if marked else "")
    return fields


def _error(message: str) -> Fields | None:
    """error: and fatal: before PAM's verdict, the maximum of attempts, a disconnect, or what else there was."""
    level, _, body = message.partition(": ")
    if body.startswith("PAM: "):
        fields = _pam_verdict(body)
    elif body.startswith("maximum authentication attempts exceeded for "):
        fields = _maximum(body)
    elif body.startswith("Received disconnect from "):
        fields = _received(body)
    else:
        fields = _other(body)
    if fields is not None:
        fields["log.level"] = level
    return fields


def _pam_verdict(body: str) -> Fields | None:
    """PAM: REASON for [illegal user ]USER from HOST[ via ADDRESS]."""
    why, marked, rest = body[5:].rstrip(" ").partition(" for ")
    if not marked:
        return None
    if rest.startswith("illegal user ") or " via " not in rest:
        user, _, host = rest.removeprefix("illegal user ").rpartition(" from ")
    else:
        user, _, host = rest.partition(" from ")
    fields = _base("ssh_login", "failure", _AUTH, "PAM")
    fields["event.reason"] = why
    fields["user.name"] = user
    host, _, via = host.partition(" via ")
    source(fields, host)
    if via:
        fields["destination.address"] = via
    return fields


def _maximum(body: str) -> Fields | None:
    rest = body[len("maximum authentication attempts exceeded for ") :]
    unknown = rest.startswith("invalid user ")
    found = _FROM_END.match(rest)
    if found is None:
        return None
    fields = _base("ssh_login", "failure", _AUTH, "maximum authentication attempts exceeded")
    fields["user.name"] = rest[: found.start(1)].removeprefix("invalid user ")
    if unknown:
        fields["system.auth.ssh.invalid_user"] = True
    source(fields, found[2], found[3])
    return fields


def _session(message: str) -> Fields | None:
    """Starting session: command|shell on pts/0|subsystem 'sftp' for USER from ADDRESS port N id N, and its close."""
    found = _SESSION.match(message)
    if found is None:
        return None
    verb, kind, subsystem, tty, user, host, port, number_ = found.groups()
    started = verb == "Starting"
    fields = _base(
        "ssh_session_started" if started else "ssh_session_closed", "success", ["session"], verb + " session"
    )
    fields["event.type"] = ["start" if started else "end"]
    fields["user.name"] = user
    fields["system.auth.ssh.session_id"] = int(number_)
    if kind:
        fields["system.auth.ssh.session_kind"] = subsystem or kind
    if tty:
        fields["system.auth.ssh.tty"] = tty
    source(fields, host, port)
    return fields


def _bad_protocol(message: str) -> Fields | None:
    """Bad protocol version identification 'TEXT' from ADDRESS port N; Did not receive identification string from."""
    found = _LAST_FROM.match(message)
    if found is None:
        return None
    fields = _base("ssh_no_identification", "failure", _NETWORK, found[1].partition(" '")[0])
    source(fields, found[2], found[3])
    if message.startswith("Did not"):
        fields["system.auth.ssh.dropped_ip"] = found[2]
    return fields


def _root_refused(message: str) -> Fields | None:
    """ROOT LOGIN REFUSED FROM ADDRESS[ port N][ [preauth]]."""
    if not message.startswith("ROOT LOGIN REFUSED FROM "):
        return None
    fields = _base("ssh_login", "failure", _AUTH, "ROOT LOGIN REFUSED")
    fields["user.name"] = "root"
    return _bare_peer(message[24:].removesuffix(" [preauth]"), fields)


def _refused(message: str) -> Fields | None:
    """refused connect from NAME (ADDRESS) (libwrap); Authentication refused: bad ownership or modes for file F."""
    if message.startswith("Authentication refused: "):
        fields = _base("ssh_login", "failure", _AUTH, "Authentication refused")
        fields["event.reason"] = message[24:]
        return fields
    if not message.startswith("refused connect from "):
        return None
    fields = _base("ssh_connection_refused", "failure", _NETWORK, "refused connect")
    inner = message.rstrip(") ").rpartition("(")[2] if message.endswith(")") else message[21:]
    source(fields, inner)
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


def _mapping(message: str) -> Fields | None:
    found = _MAPPING.match(message)
    if found is None:
        return None
    fields = _base("ssh_reverse_mapping", "unknown", _NETWORK, "reverse mapping")
    source(fields, found[2] or found[1])
    fields["source.domain"] = found[1] if found[2] else found[3]
    return fields


def _accepted(message: str) -> Fields | None:
    """Accepted METHOD for ...; Accepted key TYPE HASH found at FILE:LINE; Accepted certificate ID "..." ..."""
    if message.startswith(("Accepted key ", "Accepted certificate ID ")):
        fields = _base("ssh_key_accepted", "unknown", ["network"], " ".join(message.split(" ", 2)[:2]))
        fields["system.auth.ssh.signature"] = message.split(" ", 2)[2].partition(" found at ")[0]
        return fields
    return _attempt(message)


def _subsystem(message: str) -> Fields | None:
    """subsystem request for NAME[ by user USER]."""
    body, _, user = message.partition(" by user ")
    fields = _base("ssh_subsystem", "success", ["session"], "subsystem request")
    fields["system.auth.ssh.session_kind"] = body.removeprefix("subsystem request for ")
    if user:
        fields["user.name"] = user
    return fields


def _input_request(message: str) -> Fields | None:
    """input_userauth_request: invalid user USER [preauth] (of before OpenSSH 7.6)."""
    _, marked, user = message.removesuffix(" [preauth]").partition(" invalid user ")
    if not marked:
        return None
    fields = _base("ssh_login", "failure", _AUTH, "Invalid")
    fields["user.name"] = user
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
        fields = _base("ssh_connection_failed", "failure", _NETWORK, message.partition(":")[0].partition(" with ")[0])
        found = _ANY_PEER.search(message)
        if found is not None:
            source(fields, found[1], found[2])
        return fields
    if message.startswith(("kernel: [", "kernel:[")):
        return read(message.partition("]")[2].lstrip(": "))
    return None


_BY_WORD: Final[dict[str, Callable[[str], Fields | None]]] = {
    "Accepted": _accepted,
    "Failed": _attempt,
    "Postponed": _attempt,
    "Partial": _attempt,
    "Invalid": _invalid,
    "Illegal": _invalid,
    "Connection": _connection,
    "Disconnected": _connection,
    "Disconnecting": _connection,
    "Disconnecting:": _too_many,
    "Received": _received,
    "User": _user,
    "error:": _error,
    "fatal:": _error,
    "maximum": _maximum,
    "PAM:": _pam_verdict,
    "Starting": _session,
    "Close": _session,
    "Bad": _bad_protocol,
    "Did": _bad_protocol,
    "ROOT": _root_refused,
    "refused": _refused,
    "Authentication": _refused,
    "message": _repeated,
    "reverse": _mapping,
    "Address": _mapping,
    "subsystem": _subsystem,
    "input_userauth_request:": _input_request,
}
