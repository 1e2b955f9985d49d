"""sudo's JSON by syslog, `@cee:{"sudo": {"accept": {...}}}` (sudoers, log_format=json).

From sudo's manual and lib/eventlog/eventlog.c; not run here: unverified.
"""

from __future__ import annotations

import shlex
from typing import Final

from collectors.formats import ParseError
from collectors.formats.json_text import object_of
from collectors.formats.sudo import describe_command
from rules.event import Value

Fields = dict[str, Value]
_NAMES: Final = {
    "submituser": "user.name",
    "runuser": "system.auth.sudo.user",
    "rungroup": "system.auth.sudo.group",
    "submitcwd": "system.auth.sudo.pwd",
    "ttyname": "system.auth.sudo.tty",
    "submithost": "system.auth.sudo.host",
    "reason": "event.reason",
    "message": "event.reason",
    "exit_value": "system.auth.sudo.exit",
    "signal": "system.auth.sudo.signal",
}


def read(message: str) -> Fields | None:
    """Return who ran what as whom, or was refused and why; None for what is none of sudo's events."""
    try:
        record = object_of(message.removeprefix("@cee:").lstrip(" "))
    except ParseError:
        return None
    events = record.get("sudo")
    kind, event = next(iter(events.items()), ("", None)) if isinstance(events, dict) else ("", None)
    if kind not in ("accept", "reject", "alert", "exit") or not isinstance(event, dict):
        return None
    refused = kind in ("reject", "alert")
    fields: Fields = {
        "event.module": "sudo",
        "event.dataset": "system.auth",
        "event.category": ["process", "authentication"] if refused else ["process"],
        "event.type": ["denied" if refused else "end" if kind == "exit" else "start"],
        "event.action": "command-refused" if refused else "command-ended" if kind == "exit" else "ran-command",
        "event.outcome": "failure" if refused else "success",
    }
    for name, field in _NAMES.items():
        value = event.get(name)
        if isinstance(value, str | int) and value != "":
            fields[field] = value
    if "system.auth.sudo.user" in fields:
        fields["user.effective.name"] = fields["system.auth.sudo.user"]
    _command(event, fields)
    return fields


def _command(event: dict[str, object], fields: Fields) -> None:
    command, arguments = event.get("command"), event.get("runargv")
    if not isinstance(command, str):
        return
    rest = arguments[1:] if isinstance(arguments, list) else []
    describe_command(" ".join([command, *(shlex.quote(str(one)) for one in rest)]), fields)
