"""A rule set -> one matcher whose cost hardly grows with the number of rules.

Each rule is some branches (rules/necessary.py), each branch one bit. For each field, one automaton finds all literals
of all rules in one pass over the value; what it found makes a mask of the branches that the value does not rule out,
remembered by value. The masks of all fields AND-ed leave the few rules that still can hold, and those are decided by
their own predicate: the index only narrows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Final, Generic, TypeVar

import ahocorasick_rs

from rules.event import Fields, Scalar, Value
from rules.necessary import BEGIN, END, KEYWORDS, Atom, Branch, branches, least_length
from rules.patterns import fold
from rules.predicate import Predicate
from rules.regex import searcher
from rules.values import number_of, text_of

MEMO_VALUES = 20_000  # a field; forgotten all at once
MEMO_LONGEST = 512  # longer values hardly repeat
INDEX_LONGEST = 8_192  # a longer value is not indexed: its rules are decided one by one, in time linear in it

_NO_HITS: Final[frozenset[int]] = frozenset()

T = TypeVar("T")


class FieldIndex:
    """What one field's value says of every branch. A branch may ask several things of one field: each has a slot."""

    def __init__(self, atoms: Mapping[int, Sequence[Atom]], every: int) -> None:
        self._every = every
        self.absent = every & ~_mask(atoms)  # branches that ask nothing of the field
        literals = sorted({one for asked in atoms.values() for atom in asked for one in atom.literals})
        places = {one: place for place, one in enumerate(literals)}
        slots = max(map(len, atoms.values()))
        self._base = [every] * slots  # branches that any value meets, or that ask nothing here
        self._wide = [0] * slots  # met by a value that is not ASCII: literals of regular expressions
        self._by_hit: list[list[tuple[int, int]]] = [[] for _ in literals]  # literal -> slot, branches
        self._by_number: dict[float, list[tuple[int, int]]] = {}
        self._least: dict[int, int] = {}  # length -> branches that a shorter value cannot meet
        self.regexes: dict[tuple[tuple[str, str], ...], int] = {}  # one of them is found <- branches
        for bit, asked in atoms.items():
            for slot, atom in enumerate(asked):
                self._add(1 << bit, slot, atom, places)
        self.any_regex = reduce(or_, self.regexes.values(), 0)
        self.searches = [(bits, [searcher(*one) for one in found]) for found, bits in self.regexes.items()]
        self._find = ahocorasick_rs.AhoCorasick(literals, store_patterns=False).find_matches_as_indexes
        self._is_plain = not self._by_number
        self._met_by: dict[frozenset[int], int] = {}
        self.memo: dict[str, int] = {}
        self.memo_int: dict[int, int] = {}
        self.misses = 0

    def _add(self, bit: int, slot: int, atom: Atom, places: Mapping[str, int]) -> None:
        if not atom.anything:
            self._base[slot] &= ~bit
        if atom.wide:
            self._wide[slot] |= bit
        for literal in atom.literals:
            self._by_hit[places[literal]].append((slot, bit))
        for number in atom.numbers:
            self._by_number.setdefault(number, []).append((slot, bit))
        if atom.regexes:
            self.regexes[atom.regexes] = self.regexes.get(atom.regexes, 0) | bit
            least = min(least_length(pattern) for pattern, _ in atom.regexes)
            if least > 1:
                self._least[least] = self._least.get(least, 0) | bit

    def mask(self, value: Value) -> int:
        """Return the branches that a value (of any kind) does not rule out; regular expressions are not yet asked."""
        if isinstance(value, str):
            return self.of_text(value)
        if type(value) is int:
            return self.of_int(value)
        if isinstance(value, list):
            return self.any_of([one for one in value if one is not None])
        return self.absent if value is None else self._one(value)

    def any_of(self, values: Sequence[Scalar]) -> int:
        """Several values meet each thing that is asked by any of them: each by another one, if need be."""
        texts = [one if isinstance(one, str) else text_of(one) or "" for one in values]
        if not texts:
            return self.absent
        if sum(map(len, texts)) > INDEX_LONGEST or any(isinstance(one, (dict, list)) for one in values):
            return self._every
        whole = f"{END}{BEGIN}".join(texts)
        hits = self._hits(whole)
        if self._by_number:
            out = self._met(hits, [number for one in values if (number := number_of(one)) is not None], whole)
        else:
            out = self._known(hits) if whole.isascii() else self._met(hits, (), whole)
        return self._long_enough(out, max(texts, key=len))

    def of_int(self, value: int) -> int:
        """Apart from texts and booleans, which a dict would take for the same."""
        found = self.memo_int.get(value)
        if found is None:
            found = self._one(value)
            if len(self.memo_int) >= MEMO_VALUES:
                self.memo_int.clear()
            self.memo_int[value] = found
        return found

    def of_text(self, value: str) -> int:
        found = self.memo.get(value)
        if found is None:
            self.misses += 1
            found = self._plain(value) if self._is_plain and value.isascii() else self._one(value)
            if len(value) <= MEMO_LONGEST:
                if len(self.memo) >= MEMO_VALUES:
                    self.memo.clear()
                self.memo[value] = found
        return found

    def _plain(self, value: str) -> int:
        """The usual case of `_one`, without detours: ASCII, and no numbers asked for."""
        if len(value) > INDEX_LONGEST:
            return self._every
        found = self._find(f"{BEGIN}{value.lower()}{END}", overlapping=True)
        out = self._known(frozenset([hit[0] for hit in found]) if found else _NO_HITS)
        return self._long_enough(out, value) if self._least else out

    def _long_enough(self, left: int, text: str) -> int:
        for least, bits in self._least.items():
            if len(text) < least:
                left &= ~bits
        return left

    def _one(self, value: Scalar) -> int:
        text = value if isinstance(value, str) else text_of(value)
        if text is None or len(text) > INDEX_LONGEST or isinstance(value, dict):
            return self._every
        number = number_of(value) if self._by_number else None
        if number is None and text.isascii():
            out = self._known(self._hits(text))
        else:
            out = self._met(self._hits(text), () if number is None else (number,), text)
        return self._long_enough(out, text)

    def _hits(self, text: str) -> frozenset[int]:
        return frozenset([hit[0] for hit in self._find(f"{BEGIN}{fold(text)}{END}", overlapping=True)])

    def _known(self, hits: frozenset[int]) -> int:
        """Values differ more than what is found in them."""
        out = self._met_by.get(hits)
        if out is None:
            if len(self._met_by) >= MEMO_VALUES:
                self._met_by.clear()
            out = self._met_by[hits] = self._met(hits, (), "")
        return out

    def _met(self, hits: Iterable[int], numbers: Iterable[float], text: str) -> int:
        met = self._base.copy()
        if not text.isascii():
            met = [base | more for base, more in zip(met, self._wide, strict=True)]
        for hit in hits:
            for slot, bit in self._by_hit[hit]:
                met[slot] |= bit
        for number in numbers:
            for slot, bit in self._by_number.get(number, ()):
                met[slot] |= bit
        return reduce(and_, met)

    def refuted(self, left: int, value: Value) -> int:
        """Of the branches left, those whose regular expressions are not found in the value after all."""
        values = value if isinstance(value, list) else [value]
        texts = [text for one in values if (text := text_of(one)) is not None]
        out = 0
        for bits, searches in self.searches:
            if left & bits and not any(search(text) for search in searches for text in texts):
                out |= bits
        return left & out


def _mask(bits: Mapping[int, object]) -> int:
    return reduce(or_, (1 << bit for bit in bits), 0)


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
        self._owner: list[int] = []  # branch -> place in items
        asked: dict[str, dict[int, Sequence[Atom]]] = {}
        for place, (predicate, _) in enumerate(predicates):
            for branch in branches(predicate):
                self._add(place, branch, asked)
        every = (1 << len(self._owner)) - 1
        self._every = every
        self._keywords = FieldIndex(asked.pop(KEYWORDS), every) if KEYWORDS in asked else None
        self.fields = [(name, FieldIndex(asked[name], every)) for name in _ordered(asked)]
        self._any_regex = reduce(or_, (index.any_regex for _, index in self.fields), 0)

    def _add(self, place: int, branch: Branch, asked: dict[str, dict[int, Sequence[Atom]]]) -> None:
        bit = len(self._owner)
        self._owner.append(place)
        for name, atoms in branch.items():
            asked.setdefault(name, {})[bit] = atoms

    @property
    def reads_everything(self) -> bool:
        """Whether keywords are among the predicates, so that every value of the event counts."""
        return self._keywords is not None

    def candidates(self, fields: Fields) -> list[T]:
        """Return what may hold of an event's fields, in the order given."""
        left = self._every
        for name, index in self.fields:
            left &= index.mask(fields.get(name))
            if not left:
                return []
        if self._keywords is not None:
            left &= self._keyword_mask(self._keywords, fields)
        return self._owners(left, lambda place: fields.get(self.fields[place][0])) if left else []

    def reading(self, attributes: Mapping[str, str]) -> Callable[[object, Fields], list[T]]:
        """Return `candidates` for an object that holds the fields under these attributes, and, where the index reads
        everything, the whole event (else nothing is needed there)."""
        names = [attributes[name] for name, _ in self.fields]
        narrow = _narrowing(names, [index for _, index in self.fields], self._every)

        def candidates(event: object, whole: Fields) -> list[T]:
            left = narrow(event)
            if left and self._keywords is not None:
                left &= self._keyword_mask(self._keywords, whole)
            return self._owners(left, lambda place: getattr(event, names[place])) if left else []

        return candidates

    @staticmethod
    def _keyword_mask(index: FieldIndex, fields: Fields) -> int:
        values: list[Scalar] = []
        for value in fields.values():
            if isinstance(value, list):
                values += value
            elif value is not None:
                values.append(value)
        return index.any_of(values)

    def _owners(self, left: int, value: Callable[[int], Value]) -> list[T]:
        if left & self._any_regex:
            for place, (_, index) in enumerate(self.fields):
                if left & index.any_regex:
                    left &= ~index.refuted(left & index.any_regex, value(place))
        places: set[int] = set()
        while left:
            lowest = left & -left
            places.add(self._owner[lowest.bit_length() - 1])
            left ^= lowest
        return [self.items[place] for place in sorted(places)]


_EACH_FIELD = """
    value = event.{attribute}
    if value is None:
        left &= absent{n}
    elif type(value) is str:
        known = memo{n}.get(value)
        if known is not None:
            left &= known
        elif left & asks{n}:
            left &= text{n}(value)
    else:
        left &= mask{n}(value)
    if not left:
        return 0"""


def _narrowing(attributes: Sequence[str], indexes: Sequence[FieldIndex], every: int) -> Callable[[object], int]:
    """Return a function made for these fields, which is twice as fast as a loop over them. A value that no branch
    left asks anything of is not looked into."""
    names: dict[str, object] = {"every": every}
    body = ["def narrow(event):\n    left = every"]
    for n, (attribute, index) in enumerate(zip(attributes, indexes, strict=True)):
        assert attribute.isidentifier()
        names |= {f"absent{n}": index.absent, f"asks{n}": every & ~index.absent, f"memo{n}": index.memo}
        names |= {f"text{n}": index.of_text, f"mask{n}": index.mask}
        body.append(_EACH_FIELD.format(n=n, attribute=attribute))
    exec("\n".join([*body, "    return left"]), names)
    narrow = names["narrow"]
    assert callable(narrow)
    return narrow
