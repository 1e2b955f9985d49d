"""sudo's log line (lib/eventlog/eventlog.c) and doas's.

    USER : [REASON ; ][TTY=.. ; ][CHROOT=.. ; ]PWD=.. ; USER=.. ; [GROUP=.. ; ][TSID=.. ; ][ENV=.. ; ]COMMAND=..

The command is the user's word, so the line is read from the left, and the command is all that follows.
"""

from __future__ import annotations

import re
from typing import Final

from rules.event import Value

Fields = dict[str, Value]
_NAMES: Final = {
    "TTY": "system.auth.sudo.tty",
    "PWD": "system.auth.sudo.pwd",
    "USER": "system.auth.sudo.user",
    "GROUP": "system.auth.sudo.group",
    "CHROOT": "system.auth.sudo.chroot",
    "TSID": "system.auth.sudo.tsid",
    "ENV": "system.auth.sudo.env",
    "HOST": "system.auth.sudo.host",
    "EXIT": "system.auth.sudo.exit",
    "SIGNAL": "system.auth.sudo.signal",
}
_PAIR: Final = re.compile(r"(TTY|PWD|USER|GROUP|CHROOT|TSID|ENV|HOST|EXIT|SIGNAL)=(.*?) ; (?=[A-Z]{2,8}=)", re.DOTALL)
# The same where no value holds a blank: nearly every line.
_PLAIN: Final = re.compile(r" *([^ ;:]+) : TTY=([^ ;]*) ; PWD=([^ ;]*) ; USER=([^ ;]+) ; COMMAND=(.*)", re.DOTALL)
_SYSTEMCTL: Final = re.compile(r"(?:/\S*/)?(?:systemctl|service)(?= )")
_VERBS: Final = {
    "start": ("service-start", "start"),
    "stop": ("service-stop", "end"),
    "restart": ("service-restart", "change"),
    "reload": ("service-reload", "change"),
    "enable": ("service-enable", "change"),
    "disable": ("service-disable", "change"),
    "mask": ("service-mask", "change"),
    "unmask": ("service-unmask", "change"),
}
# Words before the pairs that tell of a fault, not of a refusal: the command's own line follows, or went before.
_WARNINGS: Final = (
    "unable to resolve host",
    "problem with defaults entries",
    "timestamp too far in the future",
    "unable to open ",
    "unable to stat ",
    "unable to mkdir ",
    "unable to send ",
    "unable to connect to ",
    "ignoring ",
    "(command continued)",
)
_OPENS: Final = ("TTY=", "PWD=", "HOST=", "COMMAND=", "CHROOT=", "USER=")
_DOAS: Final = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?P<user>\S+) ran command (?P<command>.*) as (?P<whom>\S+) from (?P<directory>.*)",
        r"(?P<user>\S+) ran command as (?P<whom>[^\s:]+): (?P<command>.*)",
        r"(?P<bad>command not permitted|failed command) for (?P<user>[^\s:]+): (?P<command>.*)",
        r"(?P<bad>failed (?:auth|password)) for (?P<user>.*)",
    )
)


def read(message: str) -> Fields | None:
    """Return who ran what as whom, or was refused and why."""
    if message.startswith("@cee:"):
        from collectors.formats import sudo_json  # noqa: PLC0415  few hosts log so

        return sudo_json.read(message)
    plain = _PLAIN.fullmatch(message.rstrip(" "))
    return by_pairs(message) if plain is None else _ran(*plain.groups())


def _ran(user: str, tty: str, directory: str, target: str, command: str) -> Fields:
    fields: Fields = {
        "event.module": "sudo",
        "event.dataset": "system.auth",
        "event.category": ["process"],
        "event.type": ["start"],
        "event.action": "ran-command",
        "event.outcome": "success",
        "user.name": user,
        "system.auth.sudo.tty": tty,
        "system.auth.sudo.pwd": directory,
        "system.auth.sudo.user": target,
        "user.effective.name": target,
    }
    describe_command(command, fields)
    return fields


def by_pairs(message: str) -> Fields | None:
    """The same pair by pair, whatever stands in them, and what was refused."""
    user, marked, rest = message.strip(" ").partition(" : ")
    if not marked or (" " in user and not rest.startswith(_OPENS)):
        return None
    if rest.endswith(" ;") and "COMMAND=" not in rest:  # a pair is the last
        rest += " COMMAND="
    fields: Fields = {
        "event.module": "sudo",
        "event.dataset": "system.auth",
        "event.category": ["process"],
        "event.type": ["start"],
        "event.action": "ran-command",
        "event.outcome": "success",
        "user.name": user,
    }
    at = 0
    if not rest.startswith(_OPENS):
        at = _refusal(rest, fields)
    while (pair := _PAIR.match(rest, at)) is not None:
        fields[_NAMES[pair[1]]] = pair[2]
        at = pair.end()
    if "system.auth.sudo.user" in fields:
        fields["user.effective.name"] = fields["system.auth.sudo.user"]
    if rest.startswith("COMMAND=", at) and len(rest) > at + 8:
        describe_command(rest[at + 8 :], fields)
    return fields


def _refusal(rest: str, fields: Fields) -> int:
    """Read why sudo said no, or what else it had to say: the words before the first pair."""
    reason, marked, _ = rest.partition(" ; ")
    fields["system.auth.sudo.error"] = reason
    fields["event.reason"] = reason
    if reason.startswith(_WARNINGS):
        fields |= {"event.outcome": "unknown", "event.action": "command-warned", "event.type": ["info"]}
        return len(reason) + 3 if marked else len(rest)
    fields["event.outcome"] = "failure"
    fields["event.action"] = "command-refused"
    fields["event.category"] = ["process", "authentication"]
    fields["event.type"] = ["denied"]
    return len(reason) + 3 if marked else len(rest)


def describe_command(command: str, fields: Fields) -> None:
    fields["process.command_line"] = command
    fields["system.auth.sudo.command"] = command
    program, _, arguments = command.partition(" ")
    if program.startswith("/"):
        fields["system.auth.sudo.executable"] = program
    if "ctl" not in program and "service" not in program:
        return
    if _SYSTEMCTL.match(command) is None or fields["event.outcome"] != "success":
        return
    words = [word for word in arguments.split(" ")[:32] if word and not word.startswith("-")]
    verb = next((word for word in words if word in _VERBS), None)
    if verb is None or len(words) < 2:
        return
    action, kind = _VERBS[verb]
    fields["event.action"] = action
    fields["event.type"] = [kind]
    fields["service.name"] = next(word for word in words if word != verb).removesuffix(".service")


def read_doas(message: str) -> Fields | None:
    """doas: USER ran command CMD as TARGET from DIR; command not permitted for USER: CMD; failed auth for USER."""
    found = next((hit for pattern in _DOAS if (hit := pattern.fullmatch(message)) is not None), None)
    if found is None:
        return None
    groups = found.groupdict()
    refused = groups.get("bad")
    fields: Fields = {
        "event.module": "doas",
        "event.dataset": "system.auth",
        "event.category": ["process", "authentication"] if refused else ["process"],
        "event.type": ["denied" if refused else "start"],
        "event.action": "command-refused" if refused else "ran-command",
        "event.outcome": "failure" if refused else "success",
        "user.name": groups["user"],
    }
    for name, field in _DOAS_NAMES:
        if groups.get(name):
            fields[field] = groups[name]
    return fields


_DOAS_NAMES: Final = (
    ("command", "process.command_line"),
    ("whom", "user.effective.name"),
    ("directory", "process.working_directory"),
)
