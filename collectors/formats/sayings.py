"""A program's messages as a table: how each begins, what it means, and where its names go.

A pattern's groups are named by what they hold (`user`, `host`, `why`), so that a row is all there is to a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from collectors.formats.address import destination, number, source
from rules.event import Scalar, Value

Fields = dict[str, Value]
AUTH: Final = "authentication"
NETWORK: Final = "network"
SESSION: Final = "session"
_NAMES: Final = {
    "user": "user.name",
    "who": "user.name",  # where a pattern has a name in two forms
    "uid": "user.id",
    "whom": "user.effective.name",
    "target": "user.target.name",
    "name": "user.target.name",  # likewise
    "renamed": "user.changes.name",
    "group": "group.name",
    "why": "event.reason",
    "command": "process.command_line",
    "directory": "process.working_directory",
    "path": "file.path",
    "other": "file.target_path",
    "domain": "source.domain",
    "peer": "source.address",  # for a reader that parts it itself
    "key": "system.auth.ssh.signature",
    "method": "system.auth.ssh.method",
    "session": "system.auth.session.id",
    "scope": "system.auth.session.id",
    "subject": "system.auth.session.id",
    "unit": "service.name",
    "tty": "system.auth.login.tty",
    "terminal": "system.auth.login.tty",
    "service": "system.auth.pam.service",
    "principal": "system.auth.kerberos.principal",
    "certificate": "system.auth.ssh.certificate.id",
    "serial": "system.auth.ssh.certificate.serial",
    "authority": "system.auth.ssh.certificate.authority",
    "subsystem": "system.auth.ssh.session_kind",
    "protocol": "network.application",
}
_NUMBERS: Final = {"pid": "process.pid", "sent": "destination.bytes", "received": "source.bytes"}
_TYPES: Final[dict[str, list[Scalar]]] = {NETWORK: ["connection"]}


@dataclass(frozen=True, slots=True)
class Saying:
    """One message: what stands at its beginning, the rest as a pattern, and what it means.

    `category` may name several, with a blank between; `types` too, where the category's own do not fit.
    """

    start: str
    rest: str
    category: str
    action: str
    outcome: str = ""  # none: it tells of no attempt at anything
    types: str = ""


def reader(module: str, sayings: Iterable[Saying], dataset: str = "system.auth") -> Callable[[str], Fields | None]:
    """Return a function from a message to the fields of the first saying that it is, or None.

    Rows are found by the message's first word, so that a long table costs no more than a short one.
    """
    by_word: dict[str, list[tuple[Saying, re.Pattern[str]]]] = {}
    for one in sayings:
        pattern = re.compile(re.escape(one.start) + f"(?:{one.rest})" + r"\Z", re.DOTALL | re.ASCII)
        by_word.setdefault(one.start.split(" ", 1)[0], []).append((one, pattern))

    def read(message: str) -> Fields | None:
        end = message.find(" ")
        for one, pattern in by_word.get(message if end < 0 else message[:end], ()):
            found = pattern.match(message) if message.startswith(one.start) else None
            if found is not None:
                return _fields(module, dataset, one, found)
        return None

    return read


def _fields(module: str, dataset: str, one: Saying, found: re.Match[str]) -> Fields:
    categories = one.category.split(" ")
    fields: Fields = {
        "event.module": module,
        "event.dataset": dataset,
        "event.category": [*categories],
        "event.type": [*(one.types.split(" ") if one.types else _TYPES.get(categories[0], ["info"]))],
        "event.action": one.action,
    }
    if one.outcome:
        fields["event.outcome"] = one.outcome
    said = {name: value for name, value in found.groupdict().items() if value is not None}
    if "host" in said:
        source(fields, said.pop("host"), said.pop("port", None))
    if "to" in said:
        destination(fields, said.pop("to"), said.pop("to_port", None))
    if said.pop("invalid", None):
        fields["system.auth.ssh.invalid_user"] = True
    for name, value in said.items():
        if name in _NUMBERS:
            number(fields, _NUMBERS[name], value)
        elif value or name == "user":
            fields[_NAMES[name]] = value.strip(" ") if name == "why" else value
    return fields
