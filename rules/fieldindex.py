"""What one field's value says of every branch: one automaton over the value for all literals of all rules.

What it found makes a mask of the branches that the value does not rule out, remembered by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import TypeVar

import ahocorasick_rs

from rules.event import Scalar, Value
from rules.faults import RuleError
from rules.necessary import BEGIN, END, Atom, least_length
from rules.patterns import fold
from rules.regex import searcher
from rules.values import number_of, text_of

K = TypeVar("K")
V = TypeVar("V")

MEMO_VALUES = 20_000  # a field; forgotten all at once
MEMO_LONGEST = 512  # longer values hardly repeat
INDEX_LONGEST = 8_192  # a longer value is not indexed: its rules are decided one by one, in time linear in it
DFA_CHARACTERS = 10_000
ALTERNATION = 64  # expressions that are asked for in one


class FieldIndex:
    """What one field's value says of every branch. A branch may ask several things of one field: each has a slot."""

    def __init__(self, atoms: Mapping[int, Sequence[Atom]], every: int, *, exact: bool = False) -> None:
        """`exact`: a text's regular expressions are asked at once, and what they said is remembered with the rest."""
        self._every = every
        self._exact = exact
        self.asking = mask_of(atoms)
        self.absent = every & ~self.asking  # branches that ask nothing of the field
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
        self._some = _alternation([one for found in self.regexes for one in found])
        self._find = ahocorasick_rs.AhoCorasick(
            literals, store_patterns=False, implementation=implementation(literals)
        ).find_matches_as_indexes
        self._is_plain = not self._by_number
        self._met_by: dict[frozenset[int], int] = {}
        self._unhit = self._met((), (), "")
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

    def mask(self, value: Value | tuple[Scalar, ...]) -> int:
        """Return the branches that a value (of any kind) does not rule out; regular expressions are not yet asked."""
        if isinstance(value, str):
            return self.of_text(value)
        if type(value) is int:
            return self.of_int(value)
        if isinstance(value, (list, tuple)):  # a tuple where what was read must be hashable, see rules/sieve.py
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
            found = remember(self.memo_int, value, self._one(value))
        return found

    def of_text(self, value: str) -> int:
        found = self.memo.get(value)
        return self.missed(value) if found is None else found

    def missed(self, value: str) -> int:
        """The same for a text that the memo lacks."""
        self.misses += 1
        if self._is_plain and value.isascii() and len(value) <= INDEX_LONGEST:  # the usual case, without detours
            hits = self._find(f"{BEGIN}{value.lower()}{END}", overlapping=True)
            found = self._known(frozenset([hit[0] for hit in hits])) if hits else self._unhit
            if found and self._least:
                found = self._long_enough(found, value)
        else:
            found = self._one(value)
        if self._exact and found & self.any_regex:
            found &= ~self.refuted(found & self.any_regex, value)
        if len(value) <= MEMO_LONGEST:
            remember(self.memo, value, found)
        return found

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
        whole = f"{BEGIN}{fold(text)}{END}"
        try:
            found = self._find(whole, overlapping=True)
        except UnicodeEncodeError:  # half a surrogate pair, which no rule's literal holds
            found = self._find(whole.encode("utf-8", "replace").decode(), overlapping=True)
        return frozenset([hit[0] for hit in found])

    def _known(self, hits: frozenset[int]) -> int:
        """Values differ more than what is found in them."""
        out = self._met_by.get(hits)
        if out is None:
            out = remember(self._met_by, hits, self._met(hits, (), ""))
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
        if self._some is not None and sum(map(len, texts)) <= INDEX_LONGEST and not any(map(self._some, texts)):
            return left & self.any_regex
        out = 0
        for bits, searches in self.searches:
            if left & bits and not any(search(text) for search in searches for text in texts):
                out |= bits
        return left & out


def _alternation(regexes: Sequence[tuple[str, str]]) -> Callable[[str], bool] | None:
    """Return the decision whether any of several expressions is found, which is mostly no, in one search."""
    if not 1 < len(regexes) <= ALTERNATION or any("\\Q" in pattern for pattern, _ in regexes):
        return None
    try:
        return searcher("|".join(f"(?{flags}:{pattern})" for pattern, flags in regexes))
    except RuleError:  # too large
        return None


def implementation(literals: Sequence[str]) -> ahocorasick_rs.Implementation | None:
    """The fastest automaton is also the largest: it is for few literals."""
    return ahocorasick_rs.Implementation.DFA if sum(map(len, literals)) <= DFA_CHARACTERS else None


def remember(memo: dict[K, V], key: K, value: V) -> V:
    """Return the value, which the memo then holds; a full one has forgotten the others."""
    if len(memo) >= MEMO_VALUES:
        memo.clear()
    memo[key] = value
    return value


def mask_of(bits: Iterable[int]) -> int:
    return reduce(or_, (1 << bit for bit in bits), 0)


def bits_of(mask: int) -> Iterator[int]:
    """Yield the places of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
