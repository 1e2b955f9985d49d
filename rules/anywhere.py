"""Keywords looked for in a record as it lies in the stream, before anything of it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import ahocorasick_rs

from rules.fieldindex import implementation, mask_of
from rules.necessary import Atom
from rules.triggers import is_unsure

LONGEST = 65_536  # a longer record is decoded: it is rare, and most of it would be passed twice

_ESCAPES: Final = str.maketrans({
    "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"
})  # fmt: skip
_OTHER_ESCAPES: Final = ("\\u", "\\/")  # where one stands, texts may be spelt otherwise than they are looked for


class Anywhere:
    """What a JSON record's text says of the branches that wait for a keyword. It may name too many, never too few."""

    def __init__(self, atoms: Mapping[int, Atom]) -> None:
        self._every = mask_of(atoms)
        self._always = mask_of(bit for bit, atom in atoms.items() if is_unsure(atom))
        self._wide = mask_of(bit for bit, atom in atoms.items() if atom.wide or not _is_ascii(atom))
        by_literal: dict[str, int] = {}
        for bit, atom in atoms.items():
            for literal in atom.literals:
                spelt = literal.translate(_ESCAPES)
                by_literal[spelt] = by_literal.get(spelt, 0) | 1 << bit
        for escape in _OTHER_ESCAPES:
            by_literal[escape] = self._every
        self._masks = list(by_literal.values())
        self._find = ahocorasick_rs.BytesAhoCorasick(
            [one.encode("utf-8", "replace") for one in by_literal], implementation=implementation(list(by_literal))
        ).find_matches_as_indexes

    def mask(self, record: bytes) -> int:
        """Return the branches whose keyword may be in a value of the record."""
        if len(record) > LONGEST:
            return self._every
        out = self._always
        if record.isascii():
            folded = record.lower()
        else:
            folded = record.decode("utf-8", "replace").lower().encode()
            out |= self._wide
        for hit in self._find(folded, overlapping=True):
            out |= self._masks[hit[0]]
        return out


def _is_ascii(atom: Atom) -> bool:
    return all(literal.isascii() for literal in atom.literals)
