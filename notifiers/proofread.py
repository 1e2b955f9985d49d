"""Proofread: templates tried on a sample of each alert before they meet a real one. Pure."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jinja2 import TemplateError, TemplateSyntaxError

from notifiers.incident import Digest, Incident, Line
from notifiers.message import Message
from notifiers.render import Renderer, Said
from rules.alert import Alert, Proof, Rule, alert_id
from rules.event import Value

_HOSTILE: Final = '<b onmouseover="x">&'
_FIELDS: Final[Mapping[str, Value]] = {
    "user.name": f"root{_HOSTILE}",
    "source.ip": "203.0.113.9",
    "host.name": f"db-7{_HOSTILE}",
    "host.id": "h1",
    "service.environment": "production",
    "event.module": "sshd",
    "event.original": f"Accepted publickey for root {_HOSTILE}",
}


@dataclass(frozen=True, slots=True)
class Blot:
    """What is wrong with a template, and where."""

    template: str
    line: int
    fault: str


def blots(renderer: Renderer, rules: Iterable[Rule], now: datetime) -> Iterator[Blot]:
    """Yield each fault once: what does not render, is empty, or lets a user's text be HTML."""
    seen: set[tuple[str, int, str]] = set()
    for rule in rules:
        for blot in _of(renderer, sample(rule, now), now):
            place = (blot.template, blot.line, blot.fault.partition(" for the rule ")[0])
            if place not in seen:
                seen.add(place)
                yield blot


def sample(rule: Rule, now: datetime) -> Incident:
    """Return an incident of this rule, in which an attacker chose every name."""
    key: dict[str, Value] = {"host.name": _FIELDS["host.name"]}
    proof = Proof(rule_hash="sample", engine="sample", events=("e1", "e2"), count=2, values={"value": 3, "gte": 3})
    alert = Alert(
        step="fired",
        id=alert_id(rule.id, key, "e1"),
        rule=rule,
        key=key,
        time=now,
        since=now,
        received=now,
        fields=dict(_FIELDS),
        beside=(dict(_FIELDS), dict(_FIELDS)),
        proof=proof,
    )
    return Incident(
        id="0123456789-1",
        key="0123456789",
        occurrence=1,
        state="triggered",
        alert=alert,
        opened=now,
        seen=now,
        last=now,
        count=2,
        told={"source.ip": frozenset({"203.0.113.9", "198.51.100.4"})},
        level=rule.level,
        heard=frozenset({"security"}),
        notes=(_HOSTILE,),
    )


def _of(renderer: Renderer, incident: Incident, now: datetime) -> Iterator[Blot]:
    said = Said(repeat=True, note=_HOSTILE, recent=(_HOSTILE,), statements=(_HOSTILE,), asked=True)
    line = Line(incident=incident.id, time=now, level="high", text=_HOSTILE)
    digest = Digest(counts={_HOSTILE: 2}, lines=(line,), first=now, last=now)
    makes: tuple[Callable[[], Message], ...] = (
        lambda: renderer.incident(incident, "page", now, said),
        lambda: renderer.incident(incident, "resolved", now),
        lambda: renderer.digest(digest, "storm", now, "sample"),
    )
    for make in makes:
        try:
            message = make()
        except TemplateSyntaxError as error:
            yield Blot(error.name or "message.txt", error.lineno, error.message or "not a template")
            return
        except Exception as error:  # a template may call anything that its view has, and that may raise anything
            yield _fault(error, incident)
            return
        yield from _read(message)


def _read(message: Message) -> Iterator[Blot]:
    if not message.text.strip():
        yield Blot("message.txt", 1, "comes out empty")
    if not message.html.strip():
        yield Blot("message.html", 1, "comes out empty")
    if "<b onmouseover" in message.html:
        yield Blot("message.html", 1, "lets what a user wrote be HTML: leave out `|safe` and autoescape blocks")


def _fault(error: Exception, incident: Incident) -> Blot:
    """Name the template and line in which it failed: jinja2 puts these into the traceback."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith("message.")]
    last = frames[-1] if frames else None
    known = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
    place = last.filename if last else "message.txt"
    return Blot(place, (last.lineno or 1) if last else 1, f"{known} for the rule {incident.alert.rule.title!r}")
