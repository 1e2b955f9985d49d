"""A rule set -> one matcher whose cost hardly grows with the number of rules.

Each rule is some branches (rules/necessary.py), each branch one bit. Each branch waits for one thing that is seldom
there, its trigger (rules/triggers.py): most events trigger nothing, and only the triggers' fields are decoded of them.
Of an event that triggers some, the masks of all fields (rules/fieldindex.py) AND-ed leave the few rules that still can
hold, and those are decided by their own predicate: the index only narrows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from operator import or_
from typing import Generic, TypeAlias, TypeVar

from rules.anywhere import Anywhere
from rules.event import Fields
from rules.fieldindex import FieldIndex, bits_of, mask_of, remember
from rules.necessary import KEYWORDS, Atom, branches
from rules.predicate import Predicate
from rules.triggers import Trigger, by_field, chosen, learnt, values

FEW = 8  # branches whose fields are sooner looked up than all fields passed through

T = TypeVar("T")
Narrow: TypeAlias = Callable[[object, bytes], int]
Refine: TypeAlias = Callable[[int, object], int]


def _ordered(asked: Mapping[str, Mapping[int, object]]) -> list[str]:
    """Put first the fewest fields of which every branch asks one: where they rule all out, no other is looked at."""
    out: list[str] = []
    covered: set[int] = set()
    while len(out) < len(asked):
        rest = [name for name in asked if name not in out]
        best = max(rest, key=lambda name: (len(asked[name].keys() - covered), len(asked[name]), name))
        out.append(best)
        covered |= asked[best].keys()
    return out


class Index(Generic[T]):
    """Predicates with what stands for them; `candidates` returns those that an event's values do not rule out."""

    def __init__(self, predicates: Sequence[tuple[Predicate, T]]) -> None:
        self.items = [item for _, item in predicates]
        found = [(place, branch) for place, (predicate, _) in enumerate(predicates) for branch in branches(predicate)]
        self._owner = [place for place, _ in found]  # branch -> place in items
        self._branches = [branch for _, branch in found]
        self.every = (1 << len(found)) - 1
        self._asked: dict[int, list[tuple[str, FieldIndex]]] = {}  # few branches, the same again and again
        self._owned: dict[int, list[T]] = {}
        self._wait(chosen(self._branches))

    def _wait(self, triggers: Sequence[Trigger | None]) -> None:
        waiting = dict(by_field(triggers))
        keywords = waiting.pop(KEYWORDS, None)
        self._always = mask_of(bit for bit, trigger in enumerate(triggers) if trigger is None)
        self._anywhere = Anywhere(keywords) if keywords else None
        self._by_keyword = mask_of(keywords or ())
        self.waiting = {
            name: FieldIndex({bit: (atom,) for bit, atom in atoms.items()}, mask_of(atoms), exact=True)
            for name, atoms in sorted(waiting.items(), key=lambda one: -len(one[1]))
        }

    def learn(self, events: Sequence[Fields]) -> None:
        """Wait for what these events, a fair sample, have seldom. What was made by `reading` is out of date then."""
        self._wait(learnt(self._branches, events))

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields whose values decide whether anything else of an event is looked at."""
        return tuple(self.waiting)

    def reading(self, attributes: Mapping[str, str]) -> Narrow:
        """Return what says, of an object that holds the fields that the index `reads` under these attributes and of
        the JSON record that it was decoded from, which branches are triggered; 0: no predicate holds."""
        anywhere = self._anywhere.mask if self._anywhere else None
        read = [(attributes[name], index) for name, index in self.waiting.items()]
        return narrowing(read, self._always, anywhere)

    def refining(self, attributes: Mapping[str, str]) -> Refine:
        """Return what leaves, of triggered branches, those that no field rules out which was decoded anyway."""
        plans: dict[int, list[tuple[str, FieldIndex]]] = {}
        read, always = {name: attributes[name] for name in self.waiting}, self._always

        def refine(left: int, event: object) -> int:
            if always:  # all of it is decoded whatever they say
                return left
            plan = plans.get(left)
            if plan is None:
                asked = self._asked_by(left) if left.bit_count() <= FEW else ()
                plan = remember(plans, left, [(read[name], index) for name, index in asked if name in read])
            for attribute, index in plan:
                left &= index.mask(getattr(event, attribute))
            return left

        return refine

    def candidates(self, fields: Fields) -> Sequence[T]:
        """Return what may hold of an event's fields, in the order given."""
        left = self._always | self._by_keyword
        for name, index in self.waiting.items():
            left |= index.mask(fields.get(name))
        return self.confirmed(left, fields)

    def confirmed(self, left: int, fields: Fields) -> Sequence[T]:
        """Return, of what was triggered, what no value of the event rules out, in the order given."""
        for name, index in self._asked_by(left):
            if left & index.asking:
                left &= index.mask(fields.get(name) if name != KEYWORDS else values(fields))
                if not left:
                    return []
        return self._owners(left, fields)

    def _asked_by(self, left: int) -> Sequence[tuple[str, FieldIndex]]:
        """Return the fields that these branches ask of; of many branches, all there are."""
        known = self._asked.get(left)
        if known is None:
            if left.bit_count() > FEW:
                return self._fields
            names = dict.fromkeys(name for bit in bits_of(left) for name in self._branches[bit])
            known = remember(self._asked, left, [(name, self._by_name[name]) for name in names])
        return known

    @cached_property
    def _fields(self) -> list[tuple[str, FieldIndex]]:
        """Everything that is asked of each field; made when an event first triggers something."""
        asked: dict[str, dict[int, Sequence[Atom]]] = {}
        for bit, branch in enumerate(self._branches):
            for name, atoms in branch.items():
                asked.setdefault(name, {})[bit] = atoms
        names = sorted(_ordered(asked), key=lambda name: name == KEYWORDS)  # keywords last: they read everything
        return [(name, FieldIndex(asked[name], self.every)) for name in names]

    @cached_property
    def _by_name(self) -> dict[str, FieldIndex]:
        return dict(self._fields)

    @cached_property
    def _any_regex(self) -> int:
        return reduce(or_, (index.any_regex for name, index in self._fields if name != KEYWORDS), 0)

    def _owners(self, left: int, fields: Fields) -> Sequence[T]:
        if left & self._any_regex:
            for name, index in self._asked_by(left):
                if name != KEYWORDS and left & index.any_regex:
                    left &= ~index.refuted(left & index.any_regex, fields.get(name))
        known = self._owned.get(left)
        if known is None:
            places = sorted({self._owner[bit] for bit in bits_of(left)})
            known = remember(self._owned, left, [self.items[place] for place in places])
        return known


_EACH_FIELD = """
    value = event.{attribute}
    if value is not None:
        if type(value) is str:
            known = memo{n}.get(value)
            if known is None:
                known = text{n}(value)
            if known:
                hit |= known
        else:
            hit |= mask{n}(value)"""


def narrowing(fields: Sequence[tuple[str, FieldIndex]], always: int, anywhere: Callable[[bytes], int] | None) -> Narrow:
    """Return a function made for these fields, which is twice as fast as a loop over them."""
    names: dict[str, object] = {"always": always, "anywhere": anywhere}
    body = ["def narrow(event, record):\n    hit = always" + (" | anywhere(record)" if anywhere else "")]
    for n, (attribute, index) in enumerate(fields):
        assert attribute.isidentifier()
        names |= {f"memo{n}": index.memo, f"text{n}": index.missed, f"mask{n}": index.mask}
        body.append(_EACH_FIELD.format(n=n, attribute=attribute))
    exec("\n".join([*body, "    return hit"]), names)
    narrow = names["narrow"]
    assert callable(narrow)
    return narrow
