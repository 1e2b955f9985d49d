"""Each product's messages, as its source or manual has them: who, from where, what, with which outcome.

`tests/messages/<product>.txt`: `## PROGRAM` names who writes what follows; a message; below it, indented, all that
its event must say of `TOLD` (a field that is not named must not be there). `-` is a message that says nothing of these.
"""

# ruff: noqa: E501  a list of names

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.formats.programs import read
from rules.event import Value

MESSAGES = Path(__file__).resolve().parents[1] / "messages"
TOLD = (
    "user.name", "user.id", "user.effective.name", "user.target.name", "user.target.id", "user.audit.id", "user.changes.name", "group.name", "group.id", "source.ip", "source.domain", "source.port",
    "destination.address", "destination.port", "process.command_line", "process.pid", "process.parent.name", "file.path", "service.name", "tocsin.repeat",
)  # fmt: skip


def told(fields: dict[str, Value] | None) -> str:
    """Return what the file has below a message."""
    if fields is None or "event.action" not in fields:
        return "-"
    category = fields.get("event.category", [])
    assert isinstance(category, list)
    what = f"{'/'.join(map(str, category))} {fields['event.action']} {fields.get('event.outcome', '')}".strip()
    return " ".join([what, *(f"{name}={fields[name]!r}" for name in TOLD if name in fields)])


def messages() -> Iterator[tuple[str, str, str]]:
    for path in sorted(MESSAGES.glob("*.txt")):
        program, message = "", ""
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.startswith("## "):
                program = line[3:]
            elif line.startswith("    "):
                yield program, message, line.strip()
            else:
                message = line


@pytest.mark.parametrize(("program", "message", "expected"), list(messages()))
def test_each_message_says_who_did_what_from_where(program: str, message: str, expected: str) -> None:
    assert told(read(program, message)) == expected


def test_there_are_messages_of_every_product() -> None:
    assert len(list(messages())) > 300
