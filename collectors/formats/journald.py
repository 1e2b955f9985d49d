"""systemd's journal: an entry as JSON (`journalctl -o json`), or in the export format (fields on lines of their own).

Fields are those of systemd.journal-fields(7). What a program said it was (SYSLOG_IDENTIFIER) picks the reader of
its message; what the journal itself knows (fields with an underscore) is kept beside, and cannot be forged by it.
"""

from __future__ import annotations

from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import number
from collectors.formats.json_text import object_of
from collectors.formats.programs import understand
from collectors.formats.syslog import priority
from rules.event import Value

Fields = dict[str, Value]
_COPIED: Final = {
    "_HOSTNAME": "host.hostname",
    "_COMM": "journald.process.name",
    "_EXE": "process.executable",
    "_CMDLINE": "journald.process.command_line",
    "_SYSTEMD_UNIT": "systemd.unit",
    "_TRANSPORT": "systemd.transport",
    "_UID": "journald.uid",
    "_GID": "journald.gid",
    "_AUDIT_LOGINUID": "journald.audit.login_uid",
    "_AUDIT_SESSION": "journald.audit.session",
    "_BOOT_ID": "journald.boot_id",
    "_MACHINE_ID": "journald.machine_id",
    "CONTAINER_NAME": "container.name",
    "CONTAINER_ID_FULL": "container.id",
    "__CURSOR": "journald.cursor",
    "MESSAGE_ID": "journald.message_id",
    "CODE_FILE": "journald.code.file",
}


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one entry, in JSON or export form. Raises ParseError if it holds no message and no time."""
    entry = _of_json(object_of(text)) if text.lstrip()[:1] == "{" else _of_export(text)
    if "MESSAGE" not in entry and "__REALTIME_TIMESTAMP" not in entry:
        raise ParseError("no entry of the journal: no MESSAGE, no __REALTIME_TIMESTAMP")
    return build(entry)


def build(entry: dict[str, str]) -> Parsed:
    """Return the event of an entry's fields."""
    fields: Fields = {"event.kind": "event", "event.module": "journald", "event.dataset": "system.syslog"}
    for name, field in _COPIED.items():
        if name in entry:
            fields[field] = entry[name]
    facility, severity = entry.get("SYSLOG_FACILITY", ""), entry.get("PRIORITY", "")
    if severity in "01234567" and len(severity) == 1:
        known = facility.isdecimal() and facility.isascii() and len(facility) < 3 and int(facility) < 24
        priority(fields, (int(facility) if known else 1) * 8 + int(severity))
    program = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM", "")
    if program:
        fields["process.name"] = program
    number(fields, "process.pid", entry.get("SYSLOG_PID") or entry.get("_PID", ""))
    fields["message"] = entry.get("MESSAGE", "")
    understand(program, fields)
    stamp = entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry.get("__REALTIME_TIMESTAMP", "")
    if not (stamp.isdecimal() and stamp.isascii() and len(stamp) < 18):
        return Parsed(None, fields)
    seconds, micro = divmod(int(stamp), 1_000_000)
    return Parsed(when.epoch(seconds).replace(microsecond=micro), fields)


def _of_json(record: dict[str, object]) -> dict[str, str]:
    """Return fields as text: one that is not UTF-8 comes as an array of bytes, one given twice as an array."""
    return {name: _text(value) for name, value in record.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, list):
        if all(isinstance(item, int) and 0 <= item < 256 for item in value):
            return bytes(value).decode("utf-8", "backslashreplace")
        return _text(value[-1]) if value and not isinstance(value[-1], list) else ""
    return value if isinstance(value, str) else str(value)


def _of_export(text: str) -> dict[str, str]:
    """Read NAME=value lines. A value with line breaks stands under its name, after eight bytes of length; those are
    no text, so such a value is read to the next line that is a field."""
    entry: dict[str, str] = {}
    open_ = ""
    for line in text.split("\n"):
        name, marked, value = line.partition("=")
        if marked and _is_name(name):
            entry[name], open_ = value, ""
        elif not marked and _is_name(line):
            open_ = line
        elif open_:
            entry[open_] = f"{entry[open_]}\n{line}" if open_ in entry else _after_length(line)
    return entry


def _after_length(line: str) -> str:
    """Take the length off: eight bytes, the last of which are zero in anything under 16 MiB."""
    return line[8:] if line[3:8].strip("\x00") == "" and len(line) >= 8 else line.rpartition("\x00")[2]


def _is_name(text: str) -> bool:
    return (
        0 < len(text) <= 64
        and text.replace("_", "").isalnum()
        and text.isascii()
        and text == text.upper()
        and not text[0].isdigit()
    )


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in an export entry, which a blank line ends."""
    return first[:1] not in ("{", "") and line != ""


FORMAT = Format("journald", parse, continues)
