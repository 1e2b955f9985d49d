"""sshd's message without any header, as some collectors hand it on; each line stands alone."""

from __future__ import annotations

from collectors.formats import Context, Format, Parsed, ParseError
from collectors.formats.programs import understand
from rules.event import Value


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one bare message of sshd. Raises ParseError for an empty one."""
    message = text.strip(" ")
    if not message:
        raise ParseError("no message of sshd: the line is empty")
    fields: dict[str, Value] = {"event.kind": "event", "process.name": "sshd", "message": message}
    return Parsed(None, understand("sshd", fields))


FORMAT = Format("sshd", parse)
