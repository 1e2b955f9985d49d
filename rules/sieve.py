"""An index over JSON records, decoding of each no more than the rules wait for, and learning which of that is rare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from rules.compile import Index, Narrow, Refine
from rules.event import Fields

SAMPLE: Final = 500  # records that are learnt from at a time
SAMPLE_LONGEST: Final = 16_384  # a longer record is no example
FIRST: Final = 32  # records caught before it is first learnt what is rare
AGAIN: Final = 64  # times as many before it is learnt anew
ENOUGH: Final = 0.1  # of a sample: if no more than that is caught, there is little to learn

T = TypeVar("T")
Read: TypeAlias = Callable[[bytes], object]
_HASHABLE: Final = (
    tuple[Any, ...] | str | int | float | bool | dict[str, Any] | None
)  # what JSON holds, lists as tuples


class Sieve(Generic[T]):
    """`narrow(read(record), record)` is 0 for a record that no predicate holds of; others go through `caught`."""

    kind: type  # of what `read` returns; it is another one once something was learnt
    read: Read
    narrow: Narrow
    _refine: Refine

    def __init__(self, index: Index[T], head: Mapping[str, str], whole: Callable[[bytes], Fields]) -> None:
        """`head`: further fields to read, under these attributes. `whole` decodes all of a record, flat."""
        self._index = index
        self._head = head
        self._whole = whole
        self._caught = 0
        self._due = FIRST
        self._read_by_triggers()

    def _read_by_triggers(self) -> None:
        attributes = dict(self._head)
        for name in self._index.reads:
            attributes.setdefault(name, f"f{len(attributes)}")
        self.kind, self.read = reader(attributes)
        self.narrow = self._index.reading(attributes)
        self._refine = self._index.refining(attributes)

    def candidates(self, fields: Fields) -> Sequence[T]:
        """Return what may hold of an event's fields."""
        return self._index.candidates(fields)

    def caught(self, triggered: int, event: object, record: bytes) -> tuple[Sequence[T], Fields]:
        """Return what may hold of a record of which `narrow` said this, and, if anything, all of its fields."""
        self._caught += 1
        if self._caught == self._due:
            self._sample(self.narrow)
        if type(event) is self.kind:  # else it was read before something was learnt
            triggered = self._refine(triggered, event)
            if not triggered:
                return [], {}
        fields = self._whole(record)
        return self._index.confirmed(triggered, fields), fields

    def _sample(self, narrow: Narrow) -> None:
        """Look at the next records whole, whatever they trigger, and learn from them."""
        sample: list[Fields] = []
        due = self._caught

        def sampling(event: object, record: bytes) -> int:
            if len(record) <= SAMPLE_LONGEST:
                sample.append(self._whole(record))
            if len(sample) == SAMPLE:
                self.narrow = narrow
                if self._caught - due > SAMPLE * ENOUGH:
                    self._index.learn(sample)
                    self._read_by_triggers()
            return narrow(event, record)

        self.narrow = sampling
        self._due *= AGAIN


def reader(attributes: Mapping[str, str]) -> tuple[type, Read]:
    """Return a struct of only these fields, and its decoder. Absent and null are both None: the index need not tell
    them apart."""
    fields: list[tuple[str, Any, object]] = [
        (attribute, _HASHABLE if name == "event.category" else Any, None) for name, attribute in attributes.items()
    ]
    renamed = {attribute: name for name, attribute in attributes.items()}
    kind = msgspec.defstruct("Read", fields, rename=renamed, gc=False)
    return kind, msgspec.json.Decoder(kind).decode
