"""RFC 5424: the header after `<PRI>1 `, and structured data; the message is read by the program that it names."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Parsed, ParseError, when
from collectors.formats.address import number
from collectors.formats.programs import understand
from rules.event import Value


def read(text: str, at: int, fields: dict[str, Value], ctx: Context) -> Parsed:
    """Read the rest of an RFC 5424 header (section 6), "-" standing for what the sender does not know."""
    words = text[at:].split(" ", 5)
    if len(words) < 6:
        raise ParseError("no RFC 5424 header: fewer than six parts")
    stamp, host, program, process, message_id, rest = words
    fields["log.syslog.version"] = "1"
    time = None
    if stamp != "-":
        found = when.iso(stamp, ctx)
        if found is None or found[1] != len(stamp):
            raise ParseError("no RFC 5424 header: its time is none")
        time = found[0]
    if host != "-":
        fields["host.hostname"] = host
    if program != "-":
        fields["process.name"] = program.rpartition("/")[2] if program.startswith("/") else program
        fields["log.syslog.appname"] = program
    if process != "-":
        fields["log.syslog.procid"] = process
        number(fields, "process.pid", process)
    if message_id != "-":
        fields["log.syslog.msgid"] = message_id
    fields["message"] = structured(rest, fields).removeprefix("\ufeff")
    return Parsed(time, understand(program, fields))


def structured(rest: str, fields: dict[str, Value]) -> str:
    """Take the STRUCTURED-DATA (section 6.3) off the front and return the message after it."""
    if rest == "-" or rest.startswith("- "):
        return rest[2:]
    at = 0
    while rest.startswith("[", at):
        at = _element(rest, at + 1, fields)
    return rest[at + 1 :] if rest.startswith(" ", at) else rest[at:]


_NAME: Final = re.compile(r'[^ =\]"]{1,255}')
_PARAM: Final = re.compile(r' +([^ =\]"]{1,255})="((?:[^"\\]|\\.)*)"', re.DOTALL)


def _element(rest: str, at: int, fields: dict[str, Value]) -> int:
    found = _NAME.match(rest, at)
    if found is None:
        raise ParseError("no RFC 5424 header: structured data without a name")
    name, at = found[0], found.end()
    while (param := _PARAM.match(rest, at)) is not None:
        value = re.sub(r'\\(["\\\]])', r"\1", param[2])
        fields[f"log.syslog.structured_data.{name}.{param[1]}"] = value
        at = param.end()
    if not rest.startswith("]", at):
        raise ParseError("no RFC 5424 header: structured data is not closed")
    return at + 1
