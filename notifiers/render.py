"""Incident -> message: what a person is told, escaped for the place where it is shown.

The first line tells what, where, who, production or not; then since when, why it fired, what else that actor did,
the runbook, and commands to go on. Text and HTML are Jinja2 templates (notifiers/templates, or the installation's
own), run in a sandbox: a template reads the view and nothing else.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from jinja2 import BaseLoader, ChoiceLoader, FunctionLoader, PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifiers.blocks import blocks
from notifiers.escape import inert, line
from notifiers.incident import Digest, Incident, Kind
from notifiers.message import Message, Told
from notifiers.route import labels_of
from notifiers.view import LATE, View, beside, clock, commands, facts, first, headline, text_of
from rules.alert import Alert

TEMPLATES: Final = ("message.txt", "message.html")
_LONGEST: Final = 200_000  # characters of one body: what is longer is no page
_WORD: Final[Mapping[Kind, str]] = {
    "page": "",
    "news": "NEW VALUE",
    "graver": "GRAVER",
    "reopened": "REOPENED",
    "reminder": "STILL SO",
    "awake": "SNOOZE OVER",
    "acknowledged": "ACKNOWLEDGED",
    "snoozed": "SNOOZED",
    "regraded": "SEVERITY CHANGED",
    "unassigned": "NOBODY HAS IT",
    "silenced": "SILENCED",
    "group": "GROUP",
    "storm": "STORM",
    "resolved": "RESOLVED",
    "digest": "OLD NEWS",
    "catchup": "CAUGHT UP",
}
_LOUD: Final = frozenset({"news", "graver", "reopened", "reminder", "awake", "unassigned"})
_WHY: Final[Mapping[Kind, str]] = {
    "digest": "They stood in the logs before Tocsin first read them.",
    "catchup": "They were judged more than an hour after they happened.",
    "group": "They came together, by the route's group_by.",
    "storm": "There were too many to tell one by one.",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What is known beside the incident when a message is written."""

    repeat: bool = False  # an earlier attempt may have arrived
    note: str = ""
    recent: tuple[str, ...] | None = None  # what else that actor did; None: not known
    statements: tuple[str, ...] = ()
    asked: bool = False  # whether anybody was asked about `recent`


NOTHING: Final = Said()


class TemplateTooLong(Exception):
    """A template's output is longer than any page."""


class Renderer:
    """Writes messages. `templates` (name -> text) take the place of the shipped ones; `config` is what a page's
    commands name the config by; `buttons`: a console serves Slack's buttons."""

    def __init__(
        self, templates: Mapping[str, str] | None = None, *, config: Sequence[str] = (), buttons: bool = False
    ) -> None:
        own = dict(templates or {})
        # With a name as the file's, a fault's traceback says in which template and line it happened.
        loaders: list[BaseLoader] = [
            FunctionLoader(lambda name: (own[name], name, lambda: True) if name in own else None),
            PackageLoader("notifiers"),
        ]
        self._templates = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader(loaders),
            autoescape=lambda name: name is not None and name.endswith(".html"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._config = tuple(config)
        self._buttons = buttons

    def incident(self, incident: Incident, kind: Kind, now: datetime, said: Said = NOTHING) -> Message:
        """Return the message for one incident as it stands."""
        alert = incident.alert
        view = View(
            subject=_subject(incident, kind, repeat=said.repeat),
            level=alert.rule.level,
            facts=facts(incident, now),
            event=inert(text_of(alert.fields.get("event.original") or alert.fields.get("message") or ""), 600),
            commands=commands(incident, self._config),
            runbook=line(alert.rule.runbook or "", 300),
            warnings=_warnings(said),
            recent=_recent(said),
            statements=_statements(alert, said),
            beside=beside(alert),
        )
        word = _WORD[kind]
        actions = _actions(incident)
        return replace(
            self._message(incident.id, view, now, actions if self._buttons else ()),
            change="" if kind == "page" else f"{word or kind}: {_change(incident, kind, now)}",
            loud=kind in _LOUD,
            alerts=(_told(incident, view),),
            actions=actions,
        )

    def digest(self, digest: Digest, kind: Kind, now: datetime, name: str, said: Said = NOTHING) -> Message:
        """Return one message that tells of many alerts: how many by rule, and the most telling lines."""
        total = sum(digest.counts.values())
        span = f"{clock(digest.first)} to {clock(digest.last)}"
        subject = f"{_WORD[kind]}: {total} alert{'s' * (total != 1)} from {span}"
        counts = sorted(digest.counts.items(), key=lambda pair: (-pair[1], pair[0]))
        view = View(
            subject=("(possible repeat) " if said.repeat else "") + subject,
            level="",
            facts=tuple((f"{count} x", inert(title, 120)) for title, count in counts[:50]),
            event=_WHY.get(kind, ""),
            commands=(shlex.join(["tocsin", "incidents", "list", *self._config]),),
            runbook="",
            lines=tuple(f"{clock(one.time)}  {one.level:<13} {inert(one.text, 300)}" for one in digest.lines),
            warnings=_warnings(said),
        )
        alerts = tuple(
            Told({"incident": one.incident, "severity": one.level}, {"summary": inert(one.text, 300)}, one.time)
            for one in digest.lines
        )
        return replace(self._message(name, view, now), alerts=alerts, left_out=max(total - len(alerts), 0))

    def _message(self, name: str, view: View, now: datetime, buttons: tuple[str, ...] = ()) -> Message:
        return Message(
            incident=name,
            subject=line(view.subject, 400),
            text=self.body("message.txt", view),
            html=self.body("message.html", view),
            blocks=blocks(view, name, buttons),
            time=now,
        )

    def body(self, template: str, view: View) -> str:
        """Return what one template makes of the view. Raises jinja2's errors, and what a fault in it raises."""
        made = self._templates.get_template(template).render(view=view)
        if len(made) > _LONGEST:
            raise TemplateTooLong(f"{template} makes {len(made)} characters")
        return made


def _subject(incident: Incident, kind: Kind, *, repeat: bool) -> str:
    alert, word = incident.alert, _WORD[kind]
    subject = (f"{word}: " if word else "") + headline(alert)
    if kind == "page" and incident.seen - alert.time > LATE:
        subject += f" (happened {clock(alert.time, incident.seen)}, seen {clock(incident.seen, incident.seen)})"
    if kind == "page" and incident.state == "resolved" and alert.rule.kind == "condition":
        subject += " (resolved meanwhile)"
    return ("(possible repeat) " if repeat else "") + subject


def _actions(incident: Incident) -> tuple[str, ...]:
    if incident.state == "resolved":
        return ("explain",)
    rest = ("resolve", "silence", "explain")
    return rest if incident.state == "acknowledged" else ("ack", *rest)


def _recent(said: Said) -> tuple[str, ...]:
    if not said.asked:
        return ()
    if said.recent is None:
        return ("In the 30 minutes before: not known, the index did not answer in time.",)
    if not said.recent:
        return ("In the 30 minutes before: nothing else is known of this actor.",)
    return ("In the 30 minutes before, the same actor:", *(inert(one, 300) for one in said.recent))


def _statements(alert: Alert, said: Said) -> tuple[str, ...]:
    """Return the events that made the alert, as the alert itself carries them, else as the index had them."""
    carried = tuple(
        f"{one.when}  [{one.where}] {one.did + ' | ' if one.did else ''}{one.what}" for one in beside(alert)
    )
    return carried or tuple(inert(one, 400) for one in said.statements)


def _warnings(said: Said) -> tuple[str, ...]:
    told = ("Tocsin stopped while it was sending this: it may have reached you before.",) if said.repeat else ()
    return (*told, inert(said.note, 300)) if said.note else told


def _told(incident: Incident, view: View) -> Told:
    """Return the incident as one alert. Its own id is a label: labels alone must tell incidents apart."""
    alert = incident.alert
    annotations = {
        "summary": view.subject,
        "description": view.event,
        "statements": "\n".join(view.statements),
        "runbook_url": view.runbook,
        **{name.lower().replace(" ", "_"): value for name, value in view.facts},
    }
    labels = {name: inert(value, 300) for name, value in labels_of(alert).items()}
    ended = incident.last if incident.state == "resolved" else None
    kept = {name: value for name, value in annotations.items() if value}
    return Told({**labels, "incident": incident.id}, kept, incident.opened, ended)


def _change(incident: Incident, kind: Kind, now: datetime) -> str:
    if kind in ("news", "graver", "reopened"):
        alert = incident.alert
        named = ", ".join(f"{name} {first(alert, name)}" for name in alert.rule.tell if first(alert, name))
        return f"{named} at {clock(alert.time)}"
    by = f" by {inert(incident.person, 100)}" if incident.person else ""
    if kind == "snoozed" and incident.until is not None:
        return f"until {clock(incident.until, now)}{by}"
    if kind == "regraded":
        return f"now {incident.alert.rule.level}"
    return f"at {clock(now if incident.person else incident.last)}{by}"
