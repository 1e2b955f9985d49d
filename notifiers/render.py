"""Incident -> message: what a person is told, escaped for the place where it is shown.

The first line tells what, where, who, production or not; then since when, why it fired, the runbook, and commands
to go on. Text and HTML are Jinja2 templates (notifiers/templates), Slack's blocks are built here of `plain_text`
parts, in which Slack reads neither mentions nor links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from notifiers.escape import inert, line, shell, slack, term
from notifiers.incident import Digest, Incident, Kind
from rules.alert import Alert
from rules.event import Value

LATE: Final = timedelta(hours=1)  # judged later than this after it happened: told as old news
_BLOCK: Final = 2900  # Slack takes 3000 characters in one text object
_WORD: Final[Mapping[Kind, str]] = {
    "page": "",
    "news": "NEW VALUE",
    "graver": "GRAVER",
    "reopened": "REOPENED",
    "reminder": "STILL SO",
    "acknowledged": "ACKNOWLEDGED",
    "silenced": "SILENCED",
    "group": "GROUP",
    "storm": "STORM",
    "resolved": "RESOLVED",
    "digest": "OLD NEWS",
    "catchup": "CAUGHT UP",
}

_WHY: Final[Mapping[Kind, str]] = {
    "digest": "They stood in the logs before Tocsin first read them.",
    "catchup": "They were judged more than an hour after they happened.",
    "group": "They came together, by the route's group_by.",
    "storm": "There were too many to tell one by one.",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver, rendered for every kind of channel."""

    incident: str  # the incident's id: channels thread by it
    subject: str  # one line, plain text: what, where, who, production or not
    text: str
    html: str
    blocks: tuple[dict[str, object], ...]  # Slack Block Kit
    time: datetime  # when it was rendered
    change: str = ""  # one line: what is new since the receiver's last message on this incident; empty at first
    loud: bool = True  # worth telling everybody in the channel, not only those who follow the thread


@dataclass(frozen=True, slots=True)
class View:
    """What the templates see. Every text in it is one safe line; escaping for HTML is the template's."""

    subject: str
    level: str
    facts: tuple[tuple[str, str], ...]
    event: str
    commands: tuple[str, ...]
    runbook: str
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


_templates = Environment(
    loader=PackageLoader("notifiers"),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def clock(moment: datetime, now: datetime | None = None) -> str:
    """Return a time as people read it, UTC stated, with the date unless `now` is of the same day."""
    same_day = now is not None and moment.date() == now.date()
    return moment.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")


def headline(alert: Alert) -> str:
    """Return what, who, where, production or not, on one line."""
    who, source, where = (_first(alert, *names) for names in (_WHO, _FROM, _WHERE))
    parts = [inert(alert.rule.title, 120)]
    if who or source:
        parts.append(": " + (who or "someone") + (f" from {source}" if source else ""))
    mount = _first(alert, "system.filesystem.mount_point")
    parts.append(f" on {where}" if where else "")
    parts.append(f" {mount}" if mount else "")
    return "".join(parts) + f" [{environment(alert)}]"


def environment(alert: Alert) -> str:
    """Return production, staging, development, or that nobody said which."""
    named = _first(alert, "service.environment")
    return named if named and named != "unknown" else "environment unknown"


_WHO = ("user.name", "source.user.name", "user.effective.name")
_FROM = ("source.ip", "source.address", "source.domain")
_WHERE = ("db.namespace", "host.name", "host.hostname", "host.id")


def _first(alert: Alert, *names: str) -> str:
    values = (alert.fields.get(name, alert.key.get(name)) for name in names)
    return next((inert(_text(value), 80) for value in values if value not in (None, "", [])), "")


def _text(value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value[:20])
    return f"{value:g}" if isinstance(value, float) else str(value)


def of_incident(incident: Incident, kind: Kind, now: datetime, *, repeat: bool = False, note: str = "") -> Message:
    """Return the message for one incident as it stands. `repeat`: an earlier attempt may have arrived."""
    alert = incident.alert
    word = _WORD[kind]
    prefix = f"{word}: " if word else ""
    subject = prefix + headline(alert)
    if kind == "page" and incident.seen - alert.time > LATE:
        subject += f" (happened {clock(alert.time, incident.seen)}, seen {clock(incident.seen, incident.seen)})"
    if kind == "page" and incident.state == "resolved" and alert.rule.kind == "condition":
        subject += " (resolved meanwhile)"
    if repeat:
        subject = "(possible repeat) " + subject
    view = View(
        subject=subject,
        level=alert.rule.level,
        facts=_facts(incident, now),
        event=inert(_text(alert.fields.get("event.original") or alert.fields.get("message") or ""), 600),
        commands=_commands(incident),
        runbook=line(alert.rule.runbook or "", 300),
        warnings=_warnings(note, repeat=repeat),
    )
    change = "" if kind == "page" else f"{word or kind}: {_change(incident, kind, now)}"
    return _message(incident.id, view, now, change, loud=kind in ("news", "graver", "reopened", "reminder"))


def of_digest(digest: Digest, kind: Kind, now: datetime, name: str, *, repeat: bool = False, note: str = "") -> Message:
    """Return one message that tells of many alerts: how many by rule, and the most telling lines."""
    total = sum(digest.counts.values())
    span = f"{clock(digest.first)} to {clock(digest.last)}"
    subject = f"{_WORD[kind]}: {total} alert{'s' * (total != 1)} from {span}"
    counts = sorted(digest.counts.items(), key=lambda pair: (-pair[1], pair[0]))
    view = View(
        subject=("(possible repeat) " if repeat else "") + subject,
        level="",
        facts=tuple((f"{count} x", inert(title, 120)) for title, count in counts[:50]),
        event=_WHY.get(kind, ""),
        commands=(shell("tocsin", "incidents", "list"),),
        runbook="",
        lines=tuple(f"{clock(one.time)}  {one.level:<13} {inert(one.text, 300)}" for one in digest.lines),
        warnings=_warnings(note, repeat=repeat),
    )
    return _message(name, view, now)


def plain(name: str, title: str, now: datetime) -> Message:
    """Return a message of one line, for when a template fails: a page goes out plain rather than not at all."""
    text = inert(title, 400)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    block: dict[str, object] = {"type": "section", "text": _plain(text)}
    return Message(incident=name, subject=text, text=f"{text}\n", html=f"<p>{escaped}</p>", blocks=(block,), time=now)


def _warnings(note: str, *, repeat: bool) -> tuple[str, ...]:
    told = ("Tocsin stopped while it was sending this: it may have reached you before.",) if repeat else ()
    return (*told, inert(note, 300)) if note else told


def _facts(incident: Incident, now: datetime) -> tuple[tuple[str, str], ...]:
    alert = incident.alert
    facts = [("Since", clock(incident.opened, now))]
    if incident.seen - alert.time > LATE:
        facts.append(("Seen", clock(incident.seen)))
    if incident.count > 1:
        facts.append(("Repeats", f"{incident.count} alerts, the last at {clock(incident.last, now)}"))
    facts += _measured(alert)
    if alert.proof.count > 1:
        facts.append(("Events", str(alert.proof.count)))
    facts += [
        (inert(name, 80), inert(_text(value), 200))
        for name, value in alert.key.items()
        if name != "host.id" or not alert.fields.get("host.name")  # a host that has a name is known by it
    ]
    named = {name for name, _ in facts}
    facts += [
        (name, inert(_text(value), 200))
        for name in _DETAIL
        if (value := alert.fields.get(name)) not in (None, "", []) and name not in named and value is not None
    ]
    facts += [
        ("All " + name, inert(", ".join(sorted(some)), 300)) for name, some in incident.told.items() if len(some) > 1
    ]
    facts.append(("Told", ", ".join(inert(name, 80) for name in sorted(incident.heard))))
    facts += [("Not told", f"{inert(name, 80)}: {inert(why, 200)}") for name, why in incident.muted.items()]
    facts.append(("State", f"{incident.state}{f' ({inert(incident.person, 60)})' if incident.person else ''}"))
    return tuple(facts)


def _measured(alert: Alert) -> list[tuple[str, str]]:
    """Return what was measured, each value with its limits: `3 (gte 3)`."""
    values = alert.proof.values
    measured = [name for name in values if "|" not in name and name not in _OPERATORS]
    out = []
    for name in measured:
        own = {op: limit for key, limit in values.items() if (op := key.removeprefix(f"{name}|")) != key}
        limits = own or ({op: values[op] for op in values if op in _OPERATORS} if name == "value" else {})
        said = ", ".join(f"{op} {_text(limit)}" for op, limit in limits.items())
        label = "Measured" if name == "value" else inert(name, 80)
        out.append((label, inert(_text(values[name]), 200) + (f" ({inert(said, 100)})" if said else "")))
    return out


_OPERATORS = frozenset({"lt", "lte", "gt", "gte", "eq", "neq"})
_DETAIL = (
    "user.name",
    "source.ip",
    "host.name",
    "db.namespace",
    "db.query.text",
    "process.command_line",
    "event.outcome",
    "system.auth.ssh.method",
    "event.action",
)


def _commands(incident: Incident) -> tuple[str, ...]:
    alert = incident.alert
    terms = [
        term(name, line(_text(value), 120))
        for name in ("user.name", "source.ip", "host.name", "db.namespace")
        if (value := alert.fields.get(name)) not in (None, "", []) and not isinstance(value, list) and value is not None
    ]
    search = shell("tocsin", "search", " AND ".join(terms) or "*", "--since", "1h")
    return (search, shell("tocsin", "incidents", "show", incident.id), shell("tocsin", "incidents", "ack", incident.id))


def _change(incident: Incident, kind: Kind, now: datetime) -> str:
    if kind in ("news", "graver", "reopened"):
        alert = incident.alert
        named = ", ".join(f"{name} {_first(alert, name)}" for name in alert.rule.tell if _first(alert, name))
        return f"{named} at {clock(alert.time)}"
    by = f" by {inert(incident.person, 60)}" if incident.person else ""
    return f"at {clock(now if incident.person else incident.last)}{by}"


def _message(name: str, view: View, now: datetime, change: str = "", *, loud: bool = True) -> Message:
    return Message(
        incident=name,
        subject=line(view.subject, 400),
        text=_templates.get_template("message.txt").render(view=view),
        html=_templates.get_template("message.html").render(view=view),
        blocks=_blocks(view),
        time=now,
        change=change,
        loud=loud,
    )


def _plain(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text[:_BLOCK] or " ", "emoji": False}


def _blocks(view: View) -> tuple[dict[str, object], ...]:
    """Block Kit: at most 50 blocks, 10 fields a section, 3000 characters a text (Slack's reference)."""
    head = f"{view.level.upper()}  {view.subject}" if view.level else view.subject
    blocks: list[dict[str, object]] = [{"type": "section", "text": _plain(head)}]
    blocks += [{"type": "context", "elements": [_plain(text)]} for text in view.warnings]
    facts = [f"{name}: {value}" for name, value in view.facts[:30]]
    for at in range(0, len(facts), 10):
        blocks.append({"type": "section", "fields": [_plain(text[:1900]) for text in facts[at : at + 10]]})
    if view.event:
        blocks.append({"type": "section", "text": _plain(view.event)})
    if view.lines:
        blocks.append({"type": "section", "text": _plain("\n".join(view.lines))})
    if view.runbook:
        blocks.append({"type": "section", "text": _plain(f"Runbook: {view.runbook}")})
    commands = "\n".join(view.commands)
    code = {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": commands[:_BLOCK]}]}
    blocks.append({"type": "rich_text", "elements": [code]})
    return tuple(blocks)


def fallback(message: Message) -> str:
    """Return the one line that Slack shows in notifications, where it reads mrkdwn: escaped."""
    return slack(message.subject)
