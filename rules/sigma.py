"""Sigma: (name, text) -> rules, correlations and filters, with every fault at once and its line.

Specification 2.1.0. What stands in no document of it: the `alert:` block (rules/alerting.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, get_args

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rules import alerting, condition
from rules import predicate as p
from rules.alert import Level
from rules.alerting import Alerting
from rules.correlation_rule import Correlating, correlating
from rules.document import LIKENESS, Entry, documents, is_empty, mapping, scalar, spelled, text, texts, words
from rules.faults import Report, RuleError, near
from rules.logsource import Logsource
from rules.modifiers import Key, Lists, alternatives, key_of

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
STATUSES: Final = ("stable", "test", "experimental", "deprecated", "unsupported")
_KINDS: Final = ("detection", "correlation", "filter")
_METADATA: Final = (
    *("id", "name", "status", "level", "description", "author", "date", "modified", "references", "tags", "fields"),
    *("falsepositives", "license", "scope", "related", "taxonomy", "alert"),
)  # what else stands in a document; anything more is somebody's own
VALUES_LIMIT: Final = 100_000  # tests that one rule may hold


@dataclass(frozen=True, slots=True)
class About:
    """What every document says of itself, and where it stands."""

    id: str  # its id, else its name, else its title
    title: str
    name: str | None
    level: Level
    status: str | None
    description: str | None
    tags: tuple[str, ...]
    file: str
    line: int
    meaning: str = ""  # hash of what the rule means: same meaning, same state

    @property
    def names(self) -> frozenset[str]:
        return frozenset(filter(None, (self.id, self.name)))


@dataclass(frozen=True, slots=True)
class Rule:
    """A predicate over one event."""

    about: About
    logsource: Logsource
    predicate: p.Predicate
    alerting: Alerting
    lists: frozenset[str] = frozenset()  # what |expand read
    missing: frozenset[str] = frozenset()  # lists that there are not: the rule is inactive


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate that is AND-ed to the rules that it names, or to every rule that its logsource covers."""

    about: About
    logsource: Logsource | None
    rules: tuple[str, ...] | None  # None: any
    predicate: p.Predicate
    lists: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Correlation:
    """A question about several events, or about other correlations."""

    about: About
    correlating: Correlating
    alerting: Alerting


Document: TypeAlias = Rule | Filter | Correlation


def parse(name: str, source: str, lists: Mapping[str, Sequence[str]], report: Report) -> list[Document]:
    """Return the documents of one file that have no fault; what is wrong with the others goes to `report`."""
    out: list[Document] = []
    for node in documents(source, report):
        before = report.errors
        reader = _Reader(report, Lists(lists))
        found = reader.document(node)
        if found is not None and report.errors == before:
            out.append(found)
        else:
            report.broken |= reader.names
    return out


def selections(detection: Node, lists: Mapping[str, Sequence[str]], report: Report) -> dict[str, p.Predicate]:
    """Return what each selection of a detection means, by its name; what is wrong goes to `report`."""
    found = mapping(detection, report, "detection") or {}
    return _Reader(report, Lists(lists)).selections(found)


class _Reader:
    """Reads one document."""

    def __init__(self, report: Report, lists: Lists) -> None:
        self._report = report
        self._lists = lists
        self._tests = 0
        self.names: frozenset[str] = frozenset()  # of the document that was read, be it faulty

    def document(self, node: Node) -> Document | None:
        found = mapping(node, self._report, "a rule")
        if found is None:
            return None
        if "action" in found:
            self._report.fault(found["action"].key, "'action' is no longer Sigma; write each rule whole")
            return None
        if not found.keys() & _KINDS:
            spelled(found, _KINDS, self._report, "a rule")
        about = self._about(node, found)
        self.names = about.names
        if "correlation" in found:
            return self._correlation(about, found)
        if "filter" in found:
            return self._filter(about, found)
        return self._rule(about, found, node)

    def _about(self, node: Node, found: Mapping[str, Entry]) -> About:
        report = self._report
        title = text(found.get("title"), report, "title")
        if title is None:
            report.fault(node, "a rule needs a title")
        identity = text(found.get("id"), report, "id")
        if identity is not None and not _UUID.fullmatch(identity):
            report.warn(found["id"].value, f"id {identity!r} is no UUID")
        name = text(found.get("name"), report, "name")
        self._lint(found)
        return About(
            id=(identity or name or title or ""),
            title=title or "",
            name=name,
            level=self._level(found.get("level")),
            status=text(found.get("status"), report, "status"),
            description=text(found.get("description"), report, "description"),
            tags=texts(found.get("tags"), report, "tags") or (),
            file=report.file,
            line=int(node.start_mark.line) + 1,
        )

    def _level(self, entry: Entry | None) -> Level:
        value = text(entry, self._report, "level")
        for level in get_args(Level):
            if level == value:
                return level  # type: ignore[no-any-return]
        if entry is not None and value is not None:
            known = ", ".join(get_args(Level))
            self._report.warn(entry.value, f"level {value!r} is not one of {known}; taken as medium")
        return "medium"

    def _lint(self, found: Mapping[str, Entry]) -> None:
        for name in found:
            known = (
                near(name, [one for one in _METADATA if one not in found], LIKENESS) if name not in _METADATA else None
            )
            if known is not None:
                self._report.warn(found[name].key, f"{name!r} is not known; {known!r} was meant?")
        entry = found.get("status")
        if entry and isinstance(entry.value, ScalarNode) and entry.value.value not in STATUSES:
            self._report.warn(entry.value, f"status {entry.value.value!r} is not one of {', '.join(STATUSES)}")

    def _rule(self, about: About, found: dict[str, Entry], node: Node) -> Rule | None:
        spelled(found, ("logsource",), self._report, "a rule")
        for name in ("logsource", "detection"):
            if name not in found:
                self._report.fault(node, f"a rule needs {name!r}")
        logsource = self._logsource(found.get("logsource"))
        predicate = self._detections(found["detection"].value, "detection") if "detection" in found else None
        alert = alerting.parse(found.get("alert"), about.level, self._report, self.selection)
        if predicate is None or logsource is None:
            return None
        about = _with_meaning(about, (logsource, predicate, alert))
        return Rule(about, logsource, predicate, alert, frozenset(self._lists.used), frozenset(self._lists.missing))

    def _filter(self, about: About, found: Mapping[str, Entry]) -> Filter | None:
        entry = found["filter"]
        inner = mapping(entry.value, self._report, "filter")
        if inner is None:
            return None
        if "rules" not in inner or is_empty(inner["rules"].value):
            self._report.fault(entry.key, "a filter needs 'rules': ids, or any")
        named = texts(inner.get("rules"), self._report, "filter.rules")
        for name in named or () if "any" not in (named or ()) else ():
            self._report.refers(inner["rules"].value, name, "filter", warning=True)
        logsource = self._logsource(found["logsource"]) if "logsource" in found else None
        predicate = self._detections(entry.value, "filter", skip=("rules",))
        if predicate is None or named is None:
            return None
        about = _with_meaning(about, (logsource, predicate, named))
        rules = None if not named or "any" in named else named
        return Filter(about, logsource, rules, predicate, frozenset(self._lists.used), frozenset(self._lists.missing))

    def _correlation(self, about: About, found: Mapping[str, Entry]) -> Correlation | None:
        asked = correlating(found["correlation"], self._report)
        alert = alerting.parse(found.get("alert"), about.level, self._report, self.selection)
        if asked is None:
            return None
        return Correlation(_with_meaning(about, (asked, alert)), asked, alert)

    def _logsource(self, entry: Entry | None) -> Logsource | None:
        found = mapping(entry.value, self._report, "logsource") if entry else None
        if entry is None or found is None:
            return None
        product, category, service = (self._word(found, name) for name in ("product", "category", "service"))
        if not (product or category or service):
            self._report.fault(entry.key, "logsource needs a product, category or service")
        return Logsource(product, category, service)

    def _word(self, found: Mapping[str, Entry], name: str) -> str | None:
        entry, what = found.get(name), f"logsource.{name}"
        value = text(entry, self._report, what)
        return value if value is None else next(iter(words(entry, self._report, what) or ()), None)

    def _detections(self, node: Node, what: str, skip: tuple[str, ...] = ()) -> p.Predicate | None:
        found = mapping(node, self._report, what)
        if found is None:
            return None
        spelled(found, ("condition",), self._report, what)
        selections = self.selections(found, skip)
        if "timeframe" in found:
            self._report.warn(found["timeframe"].key, "'timeframe' has no meaning any more; write a correlation")
        if not selections:
            self._report.fault(node, f"{what} has no selection")
        if "condition" not in found:
            self._report.fault(node, f"{what} has no condition")
            return None
        return self._condition(found["condition"], found, selections)

    def selections(self, found: Mapping[str, Entry], skip: tuple[str, ...] = ()) -> dict[str, p.Predicate]:
        return {
            name: self.selection(entry.value) or p.Or(())
            for name, entry in found.items()
            if name not in ("condition", "timeframe", *skip)
        }

    def _condition(
        self, entry: Entry, found: Mapping[str, Entry], selections: Mapping[str, p.Predicate]
    ) -> p.Predicate | None:
        lines = texts(entry, self._report, "condition")
        if lines == ():
            self._report.fault(entry.key, "the condition is empty; name a selection")
        parts: list[p.Predicate] = []
        used: set[str] = set()
        for line in lines or ():
            try:
                part, names = condition.parse(line, selections, condition.Predicates())
            except RuleError as error:
                self._report.fault(entry.value, str(error))
                return None
            parts.append(part)
            used |= names
        for name in selections.keys() - used:
            self._report.warn(found[name].key, f"selection {name!r} is used by no condition")
        return condition.Predicates().some(parts) if parts else None

    def selection(self, node: Node) -> p.Predicate | None:
        """Read one detection: a map is AND, a list is OR, plain values are keywords. Faults go to the report."""
        if isinstance(node, MappingNode):
            items = mapping(node, self._report, "a selection")
            if not items:
                self._report.fault(node, "an empty selection matches nothing; name a field")
                return None
            return _and([self._item(name, entry) for name, entry in items.items()])
        if isinstance(node, SequenceNode):
            if not node.value:
                self._report.fault(node, "an empty selection matches nothing; name a field")
            return _or([self.selection(part) for part in node.value])
        return self._keywords(node)

    def _keywords(self, node: Node) -> p.Predicate | None:
        return self._values(Key("", ()), [node], node)

    def _item(self, name: str, entry: Entry) -> p.Predicate | None:
        try:
            key = key_of(name)
        except RuleError as error:
            self._report.fault(entry.key, str(error))
            return None
        values = entry.value.value if isinstance(entry.value, SequenceNode) else [entry.value]
        if isinstance(entry.value, MappingNode):
            self._report.fault(entry.value, f"{name}: a value or a list of values is meant, not a map")
            return None
        if key.every and len(values) < 2:
            self._report.warn(entry.key, f"{name}: 'all' says nothing of a single value")
        found = self._values(key, values, entry.key) if values else p.Field(key.field, p.Null())
        return p.Not(found) if key.negated and found is not None else found

    def _values(self, key: Key, nodes: list[Node], where: Node) -> p.Predicate | None:
        parts: list[p.Predicate | None] = []
        for node in nodes:
            if self._tests > VALUES_LIMIT:
                break
            if not isinstance(node, ScalarNode):
                self._report.fault(node, f"{key.field or 'keywords'}: a list of plain values is meant")
                continue
            parts.append(self._value(key, node, alone=len(nodes) == 1))
        return (_and if key.every else _or)(parts) if parts else None

    def _value(self, key: Key, node: ScalarNode, *, alone: bool) -> p.Predicate | None:
        value = scalar(node)
        if key.chain[:1] == ("re",) and value is not None:
            value = str(node.value)
        if value is None and not alone:
            self._report.warn(node, f"{key.field}: null within a list; write a selection of its own")
        try:
            tests = alternatives(key, _as_keyword(value) if not key.field else value, self._lists)
        except RuleError as error:
            self._report.fault(node, f"{key.field}: {error}" if key.field else str(error))
            return None
        self._tests += len(tests)
        if self._tests > VALUES_LIMIT:
            self._report.fault(node, f"the rule grows beyond {VALUES_LIMIT} values")
            return None
        return _or([_leaf(key, test) for test in tests])


def _as_keyword(value: object) -> str:
    return "" if value is None else str(value)


def _leaf(key: Key, test: p.Test) -> p.Predicate:
    if key.field:
        return p.Field(key.field, test)
    assert isinstance(test, p.Text | p.Regex)
    return p.Keyword(test)


def _and(parts: list[p.Predicate | None]) -> p.Predicate:
    kept = [part for part in parts if part is not None]
    return kept[0] if len(kept) == 1 else p.And(tuple(kept))


def _or(parts: list[p.Predicate | None]) -> p.Predicate:
    kept = [part for part in parts if part is not None]
    return kept[0] if len(kept) == 1 else p.Or(tuple(kept))


def _with_meaning(about: About, parts: tuple[object, ...]) -> About:
    material = repr((about.id, about.title, about.level, *parts)).encode()
    return replace(about, meaning=hashlib.blake2b(material, digest_size=16).hexdigest())
