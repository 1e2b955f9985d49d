"""`tocsin rules match`: events in, matches out, in line order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import yaml

from rules.event import Value, rfc3339
from rules.replay import Replay, Shown
from rules.ruleset import RuleSet
from rules.values import flatten, number_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def context(path: Path | None) -> dict[str, tuple[str, ...]]:
    """Return the lists of a context file: `name: [entry, ...]`, or the same under `lists:`."""
    if path is None:
        return {}
    try:
        found: dict[str, dict[str, list[object]]] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {str(name): tuple(map(str, entries)) for name, entries in found.get("lists", found).items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise click.UsageError(f"--context {path}: name: [entry, ...] is meant ({error})") from error


def run(ruleset: RuleSet, lines: Iterable[bytes], time_field: str, *, every: bool) -> bool:
    """Print what matches; return whether every line was an event."""
    replay = Replay(ruleset, every=every)
    clean = True
    moment = _EPOCH
    for number, line in enumerate(lines, 1):
        fields = _event(line, number)
        if fields is None:
            clean = clean and not line.strip()
            continue
        stated = fields.get(time_field)
        found = _time(stated)
        if found is None and stated is not None:
            click.echo(
                f"line {number}: {time_field} {str(stated)[:40]!r} is no time; that before it is taken", err=True
            )
        moment = found or moment
        _print(replay.feed(number, moment, fields))
    return clean


def _event(line: bytes, number: int) -> dict[str, Value] | None:
    if not line.strip():
        return None
    try:
        found = _decoded(line)
        if isinstance(found, dict):
            return flatten(found)
        reason = "not an object"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    click.echo(f"line {number}: {reason}", err=True)
    return None


def _decoded(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError:
        return json.loads(line)  # takes half a surrogate pair, too, which other tools write


def _time(value: Value) -> datetime | None:
    if isinstance(value, list):
        value = value[0] if value else None
    seconds = number_of(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _print(found: Iterable[Shown]) -> None:
    for one in found:
        row: dict[str, object] = {
            "rule": one.rule,
            "title": one.title,
            "events": one.events,
            "time": rfc3339(one.time),
        }
        if one.group is not None:
            row["group"] = one.group
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
