"""Answering: what a request means to the incidents. No socket, no clock: a request, the ledger and a moment in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs

from notifiers.blocks import BUTTONS
from notifiers.escape import inert, slack
from notifiers.incident import TABLE, Incident
from notifiers.ledger import Ledger
from notifiers.orders import VERBS
from notifiers.route import Matcher, labels_of
from notifiers.view import clock, facts, headline
from pipeline import keys
from pipeline.console import Request, Response, pages
from pipeline.console.links import OFFERED, BadLink, Link, read
from pipeline.console.slack import Door, NotSlack, Press, ephemeral, is_slack
from pipeline.records import Command
from pipeline.settings import Person
from pipeline.signing import signed
from rules.event import Value, rfc3339

_SILENCE: Final = timedelta(hours=1)
_DONE: Final = {"ack": "Acknowledged", "resolve": "Resolved", "silence": "Silenced for an hour"}


@dataclass(frozen=True, slots=True)
class Site:
    """What the console works with. `obey` puts a signed command on the stream, or raises StreamUnavailable."""

    key: bytes
    people: Sequence[Person]
    obey: Callable[[Command], None]
    door: Door | None = None  # None: no signing secret is configured
    may_answer: Callable[[str], bool] = is_slack  # where answers to a button may be posted


def answer(request: Request, site: Site, ledger: Ledger, now: datetime) -> Response:
    """Return the answer to one request; what it commands is on the stream by then."""
    match request.method, request.path:
        case (("GET" | "HEAD"), "/healthz"):
            return Response(200, "ok\n")
        case "POST", "/slack/interactivity":
            return _pressed(request, site, ledger, now)
        case (("GET" | "HEAD"), "/act"):
            return _asked(request.query, site, ledger, now)
        case "POST", "/act":
            return _acted(request.body.decode("utf-8", "replace"), site, ledger, now)
        case _, ("/healthz" | "/slack/interactivity" | "/act"):
            return pages.told(405, "Not like this", "This address answers another method.")
    return pages.told(404, "Nothing here", "Tocsin's console answers links in its messages, and Slack's buttons.")


# Slack


def _pressed(request: Request, site: Site, ledger: Ledger, now: datetime) -> Response:
    if site.door is None:
        return Response(404, "console.slack_signing_secret_file is not configured\n")
    try:
        press = site.door.press(request, now)
    except NotSlack as error:
        return Response(401, f"{error}\n")
    said = _obeyed(press, site, ledger, now)
    answers = ephemeral(press.answer_to, said, slack(said[:1000])) if site.may_answer(press.answer_to) else None
    return Response(200, reply=answers)


def _obeyed(press: Press, site: Site, ledger: Ledger, now: datetime) -> str:
    person = keys.by_slack(site.people, press.user)
    if person is None:
        return (
            f"Nothing was done: Tocsin does not know the Slack user {inert(press.user, 40)}. "
            "Whoever keeps its config adds that id under `people`, as `slack`."
        )
    incident = ledger.by_id(press.incident)
    if incident is None or press.action not in BUTTONS:
        return f"Nothing was done: there is no incident {inert(press.incident, 40)} any more."
    if press.action == "explain":
        return explained(incident, now)
    refusal = _refusal(press.action, incident)
    if refusal:
        return refusal
    who = _Who(person, f"Slack's signature for user {press.user}", _nonce(press.signature))
    site.obey(signed(_command(press.action, incident, who, now), site.key))
    return f"{_DONE[press.action]}: {headline(incident.alert)}"


def explained(incident: Incident, now: datetime) -> str:
    """Return why an incident is there, as far as the log alone knows it."""
    alert = incident.alert
    lines = [headline(alert), f"Rule: {inert(alert.rule.title, 120)} ({inert(alert.rule.id, 60)})"]
    if alert.rule.description:
        lines.append(inert(alert.rule.description, 400))
    lines += [f"{name}: {value}" for name, value in facts(incident, now)]
    return "\n".join([*lines, f"More: tocsin explain {alert.id}"])


# Links


def _asked(query: str, site: Site, ledger: Ledger, now: datetime) -> Response:
    text = _field(query)
    found = _linked(text, site, ledger, now)
    if isinstance(found, Response):
        return found
    link, incident = found
    shown = [*facts(incident, now), ("For", link.address), ("This link ends", clock(link.expires, now))]
    return pages.ask(headline(incident.alert), BUTTONS[link.action], text, shown)


def _acted(body: str, site: Site, ledger: Ledger, now: datetime) -> Response:
    text = _field(body)
    found = _linked(text, site, ledger, now)
    if isinstance(found, Response):
        return found
    link, incident = found
    person = keys.by_email(site.people, link.address) or ""
    who = _Who(person, f"mail link to {link.address}", _nonce(f"{text} {now.isoformat()}"))
    site.obey(signed(_command(link.action, incident, who, now), site.key))
    return pages.told(200, _DONE[link.action], headline(incident.alert))


def _linked(text: str, site: Site, ledger: Ledger, now: datetime) -> tuple[Link, Incident] | Response:
    """Return what a link asks and of which incident, or the answer that tells why it does nothing."""
    try:
        link = read(text, site.key, now)
    except BadLink as error:
        return pages.told(400, "No good", str(error))
    incident = ledger.by_id(link.incident)
    refusal = _refused(link, incident, site)
    if refusal or incident is None:
        return pages.told(409, "Nothing to do", refusal)
    return link, incident


def _refused(link: Link, incident: Incident | None, site: Site) -> str:
    if keys.by_email(site.people, link.address) is None:
        return f"Tocsin does not know {link.address} any more: `people` in its config lists no such address."
    if incident is None or link.action not in OFFERED:
        return f"There is no incident {link.incident} any more."
    return _refusal(link.action, incident)


def _field(form: str) -> str:
    try:
        return parse_qs(form, max_num_fields=5).get("t", [""])[0]
    except ValueError:
        return ""


# Both


def _refusal(action: str, incident: Incident) -> str:
    if incident.state == "resolved" or (action in VERBS and (incident.state, VERBS[action]) not in TABLE):
        by = f" by {inert(incident.person, 100)}" if incident.person else ""
        return f"Nothing was done: it is {incident.state} already{by}."
    if action == "silence" and incident.alert.fields.get("tocsin.class") == "tocsin":
        return "Nothing was done: what Tocsin says of itself cannot be silenced."
    return ""


@dataclass(frozen=True, slots=True)
class _Who:
    person: str
    proof: str
    nonce: str


def _command(action: str, incident: Incident, who: _Who, now: datetime) -> Command:
    arguments: dict[str, Value] = {"incident": incident.id}
    if action == "silence":
        arguments = {
            "id": _silence_id(incident, who, now),
            "matchers": [str(one) for one in matchers_of(incident)],
            "ends": rfc3339(now + _SILENCE),
            "reason": f"silenced for an hour from the page of {incident.id}",
        }
    return Command(verb=action, person=who.person, proof=who.proof, time=now, arguments=arguments, nonce=who.nonce)


def _silence_id(incident: Incident, who: _Who, now: datetime) -> str:
    """Return the same name within an hour: who presses again makes it longer, and no second one."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hashlib.sha256(f"{incident.id}\0{who.person}\0{rfc3339(hour)}".encode()).hexdigest()[:8]


def matchers_of(incident: Incident) -> Sequence[Matcher]:
    """Return what keeps this incident quiet and no other: its rule and its key."""
    labels = labels_of(incident.alert)
    return [Matcher(name, "=", labels.get(name, "")) for name in ("rule", *incident.alert.key)]


def _nonce(unlike: str) -> str:
    """Return the same nonce for the same press: if this console forgot it, the notifier has not."""
    return hashlib.sha256(unlike.encode()).hexdigest()[:32]
