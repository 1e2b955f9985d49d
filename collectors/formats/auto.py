"""Any line of any format that we know: the first bytes say which to ask, and in which order."""

from __future__ import annotations

import re
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError

# How a record begins -> the formats that begin so, the more particular first.
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]{1,2}\d{1,2}:\d\d:\d\d)", re.ASCII)
_MSSQL_CSV: Final = re.compile(
    r'\ufeff?"?(?:event_time"?,"?sequence_number'
    r'|\d{4}-\d\d-\d\d[T ][\d:.]{8,18}"?,"?\d{1,10}"?,"?[A-Z0-9]{1,4} *"?,)',
    re.ASCII,
)
_SHAPES: Final = (
    (re.compile(r"(?:node=\S+ )?type=[A-Z0-9_\[\]]+ (?:msg=)?audit\("), ("auditd",)),
    (re.compile(r"<\d{1,3}>"), ("syslog",)),
    (re.compile(r"\ufeff?<Event[ >]"), ("windows-event",)),
    (re.compile(r"\s*<(?:AUDIT_RECORD|AUDIT>|/AUDIT>|\?xml)"), ("mysql-audit-xml",)),
    (re.compile(r"AUDIT: "), ("pgaudit",)),
    (re.compile(r"\S+, Version: \S.*started with:", re.ASCII), ("mysql-general",)),
    (re.compile(r"# (?:Time|User@Host): "), ("mysql-slow",)),
    (re.compile(r"(?:\d{8} \d\d:\d\d:\d\d|\d{16}),"), ("mariadb-audit",)),
    (re.compile(r"\d{6} [ \d]\d:\d\d:\d\d"), ("mysql-general", "mysql-error")),
    (re.compile(r"(?:audit_schema_version|Audit event: audit_schema_version):"), ("mssql-audit",)),
    (re.compile(r"__CURSOR="), ("journald",)),
    (_MSSQL_CSV, ("mssql-audit", "postgresql-csv")),
    (re.compile(r"\d{4}-\d\d-\d\dT\S+ (?:stdout|stderr) [FP]"), ("cri",)),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d (?!\S*\[)\S+ {2,}"), ("mssql-errorlog",)),
    (
        re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Za-z0-9+:-]{1,8},"),
        ("postgresql-csv", "postgresql"),
    ),
    (re.compile(r"\d{4}-\d\d-\d\dT\S+\t? +\d+ [A-Z][A-Za-z ]+\t"), ("mysql-general",)),
    (re.compile(r"\d{4}-\d\d-\d\dT\S+ (?:[FEWID]\d? [A-Z_-]+ +)?\[\w"), ("mongodb-text",)),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]{1,2}\d{1,2}:\d\d:\d\d\S* +(?:\d+|0x[0-9a-f]+) \["), ("mysql-error",)),
    (re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \S+ +\d+ \d\d:\d\d:\d\d(?:\.\d+)? \["), ("syslog", "mongodb-text")),
    (_DATE, ("postgresql", "syslog", "mysql-error")),
)
_ELSE: Final = ("syslog", "postgresql", "sshd")
# What a JSON object has by name, the more particular first.
_OBJECTS: Final = (
    ('"error_severity"', "postgresql-json"),
    ('"atype"', "mongodb-audit"),
    ('"$date"', "mongodb"),
    ('"winlog"', "windows-event"),
    ('"EventID"', "windows-event"),
    ('"__REALTIME_TIMESTAMP"', "journald"),
    ('"action_id"', "mssql-audit"),
    ('"connection_id"', "mysql-audit-json"),
    ('"audit_record"', "mysql-audit-json"),
    ('"log":"', "docker"),
)


def candidates(text: str) -> tuple[str, ...]:
    """Return the formats that a record may be of, by how it begins; the likelier first."""
    first = text[:1]
    if first == "{" or (first == "[" and text[1:2] in ("{", "")):
        head = text[:65536]
        return (*(name for mark, name in _OBJECTS if mark in head), "json")
    if "A" <= first <= "Z" and text[3:4] == " " and text[:3] not in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        return _ELSE
    return next((names for shape, names in _SHAPES if shape.match(text)), _ELSE)


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event by the first format that understands the record. Raises ParseError if none does."""
    from collectors.formats.registry import FORMATS  # noqa: PLC0415  the registry names this module

    for name in candidates(text):
        try:
            parsed = FORMATS[name].parse(text, ctx)
        except ParseError:
            continue
        if name != "sshd" or "event.action" in parsed.fields:
            return parsed
    raise ParseError("no format that we know")


def continues(first: str, line: str) -> bool:
    """Say whether `line` continues `first`, as the format that `first` seems to be has it.

    Only what marks its own continuation is joined: a line that a format could begin with is a record of its own.
    """
    from collectors.formats.registry import FORMATS  # noqa: PLC0415

    names = candidates(first)
    rule = FORMATS[names[0]].continues
    if rule is None or not rule(first, line):
        return False
    other = candidates(line)
    return line[:1] in (" ", "\t", "") or (names != _ELSE and other in (names, _ELSE))


def quoting(first: str) -> str | None:
    """Return the mark that holds a record together, as the format that `first` seems to be has it."""
    from collectors.formats.registry import FORMATS  # noqa: PLC0415

    found = FORMATS[candidates(first)[0]]
    return found.quoting(first) if found.quoting is not None else found.quote


FORMAT = Format("auto", parse, continues, quoting=quoting, leads="# Time: ")  # mysql-slow's
