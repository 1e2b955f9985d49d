"""Rules that read lists of audit.commands, at work in detect: each event is judged by the lists as of its receipt.

They are few, and stand apart from all others: one small matcher for the rules that read the same lists, made again when
one of these changes. Before they judge, audit.commands is read up to where it ends then, so that nothing that came
before an event is missing; while that cannot be done, they wait for two seconds, and then judge by what is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pipeline.lists import History, Stale
from pipeline.streams import COMMANDS, STATE, Message, Stored, Stream, StreamUnavailable
from pipeline.streams.whole import own_group, whole
from rules.event import Fields, instant
from rules.lists import Reading, Used, grouped, read_again
from rules.matcher import Hit, Matcher
from rules.ruleset import RuleSet
from rules.sigma import Rule

CREATED: Final = "event.created"
_READS: Final = 20  # of a tenth of a second each: how long a batch waits for audit.commands
_WAIT: Final = 0.1
_JOINS: Final = 10  # of a second each
_AT_ONCE: Final = 1_000
_AGAIN: Final = timedelta(seconds=30)  # after they were out of reach: until they are asked for again
_MATCHERS: Final = 64  # made for different contents of the lists, and kept
_log = logging.getLogger("tocsin")


class LiveRules:
    """`also` are further fields that whoever reads a record wants of it, as Matcher's; CREATED is among them."""

    def __init__(self, stream: Stream, key: Callable[[], bytes], also: Sequence[str]) -> None:
        self._stream = stream
        self._key = key
        self._also = also
        self._group = own_group("lists")
        self._history: History | None = None
        self._next = 0
        self._behind: datetime | None = None
        self._rules: Mapping[frozenset[str], tuple[Rule, ...]] = {}
        self._matchers: dict[tuple[frozenset[str], tuple[str, ...]], Matcher] = {}
        self.equip(RuleSet())

    def equip(self, ruleset: RuleSet) -> None:
        """Judge by another rule set from now on."""
        self._ruleset = ruleset
        self._rules = grouped(ruleset)
        self._matchers.clear()

    def __bool__(self) -> bool:
        """Whether any rule reads such a list."""
        return bool(self._rules)

    def open(self, now: datetime) -> list[Message]:
        """Read what was commanded so far, once; return what audit.state lacks. Raises StreamUnavailable."""
        if self._history is not None:
            return []
        history = History(self._key())
        history.restore(whole(self._stream, STATE, self._group))
        self._join(history)
        for stored in whole(self._stream, COMMANDS, self._group):
            self._take(history, stored)
        self._history = history
        return [*history.outdated(now), *history.unsaved()]

    def _join(self, history: History) -> None:
        """To join takes seconds on Kafka, which no event is to wait for later."""
        for _ in range(_JOINS):
            batch = self._stream.read(COMMANDS, self._group, _AT_ONCE, 1.0)
            for stored in batch.messages:
                self._take(history, stored)
            if batch.gained or batch.messages:
                return

    def caught_up(self, now: datetime, *, patient: bool) -> bool:
        """Read audit.commands to its end, if that is within reach; `patient`: within two seconds."""
        if self._behind is not None and now - self._behind < _AGAIN:
            return False
        try:
            done = self._followed(_READS if patient else 0)
        except StreamUnavailable:
            done = False
        if done and self._behind is not None:
            _log.info("lists are up to date again", extra={"role": "detect"})
        if not done and patient and self._behind is None:
            _log.error("audit.commands is out of reach: its lists are read as last known", extra={"role": "detect"})
        if done or patient:
            self._behind = None if done else now
        return done

    def _followed(self, patience: int) -> bool:
        end = self._stream.ends(COMMANDS).get(0, 0)
        while self._next < end:
            batch = self._stream.read(COMMANDS, self._group, _AT_ONCE, _WAIT if patience else 0)
            self._next += batch.missing.get(0, 0)
            for stored in batch.messages:
                assert self._history is not None
                self._take(self._history, stored)
            if not batch.messages and not batch.missing:
                if not patience:
                    return False
                patience -= 1
        return True

    def _take(self, history: History, stored: Stored) -> None:
        self._next = max(self._next, stored.offset + 1)
        try:
            history.take(stored)
        except Stale as error:
            _log.info("%s", error, extra={"role": "detect"})

    def unsaved(self) -> list[Message]:
        """Return what is to be written to audit.state."""
        return self._history.unsaved() if self._history is not None else []

    def hits(
        self, event: object, created: object, message: Stored
    ) -> Iterator[tuple[list[Hit], Fields, Mapping[str, Used]]]:
        """Yield what rules say of a record, and what they read of which lists. `created` is its CREATED."""
        assert self._history is not None
        moment = received(created, message.time)
        for names, rules in self._rules.items():
            readings = {name: self._history.timeline(name).as_of(moment) for name in sorted(names)}
            matcher = self._matcher(names, rules, readings)
            hits, fields = matcher.match_read(event, message.value)
            if hits:
                behind = self._behind is not None
                yield hits, fields, {name: Used(one.offset, one.hash, behind) for name, one in readings.items()}

    def _matcher(self, names: frozenset[str], rules: Sequence[Rule], readings: Mapping[str, Reading]) -> Matcher:
        place = (names, tuple(one.hash for one in readings.values()))
        known = self._matchers.get(place)
        if known is None:
            found = read_again(self._ruleset, rules, {name: one.values for name, one in readings.items()})
            for rule in rules:
                if rule.about.id not in {one.about.id for one in found}:
                    _log.error("%r cannot be read with its lists as they are, and judges nothing", rule.about.title)
            if len(self._matchers) >= _MATCHERS:
                del self._matchers[next(iter(self._matchers))]
            known = self._matchers[place] = Matcher(RuleSet(found), self._also)
        return known


def received(created: object, appended: datetime) -> datetime:
    """Return when a record was received: never after the stream took it, whatever a host's clock says."""
    try:
        return min(instant(created), appended) if isinstance(created, str) else appended
    except ValueError:
        return appended
