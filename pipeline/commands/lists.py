"""`tocsin lists`: what rules read by `|expand` and commands change, within the hour and without a reload."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click
import msgspec

from notifiers.escape import line
from notifiers.view import clock
from pipeline import app, keys
from pipeline.commands.options import config_option, fail, load_config, span_of, time_of, told
from pipeline.commands.people import caller, opened, record
from pipeline.lists import VERB, History, arguments, fault, history
from pipeline.settings import CommandedList, Config
from pipeline.streams import STATE, Stream
from rules.event import rfc3339
from rules.lists import NEVER, Version, entry, grouped, read_again

_TRIES = 5  # others may write between reading and writing
_REASON = click.option("--reason", help="Why; it stands in the record of the change.")
_NAME = click.argument("name")
_VALUES = click.argument("values", nargs=-1, required=True, metavar="VALUE...")
Entries = dict[str, datetime | None]  # value -> when its time is over


@click.group()
def lists() -> None:
    """Change the lists that the config gives to commands: `rules.lists: {on_call: {from: commands}}`.

    What an event is judged by is what the list held as the event was received. Every change is recorded, with who made
    it and why.
    """


@lists.command("list")
@config_option
def list_(path: Path | None) -> None:
    """Print each list that commands change, and how much it holds."""
    config = load_config(path)
    with opened(config) as stream:
        known = _history(stream, config)
    for name in _names(config):
        entries = _now(known, name, app.now())
        last = known.timeline(name).versions[-1:]
        row = {"list": name, "values": len(entries), "changed": rfc3339(last[0].time) if last else None}
        _say(row, f"{name}  {len(entries)} values, " + (f"changed {clock(last[0].time)}" if last else "never set"))


@lists.command()
@config_option
@_NAME
@click.option("--at", help="As it was at that moment: an RFC 3339 time.")
@click.option("--history", "every", is_flag=True, help="Each change, with who made it and why.")
def show(path: Path | None, name: str, at: str | None, *, every: bool) -> None:
    """Print what a list holds, a value a line."""
    config = load_config(path)
    _known(config, name)
    with opened(config) as stream:
        known = _history(stream, config)
    if every:
        for version in known.timeline(name).versions:
            _show_change(known, name, version)
        return
    for value, end in _now(known, name, time_of(at) if at else app.now()).items():
        until = f"  until {clock(end)}" if end is not None else ""
        _say({"value": value, "until": rfc3339(end) if end is not None else None}, f"{line(value)}{until}")


def _show_change(known: History, name: str, version: Version) -> None:
    said = known.commands[name, version.offset]
    why = str(said.arguments.get("reason") or "")
    row: dict[str, object] = {"time": rfc3339(version.time), "offset": version.offset, "person": said.person}
    row |= {"said": said.arguments.get("said"), "reason": why or None, "values": len(version.values)}
    told_why = f": {line(why)}" if why else ""
    _say(row, f"{clock(version.time)}  {line(str(row['said']))}  by {line(said.person)}{told_why}")


@lists.command()
@config_option
@_NAME
@_VALUES
@click.option("--for", "span", help="For how long: 30m, 2h, 3d.")
@click.option("--until", help="Or until when: an RFC 3339 time.")
@_REASON
def add(path: Path | None, name: str, values: Sequence[str], span: str | None, until: str | None, reason: str) -> None:
    """Put values into a list: tocsin lists add on_call ann --for 8h --reason 'night shift'."""
    if span is not None and until is not None:
        raise click.UsageError("give either --for or --until")
    end = time_of(until) if until else app.now() + span_of(span) if span else None
    if end is not None and end <= app.now():
        raise click.UsageError(f"--until {until} is over; name a time that is to come, or --for how long")
    ends = f" until {rfc3339(end)}" if end is not None else ""
    asked = Asked(name, lambda held: held | dict.fromkeys(values, end), f"add {', '.join(values)}{ends}", reason)
    _change(load_config(path), asked)


@lists.command()
@config_option
@_NAME
@_VALUES
@_REASON
def remove(path: Path | None, name: str, values: Sequence[str], reason: str | None) -> None:
    """Take values out of a list."""

    def without(held: Entries) -> Entries:
        absent = [value for value in values if value not in held]
        if absent:
            raise fail(f"list {name} does not hold {', '.join(map(repr, absent))}; `tocsin lists show {name}`")
        return {value: end for value, end in held.items() if value not in values}

    _change(load_config(path), Asked(name, without, f"remove {', '.join(values)}", reason))


@lists.command("set")
@config_option
@_NAME
@click.argument("values", nargs=-1, metavar="[VALUE...]")
@click.option(
    "--file",
    type=click.File(encoding="utf-8"),
    help="One value a line, UTF-8; `#` begins a comment, but not in a word.",
)
@_REASON
def set_(path: Path | None, name: str, values: Sequence[str], file: TextIO | None, reason: str | None) -> None:
    """Let a list hold these values and no others; without any it is empty."""
    held: Entries = dict.fromkeys([*values, *(_entries(file) if file is not None else ())])
    _change(load_config(path), Asked(name, lambda _: held, f"set {len(held)} values", reason))


def _entries(file: TextIO) -> list[str]:
    try:
        return [*filter(None, map(entry, file))]
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise fail(
            f"{file.name} is not UTF-8 (it holds a byte 0x{wrong:02x}): save it as UTF-8, and set it again"
        ) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """A change of a list, as it is asked for and as it is told."""

    name: str
    change: Callable[[Entries], Entries]
    said: str
    reason: str | None = field(default=None)


def _change(config: Config, asked: Asked) -> None:
    """Write what the list is to hold; where somebody else was faster, look again."""
    _known(config, asked.name)
    caller(config)
    with opened(config) as stream:
        for _ in range(_TRIES):
            known = _history(stream, config)
            versions = known.timeline(asked.name).versions
            after = versions[-1].offset if versions else NEVER
            now = app.now()
            held = asked.change(_now(known, asked.name, now))
            _checked(config, asked.name, tuple(held))
            version = Version(after, now, tuple(held), tuple(held.values()))
            nonce = record(stream, config, VERB, arguments(asked.name, version, asked.said, asked.reason))
            known = _history(stream, config)
            if any(one.nonce == nonce for one in known.commands.values()):
                stream.append(STATE, known.unsaved())
                click.echo(f"list {asked.name} holds {len(held)} values")
                return
    raise fail(f"list {asked.name} was changed by others each time; look at it, and try again")


def _checked(config: Config, name: str, values: tuple[str, ...]) -> None:
    """Refuse what would keep a rule from being read."""
    wrong = fault(values)
    if wrong is not None:
        raise fail(f"list {name}: {wrong}")
    ruleset = app.open_rules(config)
    for names, rules in grouped(ruleset).items():
        if name in names:
            found = read_again(ruleset, rules, {**dict.fromkeys(names, ()), name: values})
            for rule in rules[: len(rules) - len(found)]:
                raise fail(f"list {name}: {rule.about.title!r} or another rule cannot be read with these values")


def _history(stream: Stream, config: Config) -> History:
    with told():
        return history(stream, keys.commands_key(config))
    raise AssertionError


def _now(known: History, name: str, moment: datetime) -> Entries:
    """Return what the list holds, with when each value's time is over."""
    held = known.timeline(name).as_of(moment)
    version = next((one for one in known.timeline(name).versions if one.offset == held.offset), None)
    ends = dict(zip(version.values, version.ends, strict=True)) if version is not None else {}
    return {value: ends[value] for value in held.values}


def _names(config: Config) -> list[str]:
    return [name for name, one in config.rules.lists.items() if isinstance(one, CommandedList)]


def _known(config: Config, name: str) -> None:
    if name not in _names(config):
        known = ", ".join(_names(config)) or "none"
        raise fail(f"commands change no list {name!r} ({known}): write `rules.lists: {{{name}: {{from: commands}}}}`")


def _say(row: dict[str, object], text: str) -> None:
    click.echo(text if sys.stdout.isatty() else msgspec.json.encode(row))
