"""What the commands of people share: who is at the keyboard, the ledger as the log has it, and the way in."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

import click

from notifiers.incident import Entry, Incident
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from notifiers.route import RouteError
from pipeline import app, keys
from pipeline.adapters import build_policy
from pipeline.commands.options import fail, told
from pipeline.records import Command
from pipeline.roles.incident_log import entries
from pipeline.settings import Config
from pipeline.signing import signed
from pipeline.state import StateError, role_runs
from pipeline.streams import COMMANDS, INCIDENTS, Message, Stream
from pipeline.streams.whole import own_group
from rules.event import Value

_LOOKS: Final = 30  # how often it is looked whether a notifier has taken a command
_LOOK_SECONDS: Final = 0.1


def caller(config: Config) -> tuple[str, str]:
    """Return who calls and how that is proved, or say why they may not and exit with 1."""
    try:
        return keys.caller(config)
    except (keys.NotAllowed, StateError) as error:
        raise fail(str(error)) from error


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


def command(stream: Stream, config: Config, verb: str, arguments: Mapping[str, Value]) -> None:
    """Put a command to the notifier on the stream, in the caller's name, and wait a little for one to take it.

    What the notifier refuses is told, and ends with 1; so is that nobody has taken it yet, which ends with 0.
    """
    end = stream.ends(INCIDENTS).get(0, 0)
    nonce = record(stream, config, verb, arguments)
    if config.stream.kind == "sqlite" and not role_runs(config, "notify"):
        click.echo("no notifier runs over this state: it is carried out once one does (tocsin run)", err=True)
    else:
        _await(stream, end, nonce)


def record(stream: Stream, config: Config, verb: str, arguments: Mapping[str, Value]) -> str:
    """Put down what the caller does, signed; return the record's nonce."""
    person, proof = caller(config)
    nonce = secrets.token_hex(16)
    said = Command(verb=verb, person=person, proof=proof, time=app.now(), arguments=dict(arguments), nonce=nonce)
    with told():
        said = signed(said, keys.commands_key(config))
    stream.append(COMMANDS, [Message(person, said.model_dump_json().encode())])
    return nonce


def _await(stream: Stream, end: int, nonce: str) -> None:
    group = own_group("command")
    stream.read(INCIDENTS, group, 1, 1.0)  # joins the group
    stream.seek(INCIDENTS, group, {0: end})
    for _ in range(_LOOKS):
        for stored in stream.read(INCIDENTS, group, 1000, _LOOK_SECONDS).messages:
            entry = Entry.model_validate_json(stored.value)
            if entry.command == nonce:
                if entry.refused:
                    raise fail(entry.refused)
                return
    click.echo("no notifier has taken it yet: it is carried out once one does (tocsin notify)", err=True)


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
