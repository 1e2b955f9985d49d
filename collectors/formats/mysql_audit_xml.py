"""MySQL Enterprise Audit in XML, new style (elements) and old (attributes)."""

from __future__ import annotations

from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.mysql_audit import build, class_of
from collectors.formats.xml_text import elements

_NAMES: Final = {
    "NAME": "event",
    "CONNECTION_ID": "connection_id",
    "RECORD_ID": "id",
    "STATUS": "status",
    "USER": "user",
    "OS_LOGIN": "os_user",
    "OS_USER": "os_user",  # Percona's name for it
    "HOST": "host",
    "IP": "ip",
    "PRIV_USER": "priv_user",
    "PROXY_USER": "proxy",
    "DB": "db",
    "TABLE": "table",
    "SQLTEXT": "query",
    "COMMAND_CLASS": "sql_command",
}
_EDGES: Final = ("<?xml", "<AUDIT>", "</AUDIT>")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one AUDIT_RECORD. Raises ParseError if it is none."""
    start = text.find("<AUDIT_RECORD")
    if start < 0:
        raise ParseError("no record of MySQL's audit log: no AUDIT_RECORD")
    end = text.find("</AUDIT_RECORD>", start)
    found = elements(text[start : end + 15] if end >= 0 else text[start:].rstrip())
    record = dict(found[-1].attributes)
    record.update((element.path[-1], element.text.strip()) for element in found[:-1] if len(element.path) == 2)
    names = {ours: record[name] for name, ours in _NAMES.items() if record.get(name)}
    names["class"] = class_of(names.get("event", ""))
    # The account stands as `root[root] @ localhost [127.0.0.1]`.
    names["user"] = names.get("user", "").partition("[")[0]
    names["event"] = names.get("event", "").lower().replace(" ", "_")
    stamp = when.iso(record.get("TIMESTAMP", "").removesuffix(" UTC"), ctx)
    return Parsed(stamp[0] if stamp else None, build(names))


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in a record: up to the next that begins."""
    return not line.lstrip().startswith(("<AUDIT_RECORD", *_EDGES)) and not first.lstrip().startswith(_EDGES)


FORMAT = Format("mysql-audit-xml", parse, continues)
