"""Lists that change by the hour: what one held at a moment, and the rules that read it, as of that moment.

A list is a sequence of versions, each the whole of it. What an event is judged by is the last version that the stream
took before the event was received, less the entries whose time was over: a function of the records alone, so that
every worker and every replay judges alike.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import msgspec

from rules.ruleset import RuleSet, hash_of, load
from rules.sigma import Rule

NEVER: Final = -1  # the offset of a list that nobody has set yet: it is empty


class Used(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of a list a match was judged by: the command that made it so, and the hash of what it held."""

    offset: int
    hash: str
    behind: bool = False  # audit.commands could not be read to its end: there may have been a newer one


@dataclass(frozen=True, slots=True)
class Version:
    """A list as a command left it. `ends` holds, for each value, when its time is over."""

    offset: int
    time: datetime  # when the stream took the command
    values: tuple[str, ...]
    ends: tuple[datetime | None, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a list holds at a moment."""

    offset: int
    values: tuple[str, ...]
    hash: str


def entry(line: str) -> str:
    """Return the value that a line of a list's file holds. `#` begins a comment, but not in a word: CORP\\svc#1."""
    return _COMMENT.split(line, maxsplit=1)[0].strip()


_COMMENT: Final = re.compile(r"(?<!\S)#")


@dataclass(slots=True)
class Timeline:
    """One list's versions, in the order of the stream."""

    versions: list[Version] = field(default_factory=list)
    whole: bool = True  # False: what stood before the first version is no longer known
    _times: list[datetime] = field(default_factory=list)
    _readings: dict[tuple[int, int], Reading] = field(default_factory=dict)

    def add(self, version: Version) -> None:
        self.versions.append(version)
        self._times.append(version.time)

    def as_of(self, moment: datetime) -> Reading:
        """Return what an event that was received at this moment is judged by."""
        place = bisect_left(self._times, moment) - 1
        if place < 0 and (self.whole or not self.versions):
            return _EMPTY
        return self._reading(self.versions[max(place, 0)], moment)

    def at(self, offset: int, moment: datetime) -> Reading | None:
        """Return what the command at this offset had left of the list by then; None where that is not known."""
        if offset == NEVER:
            return _EMPTY
        found = next((one for one in self.versions if one.offset == offset), None)
        return self._reading(found, moment) if found is not None else None

    def _reading(self, version: Version, moment: datetime) -> Reading:
        ends = sorted(one for one in version.ends if one is not None)
        place = (version.offset, bisect_right(ends, moment))
        known = self._readings.get(place)
        if known is None:
            pairs = zip(version.values, version.ends, strict=True)
            values = tuple(value for value, end in pairs if end is None or end > moment)
            known = self._readings[place] = Reading(version.offset, values, hash_of(values))
        return known


_EMPTY: Final = Reading(NEVER, (), hash_of(()))


def grouped(ruleset: RuleSet) -> dict[frozenset[str], tuple[Rule, ...]]:
    """Return the rules that read lists which change by the hour, by which of them they read."""
    out: dict[frozenset[str], tuple[Rule, ...]] = {}
    for rule in ruleset.rules:
        read = rule.lists & ruleset.live.names
        if read and not rule.missing:
            out[read] = (*out.get(read, ()), rule)
    return out


def fixed(ruleset: RuleSet) -> RuleSet:
    """Return the rule set without the rules that read such lists."""
    if not ruleset.live.names:
        return ruleset
    return replace(ruleset, rules=tuple(rule for rule in ruleset.rules if not rule.lists & ruleset.live.names))


def read_again(ruleset: RuleSet, rules: Iterable[Rule], lists: Mapping[str, Sequence[str]]) -> tuple[Rule, ...]:
    """Return rules with these lists in place. They mean, by their hash, what they meant: a list that changes takes no
    state from anybody. One that cannot be read with such a list is absent."""
    found = load(ruleset.live.files, {**ruleset.live.others, **lists})
    known = {(rule.about.id, rule.about.file): rule for rule in found.rules}
    pairs = ((rule, known.get((rule.about.id, rule.about.file))) for rule in rules)
    return tuple(replace(again, about=rule.about) for rule, again in pairs if again is not None)
