"""`tocsin deadletter`: what could not be taken, why, and sending it through again."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from pydantic import ValidationError

from notifiers.escape import line
from pipeline.commands.options import config_option, fail, load_config
from pipeline.commands.people import opened, record
from pipeline.keys import commands_key
from pipeline.records import Command, DeadLetter, fields_of
from pipeline.settings import Config
from pipeline.signing import Forged, Guard
from pipeline.streams import COMMANDS, Message, Stream
from pipeline.streams.whole import own_group, whole
from pipeline.verify.sources import letters
from rules.event import rfc3339

_VERB = "replay"
_AT_ONCE = 500  # records that one command names
_SHOWN = 20  # of each reason, on a terminal
_REASON = 60  # characters by which reasons are grouped

_form = click.option(
    "--format", "form", type=click.Choice(["table", "ndjson"]), help="Default: table on a terminal, else ndjson."
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter with its name, and whether somebody sent it through again."""

    id: str
    letter: DeadLetter
    replayed: bool


@click.group()
def deadletter() -> None:
    """What could not be taken, whole, with the reason."""


@deadletter.command("list")
@_form
@click.option("--all", "every", is_flag=True, help="Those too that were sent through again.")
@config_option
def list_(path: Path | None, every: bool, form: str | None) -> None:
    """List the dead letters by reason, the commonest first. Exit 1 if there are any."""
    config = load_config(path)
    with opened(config) as stream:
        found = [one for one in _kept(stream, config) if every or not one.replayed]
    if form == "ndjson" or (form is None and not sys.stdout.isatty()):
        for one in found:
            click.echo(msgspec.json.encode(_row(one)))
    else:
        _table(found)
    sys.exit(1 if found else 0)


@deadletter.command()
@click.argument("name", metavar="ID")
@config_option
def show(path: Path | None, name: str) -> None:
    """Show one dead letter whole, as JSON."""
    config = load_config(path)
    with opened(config) as stream:
        (found,) = _named(_kept(stream, config), [name])
    click.echo(msgspec.json.encode(_row(found) | {"value": found.letter.value}))


@deadletter.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every one that was not sent through again before.")
@config_option
def replay(path: Path | None, ids: tuple[str, ...], every: bool) -> None:
    """Send dead letters through again, once what was wrong is mended.

    It is recorded who did it. An event that was taken meanwhile is known by its id, and changes nothing.
    """
    if bool(ids) == every:
        raise click.UsageError("name the dead letters, or say --all; `tocsin deadletter list` shows their ids")
    config = load_config(path)
    with opened(config) as stream:
        all_ = _kept(stream, config)
        found = [one for one in all_ if not one.replayed] if every else _named(all_, ids)
        whole = [one for one in found if one.letter.topic and one.letter.value]
        for at in range(0, len(whole), _AT_ONCE):
            batch = whole[at : at + _AT_ONCE]
            record(stream, config, _VERB, {"deadletters": [one.id for one in batch]})
            for one in batch:
                stream.append(str(one.letter.topic), [_message(one.letter)])
    click.echo(f"{len(whole)} sent through again")
    if len(whole) < len(found):
        click.echo(f"{len(found) - len(whole)} tell of a number only, and hold no record to send", err=True)


def _message(letter: DeadLetter) -> Message:
    return Message(_key(letter), letter.value.encode())


def _key(letter: DeadLetter) -> str:
    """Return the key that the record had: its host, or nothing."""
    return str((fields_of(letter.value) or {}).get("host.id", ""))


def _kept(stream: Stream, config: Config) -> list[Kept]:
    """Return every dead letter once: what was set aside twice, after a restart, is one."""
    replayed = set(_replayed(stream, Guard(commands_key(config))))
    seen: set[tuple[object, ...]] = set()
    out = []
    for name, letter in letters(stream):
        place = (letter.stage, letter.topic, letter.partition, letter.offset, letter.value[:64])
        if letter.offset is None or place not in seen:
            seen.add(place)
            out.append(Kept(name, letter, name in replayed))
    return out


def _replayed(stream: Stream, guard: Guard) -> Iterator[str]:
    """Yield the names of the dead letters that were sent through again, as far as a holder of the key says so."""
    for message in whole(stream, COMMANDS, own_group("replayed")):
        try:
            said = Command.model_validate_json(message.value)
            guard.check(said, message.time)
        except (ValidationError, Forged):
            continue
        names = said.arguments.get("deadletters")
        if said.verb == _VERB and isinstance(names, list):
            yield from map(str, names)


def _named(all_: Sequence[Kept], names: Sequence[str]) -> list[Kept]:
    known = {one.id: one for one in all_}
    absent = [name for name in names if name not in known]
    if absent:
        raise fail(f"no dead letter is called {line(absent[0])!r}; `tocsin deadletter list` shows their ids")
    return [known[name] for name in names]


def _row(one: Kept) -> dict[str, object]:
    letter = one.letter
    return {
        "id": one.id,
        "time": rfc3339(letter.time),
        "stage": letter.stage,
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "event": letter.event_id,
        "replayed": one.replayed,
    }


def _table(found: Sequence[Kept]) -> None:
    groups = Counter((one.letter.stage, one.letter.reason[:_REASON]) for one in found)
    for (stage, reason), count in groups.most_common():
        click.echo(click.style(f"{count:>7}  {stage}: {line(reason, _REASON)}", bold=True))
        of_group = [one for one in found if (one.letter.stage, one.letter.reason[:_REASON]) == (stage, reason)]
        for one in of_group[-_SHOWN:]:
            told = " (sent through again)" if one.replayed else ""
            click.echo(f"         {one.id:10} {one.letter.time:%Y-%m-%d %H:%M:%S} {line(one.letter.value, 80)}{told}")
        if count > _SHOWN:
            click.echo(f"         ... and {count - _SHOWN} earlier ones; --format ndjson shows all")
    if found:
        click.echo("`tocsin deadletter show ID` shows one whole, `tocsin deadletter replay ID` sends it through again.")
    else:
        click.echo("There are no dead letters.")
