"""`tocsin incidents`: what is open, what happened to it, and what a person does about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import click
import msgspec

from notifiers.escape import line
from notifiers.incident import TABLE, Entry, Incident
from notifiers.orders import VERBS
from notifiers.view import Beside, beside, clock, environment, headline
from pipeline import app
from pipeline.commands.options import config_option, fail, load_config, span_of
from pipeline.commands.people import command, find, history, opened
from rules.alert import Level
from rules.event import Value, rfc3339

_form = click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), help="Default: table on a terminal, else ndjson."
)


@click.group()
def incidents() -> None:
    """List incidents, show one, and act on it."""


@incidents.command("list")
@config_option
@click.option("--all", "every", is_flag=True, help="Those that have ended too.")
@_form
def list_(path: Path | None, every: bool, form: str | None) -> None:
    """List the incidents that are open, the latest first."""
    config = load_config(path)
    with opened(config) as stream:
        ledger, _ = history(stream, config)
    found = [one for one in ledger.incidents.values() if every or one.state != "resolved"]
    found.sort(key=lambda one: one.last, reverse=True)
    if form == "ndjson" or (form is None and not sys.stdout.isatty()):
        for one in found:
            click.echo(msgspec.json.encode(_row(one)))
    else:
        _table(found)


def _row(one: Incident) -> dict[str, object]:
    alert = one.alert
    return {
        "incident": one.id,
        "state": one.state,
        "level": alert.rule.level,
        "what": headline(alert),
        "rule": alert.rule.id,
        "environment": environment(alert),
        "since": rfc3339(one.opened),
        "last": rfc3339(one.last),
        "count": one.count,
        "occurrence": one.occurrence,
        "told": sorted(one.heard),
        "not_told": dict(one.muted),
        "person": one.person,
        "until": rfc3339(one.until) if one.until else None,
        "notes": list(one.notes),
    }


def _table(found: Sequence[Incident]) -> None:
    if not found:
        click.echo("No incident is open.")
    for one in found:
        colour = {"triggered": "red", "acknowledged": "yellow", "snoozed": "cyan", "resolved": "green"}[one.state]
        state = click.style(f"{one.state:<12}", fg=colour)
        times = f" x{one.count}" if one.count > 1 else ""
        click.echo(f"{one.id:<14} {state} {one.alert.rule.level:<13} {clock(one.last)}  {headline(one.alert)}{times}")


@incidents.command()
@config_option
@click.argument("incident")
@_form
def show(path: Path | None, incident: str, form: str | None) -> None:
    """Show one incident: where it stands, which statements made it together, and all that happened, by whom and why."""
    config = load_config(path)
    with opened(config) as stream:
        ledger, log = history(stream, config)
    one = find(ledger, incident)
    timeline = [row for entry in log for row in _events(entry, one.id)]
    statements = _statements(one, log)
    if form == "ndjson" or (form is None and not sys.stdout.isatty()):
        click.echo(msgspec.json.encode({**_row(one), "statements": statements, "timeline": timeline}))
        return
    for name, value in _row(one).items():
        click.echo(f"{name:<12} {line(str(value), 300)}")
    for said in statements:
        click.echo(f"  {said.when}  [{said.where}] {said.did}".rstrip() + f"\n    | {said.what}")
    for row in timeline:
        moment, what, *details = row.values()
        click.echo(f"  {moment}  {what:<13} {line(' '.join(str(one) for one in details if one), 300)}")


def _statements(one: Incident, log: Iterable[Entry]) -> tuple[Beside, ...]:
    """Return what made the incident together, as its latest page that several rules made showed it side by side."""
    steps = (entry.transition for entry in log if entry.transition)
    told = [step.alert for step in steps if step.incident == one.id and step.alert]
    found = (beside(alert) for alert in (one.alert, *reversed(told)))
    return next((some for some in found if some), ())


def _events(entry: Entry, incident: str) -> Iterator[dict[str, object]]:
    when = rfc3339(entry.time)
    step = entry.transition
    if step is not None and step.incident == incident:
        cause = f"{entry.cause.topic}@{entry.cause.offset}" if entry.cause else "time"
        until = rfc3339(step.until) if step.until else None
        row: dict[str, object] = {
            "time": when,
            "what": step.what,
            "cause": cause,
            "person": step.person,
            "note": step.note,
        }
        yield row | {name: value for name, value in (("to", step.assignee), ("until", until)) if value}
        for receiver, fate in step.fates.items():
            if fate.how != "sent":
                yield {"time": when, "what": fate.how, "receiver": receiver, "why": fate.why}
    for send in entry.intended:
        if any(name.startswith(f"{incident}:") for name in send.merged):
            yield {"time": when, "what": "merged", "receiver": send.receiver, "why": "told with others that waited"}
        if send.incident == incident:
            attempt = f"attempt {send.attempt}, channel {send.channel}"
            yield {"time": when, "what": "intended", "kind": send.kind, "receiver": send.receiver, "attempt": attempt}
    said = entry.answered
    if said is not None and said.incident == incident:
        what = "delivered" if said.receipt else "failed"
        yield {"time": when, "what": what, "receiver": said.receiver, "receipt": said.receipt, "why": said.failure}


_note = click.option("--note", help="What the others should know.")


@incidents.command()
@config_option
@click.argument("incident")
@_note
def ack(path: Path | None, incident: str, note: str | None) -> None:
    """Acknowledge: you have it. It stays quiet until something new happens."""
    _act(path, "ack", incident, {"note": note})


@incidents.command()
@config_option
@click.argument("incident")
@_note
def resolve(path: Path | None, incident: str, note: str | None) -> None:
    """Close: it is over. The next alert of its kind opens the next occurrence."""
    _act(path, "resolve", incident, {"note": note})


@incidents.command()
@config_option
@click.argument("incident")
@click.option("--to", "person", required=True, help="Who has it now.")
def assign(path: Path | None, incident: str, person: str) -> None:
    """Hand over to another person."""
    _act(path, "assign", incident, {"to": person})


@incidents.command()
@config_option
@click.argument("incident")
def unassign(path: Path | None, incident: str) -> None:
    """Give back: nobody has it. One that was acknowledged is open again, and those who heard of it are told."""
    _act(path, "unassign", incident, {})


@incidents.command()
@config_option
@click.argument("incident")
@click.argument("span")
@_note
def snooze(path: Path | None, incident: str, span: str, note: str | None) -> None:
    """Put to sleep for SPAN (30m, 2h, 1d): then it pages again, unless it has ended. News wakes it at once."""
    until = rfc3339(app.now() + span_of(span))
    _act(path, "snooze", incident, {"until": until, "note": note})


@incidents.command()
@config_option
@click.argument("incident")
@click.argument("text")
def note(path: Path | None, incident: str, text: str) -> None:
    """Write down TEXT: it stands in the timeline and in every later message."""
    _act(path, "note", incident, {"note": text})


@incidents.command()
@config_option
@click.argument("incident")
@click.argument("level", type=click.Choice(get_args(Level)))
@_note
def severity(path: Path | None, incident: str, level: str, note: str | None) -> None:
    """Say how severe it is; its alerts no longer do. Those who hear of that severity are told."""
    _act(path, "severity", incident, {"severity": level, "note": note})


def _act(path: Path | None, verb: str, incident: str, more: Mapping[str, Value]) -> None:
    config = load_config(path)
    with opened(config) as stream:
        ledger, _ = history(stream, config)
        one = find(ledger, incident)
        if (one.state, VERBS[verb]) not in TABLE:
            raise fail(f"incident {one.id} is {one.state}")
        command(stream, config, verb, {"incident": one.id, **more})
    click.echo(f"{verb} {one.id}: {headline(one.alert)}")
