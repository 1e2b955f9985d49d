"""Words: what the full-text table holds of a document, and which of them a text pattern must find there.

A word is a run of ASCII letters, digits and any characters beyond ASCII, case removed: SQLite's `ascii` tokenizer
over text that rules.patterns.fold has been through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rules.event import Fields, Value
from rules.patterns import Pattern, fold
from rules.values import text_of

# Their values are unlike any other event's: as words they would be half of the table and serve nobody.
UNWORDED: Final = frozenset(
    {"@timestamp", "event.id", "event.created", "event.sequence", "tocsin.chain.mac", "tocsin.schema"}
)
_RUN: Final = re.compile(r"[0-9a-z\u0080-\U0010ffff]+")
# What may stand within a value of an unworded field: part of a hash, of a number, of a time.
_UNWORDED_TEXT: Final = re.compile(r"[0-9a-f]*|[0-9t:-]*(?:\.[0-9]*)?z?")


@dataclass(frozen=True, slots=True)
class Word:
    """A word that must stand in the document; at an open end there may be more of it."""

    text: str
    open_start: bool = False
    open_end: bool = False


def text_for_words(fields: Fields) -> str:
    """Return the text whose words stand for the document in the full-text table."""
    texts = [
        value if isinstance(value, str) else _several(value) for name, value in fields.items() if name not in UNWORDED
    ]
    return fold("\n".join(dict.fromkeys(texts)))


def _several(value: Value) -> str:
    if isinstance(value, list):
        return "\n".join([one if isinstance(one, str) else text_of(one) or "" for one in value])
    return text_of(value) or ""


def words_of(pattern: Pattern, *, whole: bool) -> tuple[Word, ...] | None:
    """Return words that any document in which the pattern holds must have, or None if there are none to tell.

    `whole`: the pattern is the whole value; otherwise it stands somewhere within one.
    """
    out: list[Word] = []
    for number, part in enumerate(pattern):
        if isinstance(part, str):
            first = whole and number == 0
            last = whole and number == len(pattern) - 1
            out.extend(_within(fold(part), starts=first, ends=last))
    if not out or (not whole and maybe_unworded(pattern)):
        return None
    return tuple(out)


def _within(text: str, *, starts: bool, ends: bool) -> list[Word]:
    """The words of a literal; one at an open end of it may go on there."""
    return [
        Word(run[0], run.start() == 0 and not starts, run.end() == len(text) and not ends)
        for run in _RUN.finditer(text)
    ]


def maybe_unworded(pattern: Pattern) -> bool:
    """Return whether the pattern may stand within a value that no word stands for."""
    literals = [fold(part) for part in pattern if isinstance(part, str)]
    return all(_UNWORDED_TEXT.fullmatch(literal) for literal in literals)
