"""View: what a message says, as templates see it. Every text is one safe line; escaping for HTML is the template's."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifiers.escape import inert, line, term
from notifiers.incident import Incident
from notifiers.statement import deed, uncommented
from rules.alert import Alert
from rules.event import Value

LATE: Final = timedelta(hours=1)  # judged later than this after it happened: told as old news


@dataclass(frozen=True, slots=True)
class Beside:
    """One of the events that made an alert together: where it happened, and when, and what it was."""

    where: str  # "staging: acme_staging"
    when: str
    what: str
    did: str = ""  # "DROP TABLE (ddl): table customer": no comment and no length hides it


@dataclass(frozen=True, slots=True)
class View:
    """One message before it has a form."""

    subject: str
    level: str
    facts: tuple[tuple[str, str], ...]
    event: str
    commands: tuple[str, ...]
    runbook: str
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    recent: tuple[str, ...] = ()  # what else that actor did, under a line that says so
    statements: tuple[str, ...] = ()  # the events that made the alert, one a line
    beside: tuple[Beside, ...] = ()  # where an event of each of several rules made it: side by side


def clock(moment: datetime, now: datetime | None = None) -> str:
    """Return a time as people read it, UTC stated, with the date unless `now` is of the same day."""
    same_day = now is not None and moment.date() == now.date()
    return moment.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")


def headline(alert: Alert) -> str:
    """Return what, who, where, production or not, on one line."""
    who, source, where = (first(alert, *names) for names in (_WHO, _FROM, _WHERE))
    parts = [inert(alert.rule.title, 120)]
    if who or source:
        parts.append(": " + (who or "someone") + (f" from {source}" if source else ""))
    mount = first(alert, "system.filesystem.mount_point")
    parts.append(f" on {where}" if where else "")
    parts.append(f" {mount}" if mount else "")
    return "".join(parts) + f" [{environment(alert)}]"


def environment(alert: Alert) -> str:
    """Return production, staging, development, or that nobody said which."""
    named = first(alert, "service.environment")
    return named if named and named != "unknown" else "environment unknown"


_WHO = ("user.name", "source.user.name", "user.effective.name")
_FROM = ("source.ip", "source.address", "source.domain")
_WHERE = ("tocsin.db.target", "db.namespace", "host.name", "host.hostname", "host.id")


def first(alert: Alert, *names: str) -> str:
    """Return the first of these fields that the alert has, safe to show."""
    values = (alert.fields.get(name, alert.key.get(name)) for name in names)
    return next((inert(text_of(value), 80) for value in values if value not in (None, "", [])), "")


def beside(alert: Alert) -> tuple[Beside, ...]:
    """Return the events that made an alert together, in order of time; nothing where one rule made it alone."""
    if len(alert.beside) < 2:
        return ()
    return tuple(_beside(fields) for fields in sorted(alert.beside, key=lambda one: str(one.get("@timestamp"))))


def _beside(fields: Mapping[str, Value]) -> Beside:
    named = fields.get("service.environment")
    where = next((fields[name] for name in _WHERE if fields.get(name)), "")
    what = next((_said(name, fields[name]) for name in _SAID if fields.get(name)), "")
    label = str(named) if named and named != "unknown" else "environment unknown"
    when = str(fields.get("@timestamp", ""))[:19].replace("T", " ") + " UTC"
    return Beside(inert(f"{label}: {text_of(where)}", 160), inert(when, 40), inert(what, 500), inert(deed(fields), 200))


_SAID = ("db.query.text", "process.command_line", "message", "db.operation.name")


def _said(name: str, value: Value) -> str:
    return uncommented(text_of(value)) if name == "db.query.text" else text_of(value)


def text_of(value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value[:20])
    return f"{value:g}" if isinstance(value, float) else str(value)


def facts(incident: Incident, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return what is known of an incident: since when, why, on what, who was told and who was not."""
    alert = incident.alert
    found = [("Since", clock(incident.opened, now))]
    if incident.seen - alert.time > LATE:
        found.append(("Seen", clock(incident.seen)))
    if incident.count > 1:
        found.append(("Repeats", f"{incident.count} alerts, the last at {clock(incident.last, now)}"))
    found += _measured(alert)
    if alert.proof.count > 1:
        found.append(("Events", str(alert.proof.count)))
    found += [
        (inert(name, 80), inert(text_of(value), 200))
        for name, value in alert.key.items()
        if name != "host.id" or not alert.fields.get("host.name")  # a host that has a name is known by it
    ]
    named = {name for name, _ in found}
    found += [
        (name, inert(_said(name, value), 200))
        for name in _DETAIL
        if (value := alert.fields.get(name)) not in (None, "", []) and name not in named and value is not None
    ]
    found += [
        ("All " + name, inert(", ".join(sorted(some)), 300)) for name, some in incident.told.items() if len(some) > 1
    ]
    return (*found, *_people(incident))


def _people(incident: Incident) -> list[tuple[str, str]]:
    found = [("Told", ", ".join(inert(name, 80) for name in sorted(incident.heard)))]
    found += [("Not told", f"{inert(name, 80)}: {inert(why, 200)}") for name, why in incident.muted.items()]
    sleeps = incident.until if incident.state == "snoozed" else None
    state = f"{incident.state} until {clock(sleeps)}" if sleeps else incident.state
    found.append(("State", f"{state}{f' ({inert(incident.person, 100)})' if incident.person else ''}"))
    found += [("Note", inert(note, 300)) for note in incident.notes]
    return found


def _measured(alert: Alert) -> list[tuple[str, str]]:
    """Return what was measured, each value with its limits: `3 (gte 3)`."""
    values = alert.proof.values
    measured = [name for name in values if "|" not in name and name not in _OPERATORS]
    out = []
    for name in measured:
        own = {op: limit for key, limit in values.items() if (op := key.removeprefix(f"{name}|")) != key}
        limits = own or ({op: values[op] for op in values if op in _OPERATORS} if name == "value" else {})
        said = ", ".join(f"{op} {text_of(limit)}" for op, limit in limits.items())
        label = "Measured" if name == "value" else inert(name, 80)
        out.append((label, inert(text_of(values[name]), 200) + (f" ({inert(said, 100)})" if said else "")))
    return out


_OPERATORS = frozenset({"lt", "lte", "gt", "gte", "eq", "neq"})
_DETAIL = (
    "user.name",
    "source.ip",
    "host.name",
    "db.namespace",
    "tocsin.db.target",
    "db.operation.name",
    "tocsin.db.object",
    "db.query.text",
    "process.command_line",
    "event.outcome",
    "system.auth.ssh.method",
    "event.action",
)


def commands(incident: Incident, config: Sequence[str]) -> tuple[str, ...]:
    """Return what a person may paste to go on. `config`: `-c FILE`, where that is not found by itself."""
    alert = incident.alert
    terms = [
        term(name, line(text_of(value), 120))
        for name in ("user.name", "source.ip", "host.name", "db.namespace")
        if (value := alert.fields.get(name)) not in (None, "", []) and not isinstance(value, list) and value is not None
    ]
    search = shlex.join(["tocsin", "search", *config, " AND ".join(terms) or "*", "--since", "1h"])
    shown, acked = (shlex.join(["tocsin", "incidents", verb, *config, incident.id]) for verb in ("show", "ack"))
    return (search, shown, acked)
