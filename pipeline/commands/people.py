"""What the commands of people share: who is at the keyboard, the ledger as the log has it, and the way in."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import click

from notifiers.incident import Entry, Incident
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.route import RouteError
from pipeline import app
from pipeline.adapters import build_policy
from pipeline.commands.options import told
from pipeline.records import Command
from pipeline.roles.incident_log import entries, own_group
from pipeline.settings import Config
from pipeline.streams import COMMANDS, Message, Stream
from rules.event import Value


def caller() -> tuple[str, str]:
    """Return who calls and how that is proved: the operating system's user, who may write the state folder."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name, f"os-user uid={uid}"
    except KeyError:
        return f"uid {uid}", f"os-user uid={uid}"


@contextmanager
def opened(config: Config) -> Iterator[Stream]:
    with told(), closing(app.open_stream(config)) as stream:
        yield stream


def policy(config: Config) -> Policy:
    try:
        return build_policy(config)
    except RouteError as error:
        raise fail(str(error)) from error


def history(stream: Stream, config: Config) -> tuple[Ledger, list[Entry]]:
    """Return where every incident stands, and the log that led there."""
    ledger = Ledger(policy(config))
    log = list(entries(stream, own_group("list")))
    for entry in log:
        ledger.apply(entry)
    return ledger, log


def command(stream: Stream, verb: str, arguments: Mapping[str, Value]) -> None:
    """Put a command on the stream, in the caller's name."""
    person, proof = caller()
    record = Command(verb=verb, person=person, proof=proof, time=app.now(), arguments=dict(arguments))
    stream.append(COMMANDS, [Message(person, record.model_dump_json().encode())])


def find(ledger: Ledger, name: str) -> Incident:
    """Return the incident of this id, or the only one whose id begins so; else say so and exit with 1."""
    exact = ledger.by_id(name)
    if exact is not None:
        return exact
    found = [one for one in ledger.incidents.values() if one.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    count = len(found) or "no"
    raise fail(f"{count} incidents begin with {name!r}; `tocsin incidents list --all` shows what there is")


def fail(reason: str) -> SystemExit:
    """Say why on stderr; raise what this returns to exit with 1."""
    click.echo(reason, err=True)
    return SystemExit(1)
