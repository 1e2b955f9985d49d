"""Windows events as others forward them: Winlogbeat's or NXLog's JSON, or the event's own XML.

Security events by number as Microsoft documents them (Security auditing, event descriptions). Written from the
documentation, not run here: unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.json_text import flat, object_of
from collectors.formats.windows_meaning import understand
from collectors.formats.xml_text import elements
from rules.event import Value

Fields = dict[str, Value]
_EMPTY: Final = ("", "-")
# NXLog's and others' flat names for what the System element says.
_SYSTEM: Final = {
    "event_id": ("EventID", "event_id", "Id", "EventId"),
    "channel": ("Channel", "channel", "LogName"),
    "provider": ("SourceName", "provider_name", "ProviderName", "Provider_Name"),
    "computer": ("Hostname", "Computer", "computer_name", "MachineName"),
    "record_id": ("RecordNumber", "record_id", "EventRecordID"),
    "keywords": ("Keywords",),
}
_TIMES: Final = ("@timestamp", "EventTime", "UtcTime", "TimeCreated", "SystemTime", "EventReceivedTime")


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one record. Raises ParseError if it names no event."""
    system, data, message, stamp = _xml(text) if text.lstrip("\ufeff \t\r\n")[:1] == "<" else _json(text)
    code = system.get("event_id", "")
    if not code:
        raise ParseError("no Windows event: no event id")
    fields: Fields = {
        "event.kind": "event",
        "event.module": "windows",
        "event.dataset": "windows."
        + (system.get("channel", "event").rpartition("/")[0] or system.get("channel", "event"))
        .lower()
        .replace(" ", "_"),
        "event.code": code,
        "message": message,
    }
    for name, field in (
        ("channel", "winlog.channel"),
        ("provider", "winlog.provider_name"),
        ("computer", "winlog.computer_name"),
        ("record_id", "winlog.record_id"),
        ("keywords", "winlog.keywords"),
    ):
        if system.get(name):
            fields[field] = system[name]
    if system.get("computer"):
        fields["host.hostname"] = system["computer"]
    for name, value in data.items():
        if value not in _EMPTY:
            fields[f"winlog.event_data.{name}"] = value
    understand(code, system, {k: v for k, v in data.items() if v not in _EMPTY}, fields)
    found = when.iso(stamp, ctx) if stamp else None
    if fields["event.module"] == "mssql":
        from collectors.formats import mssql_audit  # noqa: PLC0415  few hosts have it

        audited = mssql_audit.build(
            mssql_audit.lines(next((v for v in data.values() if "action_id:" in v), message)), ctx
        )
        fields.update(audited.fields)
        fields["event.code"] = code
        return Parsed(audited.time or (found[0] if found else None), fields)
    return Parsed(found[0] if found else None, fields)


_Read = tuple[dict[str, str], dict[str, str], str, str]


def _json(text: str) -> _Read:
    record = object_of(text.lstrip("\ufeff"))
    message = record.get("message", record.get("Message", ""))
    inner = record.get("Event") if isinstance(record.get("Event"), dict) else None
    if isinstance(inner, dict):
        return _json_of_xml(inner, str(message or ""))
    winlog = record.get("winlog")
    stamp = next((str(record[name]) for name in _TIMES if isinstance(record.get(name), str)), "")
    if isinstance(winlog, dict):
        event = record.get("event")
        code = winlog.get("event_id") or (event.get("code") if isinstance(event, dict) else "") or ""
        system = {"event_id": str(code)} | _strings(
            winlog,
            {"channel": "channel", "provider_name": "provider", "computer_name": "computer", "record_id": "record_id"},
        )
        data = winlog.get("event_data") if isinstance(winlog.get("event_data"), dict) else winlog.get("user_data")
        return (
            system,
            _texts(data if isinstance(data, dict) else {}),
            str(message),
            str(winlog.get("time_created") or stamp),
        )
    system = {
        ours: str(record[name])
        for ours, names in _SYSTEM.items()
        for name in reversed(names)
        if isinstance(record.get(name), str | int)
    }
    data = record.get("EventData") if isinstance(record.get("EventData"), dict) else record
    known = {name for names in _SYSTEM.values() for name in names} | {"message", "Message", *_TIMES}
    return (
        system,
        _texts({k: v for k, v in (data if isinstance(data, dict) else {}).items() if k not in known}),
        str(message),
        stamp,
    )


def _json_of_xml(event: Mapping[str, object], message: str) -> _Read:
    """Read {"Event": {"System": ..., "EventData": ...}}, as converters of .evtx write it."""
    inner = event.get("System")
    system = inner if isinstance(inner, dict) else {}
    names = {
        "EventID": "event_id",
        "Channel": "channel",
        "Computer": "computer",
        "EventRecordID": "record_id",
        "Keywords": "keywords",
    }
    out = {
        ours: str(value.get("#text", "") if isinstance(value, dict) else value)
        for name, ours in names.items()
        if (value := system.get(name)) is not None
    }
    provider = system.get("Provider")
    attributes = provider.get("#attributes", provider) if isinstance(provider, dict) else {}
    if isinstance(attributes, dict):
        out["provider"] = str(attributes.get("Name", attributes.get("@Name", "")))
    created = system.get("TimeCreated")
    times = created.get("#attributes", created) if isinstance(created, dict) else {}
    stamp = str(times.get("SystemTime", times.get("@SystemTime", ""))) if isinstance(times, dict) else ""
    data = event.get("EventData") or event.get("UserData")
    return out, _texts(data if isinstance(data, dict) else {}), message, stamp


def _strings(record: Mapping[str, object], names: Mapping[str, str]) -> dict[str, str]:
    return {ours: str(record[name]) for name, ours in names.items() if isinstance(record.get(name), str | int)}


def _texts(data: Mapping[str, object]) -> dict[str, str]:
    """Return the event's data as text, what is nested under dotted names."""
    return {name: str(value) for name, value in flat(dict(data)).items() if value is not None}


def _xml(text: str) -> _Read:
    system: dict[str, str] = {}
    data: dict[str, str] = {}
    message = stamp = ""
    for number, element in enumerate(elements(text.lstrip("\ufeff \t\r\n"))):
        name, parent = element.path[-1], element.path[-2] if len(element.path) > 1 else ""
        if parent == "System":
            if name == "Provider":
                system["provider"] = element.attributes.get("Name", "")
            elif name == "TimeCreated":
                stamp = element.attributes.get("SystemTime", "")
            elif name in _XML_SYSTEM:
                system[_XML_SYSTEM[name]] = element.text.strip()
        elif name == "Data" and "EventData" in element.path:
            data[element.attributes.get("Name") or f"param{number}"] = element.text
        elif "UserData" in element.path and element.text.strip():
            data[name] = element.text
        elif name == "Message":
            message = element.text
    return system, data, message, stamp


_XML_SYSTEM: Final = {
    "EventID": "event_id",
    "Channel": "channel",
    "Computer": "computer",
    "EventRecordID": "record_id",
    "Keywords": "keywords",
    "Level": "level",
}


def continues(first: str, line: str) -> bool:
    """Say whether `line` goes on in an event's XML: one begins with <Event."""
    start = first.lstrip("\ufeff \t")
    return start.startswith("<") and "</Event>" not in start and not line.lstrip().startswith(("<Event ", "<Event>"))


FORMAT = Format("windows-event", parse, continues)
