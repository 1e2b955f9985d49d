"""Rule files -> one rule set: references resolved, filters folded in, what is faulty left out and named."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from rules import sigma
from rules.alerting import Joint
from rules.faults import Fault, Report, meant
from rules.predicate import And
from rules.sigma import Correlation, Document, Filter, Rule

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Live:
    """The lists that change by the hour, and what it takes to read again the rules that read them (rules/lists.py)."""

    names: frozenset[str] = frozenset()
    files: tuple[tuple[str, str], ...] = ()  # of those rules, and of filters
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what all other lists hold


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that was loaded, and everything that was wrong with it."""

    rules: tuple[Rule, ...] = ()
    correlations: tuple[Correlation, ...] = ()  # in an order in which each stands after those it refers to
    filters: tuple[Filter, ...] = ()
    faults: tuple[Fault, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict)  # name -> hash of its content
    refers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # correlation id -> ids, as listed
    live: Live = Live()

    @property
    def errors(self) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if not fault.warning)

    def inactive(self, document: Document) -> str | None:
        """Return why a document judges nothing, or None."""
        if not isinstance(document, Correlation) and document.missing:
            return f"no list {', '.join(sorted(document.missing))}"
        dead = {rule.about.id: rule for rule in self.rules if rule.missing}
        gone = [dead[name].about.title for name in self.refers.get(document.about.id, ()) if name in dead]
        return f"{gone[0]!r} is inactive" if gone else None


def load(files: Iterable[tuple[str, str]], lists: Mapping[str, Sequence[str]], live: Collection[str] = ()) -> RuleSet:
    """Return the rule set of (file name, text) pairs. Never raises: what is wrong is in `faults`, and left out.

    In the place of a list that is `live` its own name stands, so that what a rule means does not change with it.
    """
    loaded: list[Document] = []
    faults: list[Fault] = []
    reports: list[Report] = []
    texts: dict[str, str] = {}
    named = {**lists, **{name: (f"%{name}%",) for name in live}}
    for name, source in files:
        report = Report(name)
        loaded += sigma.parse(name, source, named, report)
        faults += report.faults
        reports.append(report)
        texts[name] = source
    kept = _joined(_distinct(loaded, faults), faults)
    rules = [document for document in kept if isinstance(document, Rule)]
    filters = [document for document in kept if isinstance(document, Filter)]
    rules = _filtered(rules, filters, faults)
    others = [document for document in kept if isinstance(document, Correlation)]
    correlations, refers = _resolved([*rules, *others], faults)
    faults += _unknown(reports, [*rules, *others])
    faults += _inactive([*rules, *filters])
    hashes = {name: hash_of(values) for name, values in lists.items() if name not in live}
    again = _live(frozenset(live), [*rules, *filters], texts, lists) if live else Live()
    return RuleSet(tuple(rules), tuple(correlations), tuple(filters), tuple(sorted(set(faults))), hashes, refers, again)


def _live(
    names: frozenset[str],
    documents: Iterable[Rule | Filter],
    texts: Mapping[str, str],
    lists: Mapping[str, Sequence[str]],
) -> Live:
    wanted = {one.about.file for one in documents if isinstance(one, Filter) or one.lists & names}
    return Live(names, tuple((name, text) for name, text in texts.items() if name in wanted), lists)


def hash_of(values: Sequence[str]) -> str:
    """Return the hash of a list's content."""
    return hashlib.blake2b("\n".join(values).encode(), digest_size=16).hexdigest()


def _distinct(loaded: Sequence[Document], faults: list[Fault]) -> list[Document]:
    """The first document of an id is taken; a second one is a fault."""
    seen: dict[str, Document] = {}
    for document in loaded:
        about = document.about
        first = seen.setdefault(about.id, document)
        if first is not document:
            other = f"{first.about.file}:{first.about.line}"
            faults.append(Fault(about.file, about.line, f"id {about.id!r} is that of another rule, at {other}"))
    return list(seen.values())


def _joined(documents: Iterable[Document], faults: list[Fault]) -> list[Document]:
    """Rules share an incident by the same fields: of two that name other ones, the second is left out, with a fault."""
    first: dict[str, tuple[Document, Joint]] = {}
    out: list[Document] = []
    for document in documents:
        shared = None if isinstance(document, Filter) else document.alerting.incident
        other, meant = first.setdefault(shared.name, (document, shared)) if shared else (document, shared)
        if shared is None or meant is None or set(shared.key) == set(meant.key):
            out.append(document)
            continue
        keys = f"[{', '.join(shared.key)}], in {other.about.title!r} ({other.about.file}:{meant.line})"
        what = f"alert.incident: the key of {shared.name!r} is {keys} it is [{', '.join(meant.key)}]; write one in both"
        faults.append(Fault(document.about.file, shared.line, what))
    return out


def _by_name(documents: Iterable[D]) -> dict[str, D]:
    out: dict[str, D] = {}
    for document in documents:
        for name in document.about.names:
            out.setdefault(name, document)
    return out


def _resolved(
    documents: Sequence[Document], faults: list[Fault]
) -> tuple[list[Correlation], dict[str, tuple[str, ...]]]:
    """Return the correlations, inner ones first, with the ids that each refers to."""
    names = _by_name(document for document in documents if not isinstance(document, Filter))
    waiting = {document.about.id: document for document in documents if isinstance(document, Correlation)}
    refers: dict[str, tuple[str, ...]] = {}
    for identity, document in list(waiting.items()):
        if any(name not in names for name in document.correlating.rules):
            del waiting[identity]  # `_unknown` tells of it
        else:
            refers[identity] = tuple(names[name].about.id for name in document.correlating.rules)
    ordered: list[Correlation] = []
    done = {document.about.id: document.about.meaning for document in documents if isinstance(document, Rule)}
    while ready := [name for name in waiting if all(inner in done for inner in refers[name])]:
        level = [_meaning(waiting.pop(name), [done[inner] for inner in refers[name]]) for name in ready]
        done.update((document.about.id, document.about.meaning) for document in level)
        ordered += level
    for identity, document in waiting.items():
        cyclic = [inner for inner in refers.pop(identity) if inner in waiting]
        what = f"correlation refers to itself through {cyclic[0]!r}" if cyclic else "correlation refers to a faulty one"
        faults.append(_fault(document, what))
    return ordered, refers


def _unknown(reports: Sequence[Report], documents: Sequence[Document]) -> Iterator[Fault]:
    """Tell of every reference to what is not loaded, where it is made."""
    names, titles = _by_name(documents), {document.about.title for document in documents}
    broken = frozenset[str]().union(*(report.broken for report in reports))
    for report in reports:
        for one in report.references:
            if one.name in names:
                continue
            hint = "; that is a title, and an id or a name is meant" if one.name in titles else meant(one.name, names)
            why = "faulty" if one.name in broken else f"not loaded{hint}"
            yield Fault(report.file, one.line, f"{one.by} refers to {one.name!r}, which is {why}", one.warning)


def _meaning(correlation: Correlation, inner: Sequence[str]) -> Correlation:
    """A correlation means something else when what it refers to does."""
    about = correlation.about
    return replace(correlation, about=replace(about, meaning=hash_of((about.meaning, *inner))))


def _fault(document: Document, what: str, *, warning: bool = False) -> Fault:
    return Fault(document.about.file, document.about.line, what, warning)


def _filtered(rules: Sequence[Rule], filters: Sequence[Filter], faults: list[Fault]) -> list[Rule]:
    """AND each filter to the rules that it names and whose logsource it covers."""
    out = {rule.about.id: rule for rule in rules}
    names = _by_name(rules)
    for one in filters:
        if one.missing:
            continue  # told as inactive; a filter that cannot be decided excludes nothing
        meant = rules if one.rules is None else [names[name] for name in one.rules if name in names]
        for rule in _covered(one, meant, faults):
            old = out[rule.about.id]
            meaning = hash_of((old.about.meaning, one.about.meaning))
            out[rule.about.id] = replace(
                old,
                about=replace(old.about, meaning=meaning),
                predicate=And((old.predicate, one.predicate)),
                lists=old.lists | one.lists,
            )
    return list(out.values())


def _covered(one: Filter, rules: Iterable[Rule], faults: list[Fault]) -> list[Rule]:
    out: list[Rule] = []
    for rule in rules:
        if one.logsource is None or one.logsource.covers(rule.logsource):
            out.append(rule)
        elif one.rules is not None:
            faults.append(_fault(one, f"filter's logsource does not cover that of {rule.about.title!r}", warning=True))
    return out


def _inactive(documents: Iterable[Rule | Filter]) -> list[Fault]:
    return [
        _fault(one, f"inactive: there is no list {', '.join(sorted(one.missing))}", warning=True)
        for one in documents
        if one.missing
    ]
