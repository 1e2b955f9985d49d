"""systemd-logind, polkit, pkexec and cron: sessions that open and close, and who was let do what."""

from __future__ import annotations

import re
from typing import Final

from rules.event import Value

Fields = dict[str, Value]
_NEW: Final = re.compile(
    r"New session '?(\S+?)'? of user '?(.*?)'?(?: with class '(\S+)' and type '(\S+)')?\.$", re.DOTALL
)
_REMOVED: Final = re.compile(r"(?:Removed session|Session) (\S+?)(?:\.$| logged out)")
_CRON: Final = re.compile(
    r"\(([^()]{1,256})\) (CMD|CMDEND|MAIL|RELOAD|LIST|BEGIN EDIT|END EDIT|REPLACE|DELETE|[A-Z*!][\w* -]{0,63})"
    r" \((.*)\)?$",
    re.DOTALL,
)
_POLKIT: Final = re.compile(
    r"Operator of (\S+) (successfully authenticated|FAILED to authenticate)(?: as (\S+))? to gain "
    r"(?:\S+ )?(?:temporary |ONE-SHOT )?authorization for action (\S+) for (\S+) \[(.*)\] \(owned by (\S+)\)",
    re.DOTALL,
)
_PKEXEC: Final = re.compile(
    r"(.{1,256}?): (Executing command|Error executing command as another user: (?:Not authorized|Request dismissed)"
    r"|The value for the SHELL variable was not found)"
    r" ?\[USER=([^\]]*)\](?: \[TTY=([^\]]*)\])?(?: \[CWD=([^\]]*)\])?(?: \[COMMAND=(.*)\])?$",
    re.DOTALL,
)


_MACHINE: Final = (
    ("Power key pressed", "power_key"),
    ("System is rebooting", "system_reboot"),
    ("System is powering down", "system_shutdown"),
    ("System is powering off", "system_shutdown"),
    ("System is halting", "system_shutdown"),
    ("The system will reboot now!", "system_reboot"),
    ("The system will power off now!", "system_shutdown"),
    ("The system will be halted now!", "system_shutdown"),
)
_ATD: Final = re.compile(r"Starting job (\S+) \((\S+)\) for user '([^']*)' \((\d{1,10})\)$", re.ASCII)


def read_atd(message: str) -> Fields | None:
    """atd: Starting job 5 (a0000500) for user 'alice' (1000)."""
    found = _ATD.match(message)
    if found is None:
        return None
    return {
        "event.module": "atd",
        "event.dataset": "system.syslog",
        "event.category": ["process"],
        "event.type": ["start"],
        "event.action": "at_job",
        "user.name": found[3],
        "user.id": found[4],
    }


def read_logind(message: str) -> Fields | None:
    """New session 3 of user alice. Removed session 3."""
    machine = next((meaning for start, meaning in _MACHINE if message.startswith(start)), None)
    if machine is not None:
        return {
            "event.module": "logind",
            "event.dataset": "system.auth",
            "event.category": ["host"],
            "event.type": ["end" if machine != "power_key" else "info"],
            "event.action": machine,
        }
    new = _NEW.match(message) if message.startswith("New session ") else None
    gone = _REMOVED.match(message) if new is None else None
    if new is None and gone is None:
        return None
    fields: Fields = {
        "event.module": "logind",
        "event.dataset": "system.auth",
        "event.category": ["session"],
        "event.type": ["start" if new else "end"],
        "event.action": "session-started" if new else "session-ended",
    }
    if new is not None:
        fields["user.name"] = new[2]
        fields["system.auth.session.id"] = new[1]
    elif gone is not None:
        fields["system.auth.session.id"] = gone[1]
    return fields


def read_polkit(message: str) -> Fields | None:
    """polkitd: Operator of SESSION successfully authenticated as USER to gain authorization for action ..."""
    found = _POLKIT.match(message)
    if found is None:
        return None
    session, verdict, subject, action, _process, command, owner = found.groups()
    fields: Fields = {
        "event.module": "polkit",
        "event.dataset": "system.auth",
        "event.category": ["authentication"],
        "event.type": ["info"],
        "event.action": "polkit_authorization",
        "event.outcome": "success" if verdict.startswith("success") else "failure",
        "user.name": owner.removeprefix("unix-user:"),
        "process.command_line": command,
        "system.auth.polkit.action": action,
        "system.auth.session.id": session,
    }
    if subject is not None:  # who refused is not said
        fields["user.effective.name"] = subject.removeprefix("unix-user:")
    return fields


def read_pkexec(message: str) -> Fields | None:
    """pkexec: alice: Executing command [USER=root] [TTY=/dev/pts/1] [CWD=/home/alice] [COMMAND=/bin/ls]."""
    found = _PKEXEC.match(message)
    if found is None:
        return None
    user, verdict, target, _tty, directory, command = found.groups()
    allowed = verdict == "Executing command"
    fields: Fields = {
        "event.module": "polkit",
        "event.dataset": "system.auth",
        "event.category": ["process"] if allowed else ["process", "authentication"],
        "event.type": ["start" if allowed else "denied"],
        "event.action": "ran-command" if allowed else "command-refused",
        "event.outcome": "success" if allowed else "failure",
        "user.name": user,
        "user.effective.name": target,
    }
    if command:
        fields["process.command_line"] = command
    if directory:
        fields["process.working_directory"] = directory
    return fields


def read_cron(message: str) -> Fields | None:
    """cron: (root) CMD (command), (alice) RELOAD (crontabs/alice)."""
    found = _CRON.match(message)
    if found is None:
        return None
    user, verb, what = found.groups()
    fields: Fields = {
        "event.module": "cron",
        "event.dataset": "system.syslog",
        "event.category": ["process"] if verb == "CMD" else ["configuration"],
        "event.type": ["start" if verb == "CMD" else "change"],
        "event.action": "cron_" + verb.strip("(").lower().replace(" ", "_"),
        "user.name": user,
    }
    if verb == "CMD":
        fields["process.command_line"] = what.removesuffix(")").strip()
    return fields


def read_crontab(message: str) -> Fields | None:
    """crontab: (root) REPLACE (alice): by whom, and whose table."""
    fields = read_cron(message)
    if fields is None:
        return None
    whose = message.rpartition("(")[2].removesuffix(")")
    return {**fields, "user.target.name": whose, "event.category": ["configuration", "iam"], "event.outcome": "success"}
