"""For each branch one thing that must be in an event before the rest of it is asked: the one most seldom there.

At first that is guessed from the rules alone: a long literal is rarer than a short one, and what many rules ask for
alike (`type: EXECVE`) says what kind of event it is, which is common. What events then show to be common is replaced
by something rarer of the same branch. Which trigger a branch has changes what is looked at, never what matches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from rules.event import Fields, Scalar
from rules.fieldindex import FieldIndex, bits_of, mask_of
from rules.necessary import KEYWORDS, Atom, Branch

_NUMERIC = re.compile(r"[0-9.+\-e]*")
_ANYWHERE = 20  # a keyword may stand in any value
# What a field costs, in events that are triggered in vain: to be decoded, where it is there, where its value is new.
_READ, _THERE, _NEW = 0.004, 0.015, 0.08

Trigger: TypeAlias = tuple[str, Atom]  # a field (or KEYWORDS) and what must be in it
Often: TypeAlias = Callable[[Trigger], float]


def chosen(branches: Sequence[Branch]) -> list[Trigger | None]:
    """Return each branch's trigger; None where it asks nothing, so that every event must be asked."""
    often = _guessed(branches)
    return [_rarest(_options(branch), often) for branch in branches]


def learnt(branches: Sequence[Branch], events: Sequence[Fields]) -> list[Trigger | None]:
    """Return the triggers that these events, a fair sample, show to be rare, in as few fields as is worth it."""
    guess = _guessed(branches)
    options = [_options(branch) for branch in branches]
    seen = _seen(dict.fromkeys(one for each in options for one in each), events)

    def often(one: Trigger) -> float:
        unsure = one[0] == KEYWORDS and is_unsure(one[1])
        return 1.0 if unsure else seen[one] + min(guess(one), 0.2) / 100

    out = [_rarest(each, often) for each in options]
    for name, _ in reversed(Counter(one[0] for one in out if one is not None).most_common()):
        without = _without(name, out, options, often)
        if without is not None and without[1] < _cost(name, events):
            out = without[0]
    return out


def _rarest(options: Iterable[Trigger], often: Often) -> Trigger | None:
    return min(options, key=lambda one: (often(one), one[0]), default=None)


def _options(branch: Branch) -> list[Trigger]:
    return [(name, atom) for name, atoms in branch.items() for atom in atoms]


def _guessed(branches: Sequence[Branch]) -> Often:
    """Return how often something is thought to be there, as a share of all events."""
    shared = Counter(trigger for branch in branches for trigger in _options(branch))
    return lambda one: 1.0 if _unsought(one) else min(1.0, _length(*one) * shared[one])


def _length(name: str, atom: Atom) -> float:
    met = sum(10 ** (-min(len(one), 12) / 3) for one in atom.literals) + 0.01 * len(atom.numbers)
    return min(0.99, met * _ANYWHERE if name == KEYWORDS else met)


def _unsought(one: Trigger) -> bool:
    return one[1].anything or (one[0] == KEYWORDS and is_unsure(one[1]))


def is_unsure(keyword: Atom) -> bool:
    """Whether a keyword may be in a value and yet not in the record's JSON as it is spelt here: a number may be written
    otherwise than it reads as text, and a control character in two ways."""
    return keyword.anything or any(_NUMERIC.fullmatch(one) or not one.isprintable() for one in keyword.literals)


def _without(
    name: str, out: Sequence[Trigger | None], options: Sequence[Sequence[Trigger]], often: Often
) -> tuple[list[Trigger | None], float] | None:
    """Return the triggers without those in a field, and how much oftener they are met; None: some have no other."""
    kept = {one[0] for one in out if one is not None} - {name}
    moved, more = list(out), 0.0
    for bit, old in enumerate(out):
        if old is not None and old[0] == name:
            new = moved[bit] = _rarest((one for one in options[bit] if one[0] in kept), often)
            if new is None:
                return None
            more += often(new) - often(old)
    return moved, more


def _cost(name: str, events: Sequence[Fields]) -> float:
    if name == KEYWORDS:
        return 1.0
    there = [str(value) for one in events if (value := one.get(name)) is not None]
    return _READ + (_THERE * len(there) + _NEW * len(set(there))) / len(events)


def _seen(triggers: Collection[Trigger], events: Sequence[Fields]) -> dict[Trigger, float]:
    """Return the share of the events that meet each."""
    numbered = list(triggers)
    counts: Counter[int] = Counter()
    for name, atoms in by_field(numbered).items():
        index = FieldIndex({place: (atom,) for place, atom in atoms.items()}, mask_of(atoms))
        for fields in events:
            counts.update(bits_of(index.mask(values(fields) if name == KEYWORDS else fields.get(name))))
    return {one: counts[place] / len(events) for place, one in enumerate(numbered)}


def by_field(triggers: Sequence[Trigger | None]) -> Mapping[str, Mapping[int, Atom]]:
    """Return the triggers' atoms by field, then by place."""
    out: dict[str, dict[int, Atom]] = {}
    for place, trigger in enumerate(triggers):
        if trigger is not None:
            out.setdefault(trigger[0], {})[place] = trigger[1]
    return out


def values(fields: Fields) -> list[Scalar]:
    """Return every value of the event, as keywords see it."""
    out: list[Scalar] = []
    for value in fields.values():
        if isinstance(value, list):
            out += value
        elif value is not None:
            out.append(value)
    return out
