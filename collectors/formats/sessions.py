"""systemd, logind, polkit, pkexec, cron, anacron and at: sessions that open and close, and who was let do what.

Sources: systemd 183 to 257 (logind, core/job.c), polkit 0.105 to 126, vixie-cron, cronie, Debian's cron, busybox, anacron.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

import re
from typing import Final

from collectors.formats.sayings import SESSION, Fields, Saying, reader

_SESSION: Final = r"(?:'(?P<session>[^']*)' of user '(?P<user>[^']*)'|(?P<scope>\S+) of user (?P<who>.*?))"
_CRON: Final = re.compile(
    r"\(([^()]{1,256})\) (CMD|CMDEND|CMDOUT|MAIL|RELOAD|LIST|BEGIN EDIT|END EDIT|REPLACE|DELETE"
    r"|[A-Za-z*!][\w* >-]{0,63}) \((.*)\)?$",
    re.DOTALL,
)
_POLKIT: Final = re.compile(
    r"Operator of (\S+) (successfully authenticated|FAILED to authenticate)(?: as (\S+))? to gain "
    r"(?:\S+ )?(?:temporary |ONE-SHOT )?authorization for action (\S+) for (\S+) \[(.*)\] \(owned by (\S+)\)",
    re.DOTALL,
)
_PKEXEC: Final = re.compile(
    r"([^:]{1,256}): (Executing command|Error executing command as another user: (?:Not authorized|Request dismissed)"
    r"|The value for [^\[\]]{1,512}|Error [^\[\]]{1,512}?)"
    r" ?\[USER=([^\]]*)\](?: \[TTY=([^\]]*)\])?(?: \[CWD=([^\]]*)\])?(?: \[COMMAND=(.*)\])?$",
    re.DOTALL,
)


def _host(start: str, rest: str, action: str, kind: str) -> Saying:
    return Saying(start, rest, "host", action, types=kind)


def read_logind(message: str) -> Fields | None:
    """New session 3 of user alice. Removed session 3. The system will reboot now!"""
    new = _NEW.match(message)
    if new is None:
        return _logind(message)
    return {
        "event.module": "logind",
        "event.dataset": "system.auth",
        "event.category": ["session"],
        "event.type": ["start"],
        "event.action": "session-started",
        "user.name": new[2],
        "system.auth.session.id": new[1],
    }


_NEW: Final = re.compile(r"New session ([^\s']+) of user ([^\s']+)\.\Z", re.ASCII)  # what most say, in one step
_logind: Final = reader(
    "logind",
    (
        Saying("New session ", _SESSION + r"(?: with .*)?\.", SESSION, "session-started", types="start"),
        Saying("Removed session ", r"(?P<session>\S+?)\.", SESSION, "session-ended", types="end"),
        Saying("Session ", r"(?P<session>\S+) logged out.*", SESSION, "session-ended", types="end"),
        _host("Power key pressed", ".*", "power_key", "info"),
        _host("System is rebooting", ".*", "system_reboot", "end"),
        _host("System is ", r"(?:powering (?:down|off)|halting|halted).*", "system_shutdown", "end"),
        _host("The system will ", r"reboot now!", "system_reboot", "end"),
        _host("The system will ", r"(?:power off|be halted) now!", "system_shutdown", "end"),
        _host("The system will ", r"(?:suspend|hibernate)\b.*", "system_suspend", "info"),
        _host("Creating /run/nologin, ", ".*", "logins_blocked", "change"),
    ),
)
read_systemd: Final = reader(
    "systemd",
    (
        Saying(
            "Started ",
            r"(?:session-\S+\.scope - )?Session (?P<session>\S+) of [uU]ser (?P<user>.*?)\.",
            SESSION,
            "session-scope-started",
            types="start",
        ),
        Saying(
            "Starting ",
            r"Session (?P<session>\S+) of [uU]ser (?P<user>.*?)\.",
            SESSION,
            "session-scope-started",
            types="start",
        ),
        Saying("Time has been changed", "", "configuration", "time-changed", types="change"),
        Saying("Started ", r"(?P<unit>\S+) - .*\.", "process", "unit-started", types="start"),
        Saying("Started ", r"(?P<unit>.*)\.", "process", "unit-started", types="start"),
        Saying("Stopped ", r"(?P<unit>\S+) - .*\.", "process", "unit-stopped", types="end"),
        Saying("Stopped ", r"(?P<unit>.*)\.", "process", "unit-stopped", types="end"),
        Saying("Failed to start ", r"(?P<unit>\S+) - .*\.", "process", "unit-failed", "failure", "error"),
        Saying("Failed to start ", r"(?P<unit>.*)\.", "process", "unit-failed", "failure", "error"),
    ),
    "system.syslog",
)
read_atd: Final = reader(
    "atd",
    (
        Saying(
            "Starting job ",
            r"\S+ \(\S+\) for user '(?P<user>[^']*)' \((?P<uid>\d{1,10})\)",
            "process",
            "at_job",
            types="start",
        ),
        Saying("Userid mismatch ", r"(?P<why>.*)", "process", "at_job_refused", "failure", "denied"),
    ),
    "system.syslog",
)
read_anacron: Final = reader(
    "anacron",
    (
        Saying("Job ", r"`(?P<command>[^']*)' started", "process", "cron_job_started", types="start"),
        Saying(
            "Job ", r"`(?P<command>[^']*)' terminated(?: \((?P<why>.*)\))?", "process", "cron_job_ended", types="end"
        ),
        Saying("Anacron started on ", ".*", "process", "cron_started", types="start"),
        Saying("Normal exit ", ".*", "process", "cron_ended", types="end"),
    ),
    "system.syslog",
)


def read_polkit(message: str) -> Fields | None:
    """polkitd: Operator of SESSION successfully authenticated as USER to gain authorization for action ..."""
    found = _POLKIT.match(message)
    if found is None:
        return _AGENT(message)
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


_AGENT: Final = reader(
    "polkit",
    (
        Saying(
            "Registered Authentication Agent for ",
            r"(?P<subject>\S+) \(system bus name \S+ \[(?P<command>.*)\], object path .*\)",
            "process", "polkit_agent_registered", types="info",
        ),
        Saying("Unregistered Authentication Agent for ", r"(?P<subject>\S+) \(.*\)", "process", "polkit_agent_removed", types="info"),
        Saying("Loading rules from directory ", r"(?P<path>.*)", "configuration", "polkit_rules", types="info"),
        Saying("Finished loading, compiling and executing ", ".*", "configuration", "polkit_rules", types="info"),
        Saying("Reloading rules", "", "configuration", "polkit_rules", types="change"),
        Saying("Error ", r"(?P<why>evaluating authorization rules|compiling script .*)", "configuration", "polkit_rules", "failure", "error"),
    ),
)  # fmt: skip


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


# cron's verbs -> (category, type, outcome); any other says that cron would not take a table or run a job.
_VERBS: Final = {
    "CMD": ("process", "start", ""),
    "CMDEND": ("process", "end", ""),
    "CMDOUT": ("process", "info", ""),
    "MAIL": ("process", "info", ""),
    "INFO": ("process", "info", ""),
    "info": ("process", "info", ""),
    "STARTUP": ("process", "start", ""),
    "DEATH": ("process", "end", "failure"),
    "RELOAD": ("configuration", "change", ""),
    "LIST": ("configuration", "access", "success"),
    "BEGIN EDIT": ("configuration", "info", "success"),
    "END EDIT": ("configuration", "info", "success"),
    "REPLACE": ("configuration", "change", "success"),
    "DELETE": ("configuration", "deletion", "success"),
    "AUTH": ("configuration", "denied", "failure"),
}
_REFUSED: Final = ("configuration", "error", "failure")
_BARRED: Final = ("authentication", "denied", "failure")


def read_cron(message: str) -> Fields | None:
    """cron: (root) CMD (command), (alice) RELOAD (crontabs/alice); busybox: USER root pid 12 cmd COMMAND.

    `(CRON)` is cron itself and `(*system*NAME)` a file of /etc/cron.d: neither is a user.
    """
    found = _CRON.match(message)
    if found is None:
        return _BUSYBOX(message.removeprefix("crond: "))
    user, verb, what = found.groups()
    category, kind, outcome = _VERBS.get(verb, _BARRED if "PAM" in verb else _REFUSED)
    fields: Fields = {
        "event.module": "cron",
        "event.dataset": "system.syslog",
        "event.category": [category],
        "event.type": [kind],
        "event.action": "cron_" + verb.lower().replace(" ", "_").replace(">", "over"),
    }
    if outcome:
        fields["event.outcome"] = outcome
    if user != "CRON" and not user.startswith("*system*"):
        fields["user.name"] = user
    if verb in ("CMD", "CMDEND"):
        fields["process.command_line"] = what.removesuffix(")").strip()
    elif verb not in ("LIST", "BEGIN EDIT", "END EDIT", "REPLACE", "DELETE"):
        fields["event.reason"] = what.removesuffix(")")
    return fields


_BUSYBOX: Final = reader(
    "cron",
    (
        Saying(
            "USER ", r"(?P<user>\S+) pid +(?P<pid>\d{1,10}) cmd (?P<command>.*)", "process", "cron_cmd", types="start"
        ),
    ),
    "system.syslog",
)


def read_crontab(message: str) -> Fields | None:
    """crontab: (root) REPLACE (alice): by whom, and whose table."""
    fields = read_cron(message)
    if fields is None or "event.reason" in fields:
        return fields
    whose = message.rpartition("(")[2].removesuffix(")")
    return {**fields, "user.target.name": whose, "event.category": ["configuration", "iam"]}
