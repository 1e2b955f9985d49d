"""Lists on audit.commands: each command states the whole list, and which command it follows.

A command that follows another than the last one is not taken: somebody else was faster, and whoever wrote it looks
again. So no change is lost, and any single command tells all that its list held. Commands leave the stream in time;
what is still wanted of them stands in audit.state, as it was signed, under `lists/<name>/<offset>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

import msgspec
from pydantic import ValidationError

from pipeline.records import Command
from pipeline.signing import Forged, Guard
from pipeline.streams import COMMANDS, STATE, Message, Stored, Stream
from pipeline.streams.whole import own_group, whole
from rules.event import Scalar, Value, instant, rfc3339
from rules.lists import NEVER, Timeline, Version

VERB: Final = "list"
PREFIX: Final = "lists/"
KEPT: Final = timedelta(days=100)  # as long as alerts are, unless the config says otherwise
MOST: Final = 10_000  # values of a list
LONGEST: Final = 1_000  # characters of a value
BYTES: Final = 300_000  # of a command: no record of the stream exceeds 512 KiB


_LOOKS_SO: Final = b'"verb":"list"'


class Stale(ValueError):
    """The command follows another than the list's last one."""


class Saved(msgspec.Struct):
    """A command as it is kept in audit.state."""

    offset: int
    time: datetime
    command: str


def arguments(name: str, version: Version, said: str, reason: str | None) -> dict[str, Value]:
    """Return the arguments of the command that makes a list this version, after the one at its offset."""
    values: list[Scalar] = [*version.values]
    ends: list[Scalar] = [rfc3339(one) if one is not None else "" for one in version.ends]
    out: dict[str, Value] = {"name": name, "after": version.offset, "values": values, "said": said}
    return out | ({"ends": ends} if any(ends) else {}) | ({"reason": reason} if reason else {})


class History:
    """Every list's versions, as a holder of the key made them. Feed it audit.state, then audit.commands, in order."""

    def __init__(self, key: bytes) -> None:
        self._guard = Guard(key)
        self._key = key
        self._lists: dict[str, Timeline] = {}
        self.commands: dict[tuple[str, int], Command] = {}  # of each version of a list
        self._saved: dict[tuple[str, int], Saved] = {}

    def timeline(self, name: str) -> Timeline:
        return self._lists.setdefault(name, Timeline())

    def restore(self, records: Iterable[Stored]) -> None:
        """Take what audit.state holds."""
        for stored in records:
            if stored.key.startswith(PREFIX) and stored.value:
                try:
                    saved = msgspec.json.decode(stored.value, type=Saved)
                    name = str(Command.model_validate_json(saved.command).arguments.get("name"))
                except (msgspec.MsgspecError, ValidationError):
                    continue
                self._saved[name, saved.offset] = saved
        for (_, offset), saved in sorted(self._saved.items(), key=lambda one: (one[1].time, one[1].offset)):
            with suppress(Stale):
                self._take(Stored(COMMANDS, 0, offset, saved.time, "", saved.command.encode()), Guard(self._key))

    def take(self, stored: Stored) -> bool:
        """Take a record of audit.commands; return whether it changed a list. Raises Stale; a forged one is nothing."""
        return self._take(stored, self._guard)

    def _take(self, stored: Stored, guard: Guard) -> bool:
        if _LOOKS_SO not in stored.value:
            return False
        try:
            said = Command.model_validate_json(stored.value)
            if said.verb != VERB:
                return False
            guard.check(said, stored.time)
            name, after, version = _version(said, stored)
        except (ValidationError, Forged, ValueError):
            return False  # whoever obeys commands tells of it
        known = self.commands.get((name, stored.offset))
        if known is not None and known.nonce == said.nonce:
            return False
        timeline = self.timeline(name)
        last = timeline.versions[-1].offset if timeline.versions else after
        if after != last:
            raise Stale(f"list {name}: the command at {stored.offset} follows that at {after}, and not {last}")
        timeline.whole = timeline.whole and (after == NEVER or bool(timeline.versions))
        timeline.add(version)
        self.commands[name, stored.offset] = said
        return True

    def unsaved(self) -> list[Message]:
        """Return what is still to be written to audit.state."""
        out: list[Message] = []
        for (name, offset), said in self.commands.items():
            if (name, offset) not in self._saved:
                time = next(one.time for one in self.timeline(name).versions if one.offset == offset)
                saved = self._saved[name, offset] = Saved(offset, time, said.model_dump_json())
                out.append(Message(f"{PREFIX}{name}/{offset}", msgspec.json.encode(saved)))
        return out

    def outdated(self, now: datetime) -> list[Message]:
        """Return what empties the keys of versions that no event is judged by any more."""
        out: list[Message] = []
        for name, timeline in self._lists.items():
            for one, following in zip(timeline.versions, timeline.versions[1:], strict=False):
                if following.time < now - KEPT and self._saved.pop((name, one.offset), None) is not None:
                    out.append(Message(f"{PREFIX}{name}/{one.offset}", b""))
        return out


def _version(said: Command, stored: Stored) -> tuple[str, int, Version]:
    """Read a command. Raises ValueError for one that is none."""
    name, after, values = (said.arguments.get(one) for one in ("name", "after", "values"))
    ends = said.arguments.get("ends", [""] * len(values) if isinstance(values, list) else None)
    if not (isinstance(name, str) and isinstance(after, int) and isinstance(values, list) and isinstance(ends, list)):
        raise ValueError("a list has a name, values, and the command that it follows")
    if len(values) != len(ends):
        raise ValueError("each value of a list has an end, or all have none")
    read = tuple(instant(str(one)) if one else None for one in ends)
    return name, after, Version(stored.offset, stored.time, tuple(map(str, values)), read)


def history(stream: Stream, key: bytes) -> History:
    """Return every list as audit.state and audit.commands tell now. Raises StreamUnavailable."""
    out = History(key)
    out.restore(whole(stream, STATE, own_group("lists")))
    for stored in whole(stream, COMMANDS, own_group("lists")):
        try:
            out.take(stored)
        except Stale:
            continue  # whoever wrote it looked again
    return out


def fault(values: Sequence[str]) -> str | None:
    """Return why these values make no list, or None."""
    if len(values) > MOST:
        return f"{len(values)} values; a list that is changed by commands holds {MOST} at most, a file any number"
    for one in values:
        if not one or len(one) > LONGEST or not one.isprintable():
            return f"{one[:50]!r} is no value: 1 to {LONGEST} printable characters"
    if sum(len(one.encode()) + 4 for one in values) > BYTES:
        return f"more than {BYTES} bytes; put a list of this size into a file"
    return None
