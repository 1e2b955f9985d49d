"""Why a rule held for an event, or which of its clauses did not: the selections by name, each field read (law 12).

A rule's predicate no longer knows its selections' names, so the rule's text is read again beside it. Where the text
is gone, or no longer means what was loaded, the same clauses are told without names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from rules import condition, sigma
from rules import predicate as p
from rules.document import documents, mapping, texts
from rules.evaluate import Decide, compiled
from rules.event import Fields, Value
from rules.faults import Report, RuleError
from rules.logsource import Logsource, Origin, sees
from rules.wording import wanted


@dataclass(frozen=True, slots=True)
class Clause:
    """The smallest part that is told of: all that a selection asks of one field (or of the whole event) at once."""

    selection: str
    asks: p.Predicate
    decide: Decide = field(compare=False)

    @property
    def reads(self) -> str:
        """The field's name; empty for keywords, which read every value."""
        return _field(self.asks) or ""


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class No:
    part: Tree


Tree: TypeAlias = Clause | All | Any | No


@dataclass(frozen=True, slots=True)
class Reading:
    """What one clause found in one event. `negated`: the condition asks that it does not hold."""

    selection: str
    field: str
    wanted: str
    there: Value
    present: bool
    held: bool
    negated: bool = False
    others: int = 0  # further alternatives, none of which held either

    @property
    def good(self) -> bool:
        """Whether the clause stood as the condition asks."""
        return self.held is not self.negated


class _Trees:
    """The algebra of conditions over trees."""

    def every(self, parts: list[Tree]) -> Tree:
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def some(self, parts: list[Tree]) -> Tree:
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def inverse(self, part: Tree) -> Tree:
        return No(part)


_TREES: Final = _Trees()


def tree_of(
    rule: sigma.Rule,
    source: str | None = None,
    lists: Mapping[str, Sequence[str]] | None = None,
    filters: Sequence[sigma.Filter] = (),
) -> Tree:
    """Return the rule's clauses, by the names of its selections where `source`, its file's text, still says them."""
    predicate, beyond = rule.predicate, []
    for one in reversed(filters):
        if isinstance(predicate, p.And) and len(predicate.parts) == 2 and predicate.parts[1] == one.predicate:
            beyond.append(clauses(f"filter {one.about.title!r}", one.predicate))
            predicate = predicate.parts[0]
    named = _named(rule, predicate, source, lists or {}) if source is not None else None
    return _TREES.every([named or clauses("", predicate), *reversed(beyond)])


def _named(rule: sigma.Rule, predicate: p.Predicate, source: str, lists: Mapping[str, Sequence[str]]) -> Tree | None:
    report = Report(rule.about.file)
    for node in documents(source, report):
        found = mapping(node, report, "a rule") or {}
        if node.start_mark.line + 1 != rule.about.line or "detection" not in found:
            continue
        inner = mapping(found["detection"].value, report, "detection") or {}
        lines = texts(inner.get("condition"), report, "condition") or ()
        return _parsed(lines, sigma.selections(found["detection"].value, lists, report), predicate)
    return None


def _parsed(lines: Sequence[str], selections: Mapping[str, p.Predicate], meant: p.Predicate) -> Tree | None:
    """Return the condition over named clauses, if it means what was loaded."""
    names = {name: clauses(name, asks) for name, asks in selections.items()}
    try:
        said = [condition.parse(line, selections, condition.Predicates())[0] for line in lines]
        parts = [condition.parse(line, names, _TREES)[0] for line in lines]
    except RuleError:
        return None
    return _TREES.some(parts) if parts and condition.Predicates().some(said) == meant else None


def clauses(selection: str, predicate: p.Predicate) -> Tree:
    """Return a predicate as clauses: what is asked of one field together stays together."""
    if not isinstance(predicate, p.Not) and _field(predicate) is not None:
        return Clause(selection, predicate, compiled(predicate))
    match predicate:
        case p.And(parts):
            return All(tuple(clauses(selection, part) for part in parts))
        case p.Or(parts):
            return Any(tuple(clauses(selection, part) for part in parts))
        case p.Not(part):
            return No(clauses(selection, part))
    raise AssertionError(predicate)


def _field(predicate: p.Predicate) -> str | None:
    """Return the one field that a predicate without `not` reads ("" for keywords), or None if there are several."""
    match predicate:
        case p.Field(name):
            return name
        case p.Keyword():
            return ""
        case p.And(parts) | p.Or(parts):
            names = {_field(part) for part in parts}
            return names.pop() if len(names) == 1 else None
    return None


def holds(tree: Tree, fields: Fields) -> bool:
    """Whether the whole of it holds for an event's fields; the same answer as the rule's own predicate gives."""
    match tree:
        case Clause():
            return tree.decide(fields)
        case All(parts):
            return all(holds(part, fields) for part in parts)
        case Any(parts):
            return any(holds(part, fields) for part in parts)
        case No(part):
            return not holds(part, fields)


def readings(tree: Tree, fields: Fields, *, negated: bool = False) -> Iterator[Reading]:
    """Yield what each clause read, in the rule's order."""
    match tree:
        case Clause():
            yield _reading(tree, fields, negated)
        case All(parts) | Any(parts):
            for part in parts:
                yield from readings(part, fields, negated=negated)
        case No(part):
            yield from readings(part, fields, negated=not negated)


def failing(tree: Tree, fields: Fields) -> Reading | None:
    """Return the first clause for which the whole does not hold; None if it holds."""
    return None if holds(tree, fields) else _blamed(tree, fields, wants=True)


def _blamed(tree: Tree, fields: Fields, *, wants: bool) -> Reading:
    """The tree is not as it is wanted: find the first clause that makes it so."""
    match tree:
        case Clause():
            return _reading(tree, fields, negated=not wants)
        case No(part):
            return _blamed(part, fields, wants=not wants)
        case All(parts) | Any(parts) if parts:
            found = [part for part in parts if holds(part, fields) is not wants]
            out = _blamed(found[0], fields, wants=wants)
            alternatives = len(found) - 1 if wants is isinstance(tree, Any) else 0
            return replace(out, others=out.others + alternatives)
    return Reading("", "", "what never holds" if wants else "anything", None, present=False, held=not wants)


def _reading(clause: Clause, fields: Fields, negated: bool) -> Reading:
    name = clause.reads
    return Reading(
        clause.selection,
        name,
        wanted(clause.asks),
        fields.get(name) if name else None,
        present=name in fields if name else bool(fields),
        held=clause.decide(fields),
        negated=negated,
    )


def unrouted(logsource: Logsource, where: Origin) -> str | None:
    """Name why a rule of this logsource does not see events of an origin; None: it does."""
    if sees(logsource)(where):
        return None
    if where.kind == "tocsin" and logsource.product != "tocsin":
        return "the event is Tocsin's own"
    own = logsource.product if logsource.product == "tocsin" else None
    alone = {
        "product": Logsource(product=logsource.product),
        "category": Logsource(product=own, category=logsource.category),
        "service": Logsource(product=own, service=logsource.service),
    }
    for word, part in alone.items():
        value = getattr(logsource, word)
        if value is not None and not sees(part)(where):
            return f"logsource {word} {value}"
    return "logsource"
