"""match(event) -> the rules that hold for it, and what a condition says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Literal, TypeAlias

import msgspec

from rules import predicate as p
from rules.compile import Index
from rules.evaluate import Decide, compiled, fields_of
from rules.event import Fields, Value
from rules.logsource import ORIGIN_FIELDS, Origin, Sees, origin, sees
from rules.ruleset import RuleSet
from rules.sieve import Read, Sieve, reader
from rules.sigma import Rule

State: TypeAlias = Literal["holds", "between", "clear", "there"]
_ORIGINS_KEPT = 10_000
_MODULE: Final = b'"event.module":"'
_MODULE_LONG: Final = len(_MODULE) + 12  # with enough of what follows to tell modules apart
_CRON: Final = ("cron", "crond", "CRON", "CROND")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule held, or, for a condition, said how things stand. `state` is None for an event rule."""

    rule: Rule
    state: State | None = None


Judge: TypeAlias = Callable[[Fields], Hit | None]


class Matcher:
    """A rule set, ready to judge events one at a time. Keeps nothing of them but what values meant."""

    def __init__(self, ruleset: RuleSet, also: Sequence[str] = ()) -> None:
        """`also`: further fields that whoever reads a record wants of it."""
        self._rules: list[tuple[Sees, p.Predicate, Judge]] = [
            (sees(rule.logsource), _asked(rule), _judge(rule)) for rule in ruleset.rules if not rule.missing
        ]
        self._head = {name: f"f{place}" for place, name in enumerate(dict.fromkeys((*ORIGIN_FIELDS, *also)))}
        _, self._read_head = reader(self._head)
        self._readers: dict[bytes, Read] = {}  # a record's module, as it lies there -> what its rules wait for
        self._origin_key = attrgetter(*(self._head[name] for name in ORIGIN_FIELDS if name != "process.name"))
        self._program = attrgetter(self._head["process.name"])
        self._views: dict[tuple[int, ...], Sieve[Judge] | None] = {}
        self._by_origin: dict[object, Sieve[Judge] | None] = {}

    def match(self, fields: Fields) -> list[Hit]:
        """Return every rule that sees the event and has something to say of it."""
        view = self._view(origin(fields))
        if view is None:
            return []
        return [hit for judge in view.candidates(fields) if (hit := judge(fields)) is not None]

    def match_json(self, record: bytes) -> tuple[list[Hit], Fields]:
        """The same for an event as it lies in the stream, decoding no more than needed; its fields if there are hits.

        Raises msgspec.DecodeError for what is no JSON object.
        """
        return self.match_read(self.read(record), record)

    def read(self, record: bytes) -> object:
        """Decode no more of a record than its rules may wait for: those of the last one of its module."""
        at = record.find(_MODULE)
        return self._readers.get(record[at : at + _MODULE_LONG], self._read_head)(record)

    def wanted(self, names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
        """Return what gets these fields (two or more, of ORIGIN_FIELDS and `also`) out of a record that was `read`."""
        return attrgetter(*(self._head[name] for name in names))

    def match_read(self, event: object, record: bytes) -> tuple[list[Hit], Fields]:
        """The same for a record that was `read`."""
        key = self._key(event)
        try:
            view = self._by_origin[key]
        except KeyError:
            view = self._remember(key, event)
        except TypeError:  # a list or an object where a word is meant
            view = self._seen_by(event)
        if view is None:
            return [], {}
        if type(event) is not view.kind:
            self._expect(view.read, record)
            event = view.read(record)
        triggered = view.narrow(event, record)
        if not triggered:
            return [], {}
        judges, fields = view.caught(triggered, event, record)
        return [hit for judge in judges if (hit := judge(fields)) is not None], fields

    def _expect(self, read: Read, record: bytes) -> None:
        """Events of one module mostly are of one kind."""
        at = record.find(_MODULE)
        if at >= 0:
            if len(self._readers) >= _ORIGINS_KEPT:
                self._readers.clear()
            self._readers[record[at : at + _MODULE_LONG]] = read

    def _key(self, event: object) -> object:
        key: tuple[object, ...] = self._origin_key(event)
        return (*key, "cron") if self._program(event) in _CRON else key

    def _remember(self, key: object, event: object) -> Sieve[Judge] | None:
        if len(self._by_origin) >= _ORIGINS_KEPT:
            self._by_origin.clear()
        view = self._by_origin[key] = self._seen_by(event)
        return view

    def _seen_by(self, event: object) -> Sieve[Judge] | None:
        read = {name: getattr(event, attribute) for name, attribute in self._head.items()}
        present = {name: value for name, value in read.items() if value is not None}
        category = present.get("event.category")
        if type(category) is tuple:
            present["event.category"] = list(category)
        return self._view(origin(present))

    def _view(self, where: Origin) -> Sieve[Judge] | None:
        seen = tuple(place for place, (sees_it, _, _) in enumerate(self._rules) if sees_it(where))
        if seen not in self._views:
            self._views[seen] = self._built([self._rules[place] for place in seen]) if seen else None
        return self._views[seen]

    def _built(self, rules: Sequence[tuple[Sees, p.Predicate, Judge]]) -> Sieve[Judge]:
        return Sieve(Index([(asked, judge) for _, asked, judge in rules]), self._head, _whole)


def _whole(record: bytes) -> Fields:
    fields: Fields = msgspec.json.decode(record)
    return fields


def _asked(rule: Rule) -> p.Predicate:
    """What must hold for the rule to have something to say: a condition speaks of every reading."""
    if rule.alerting.kind == "event" or rule.alerting.absent is not None:
        return rule.predicate
    return p.And(tuple(p.Not(p.Field(name, p.Null())) for name in rule.alerting.key))


def _judge(rule: Rule) -> Judge:
    decide = compiled(rule.predicate)
    if rule.alerting.absent is not None:
        return _there(rule, decide)
    if rule.alerting.kind == "condition":
        return _condition(rule, decide)
    held = Hit(rule)
    return lambda fields: held if decide(fields) else None


def _there(rule: Rule, holds: Decide) -> Judge:
    """What is asked is absence: an event that matches says that its key is there."""
    hit, key = Hit(rule, "there"), rule.alerting.key
    return lambda fields: hit if holds(fields) and all(fields.get(name) is not None for name in key) else None


def _condition(rule: Rule, holds: Decide) -> Judge:
    """An event without a field of the key, or of the predicate, says nothing: unknown is not ok."""
    reads = fields_of(rule.predicate) | frozenset(rule.alerting.key)
    if rule.alerting.clear is not None:
        reads |= fields_of(rule.alerting.clear)
    clears = compiled(rule.alerting.clear) if rule.alerting.clear is not None else None
    hits: dict[State, Hit] = {"holds": Hit(rule, "holds"), "between": Hit(rule, "between"), "clear": Hit(rule, "clear")}

    def judge(fields: Fields) -> Hit | None:
        if holds(fields):
            return hits["holds"] if None not in map(fields.get, rule.alerting.key) else None
        if None in map(fields.get, reads):
            return None
        return hits["clear" if clears is None or clears(fields) else "between"]

    return judge


def key_values(names: tuple[str, ...], fields: Fields) -> dict[str, Value]:
    """Return the key's fields with their values; what the event lacks stands as null."""
    return {name: fields.get(name) for name in names}
