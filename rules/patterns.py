"""Sigma's strings: escapes and wildcards, case folding, and matching in time linear in the value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from rules.predicate import Wildcard

Pattern: TypeAlias = tuple[str | Wildcard, ...]
Match: TypeAlias = Callable[[str], bool]

_PIECE = re.compile(r"\\[\\*?]|[*?]|[^\\*?]+|\\", re.DOTALL)
_WILD = {"*": Wildcard.ANY, "?": Wildcard.ONE}


def fold(text: str) -> str:
    """Return the text with case removed, character by character: its length stays, and no neighbour matters."""
    if text.isascii():
        return text.lower()
    return "".join([low if len(low := char.lower()) == 1 else char for char in text])


def parse(text: str) -> Pattern:
    r"""Return the pattern that a Sigma string means: `\` escapes only `*`, `?` and `\`, and is literal elsewhere."""
    out: list[str | Wildcard] = []
    for piece in _PIECE.findall(text):
        wild = _WILD.get(piece)
        if wild is not None:
            if wild is Wildcard.ONE or not out or out[-1] is not Wildcard.ANY:
                out.append(wild)
        else:
            _add(out, piece[1] if len(piece) == 2 and piece[0] == "\\" else piece)
    return tuple(out)


def _add(out: list[str | Wildcard], literal: str) -> None:
    if out and isinstance(out[-1], str):
        out[-1] += literal
    elif literal:
        out.append(literal)


def join(*parts: str | Wildcard) -> Pattern:
    """Return the parts as one pattern: literals run together, a doubled star counts once."""
    out: list[str | Wildcard] = []
    for part in parts:
        if isinstance(part, str):
            _add(out, part)
        elif part is Wildcard.ONE or not out or out[-1] is not Wildcard.ANY:
            out.append(part)
    return tuple(out)


def folded(pattern: Pattern) -> Pattern:
    return tuple(fold(part) if isinstance(part, str) else part for part in pattern)


def matcher(pattern: Pattern) -> Match:
    """Return the decision whether a whole value is of the pattern; case is the caller's to fold."""
    any_ = Wildcard.ANY
    match pattern:
        case ():
            return lambda value: not value
        case (str() as text,):
            return text.__eq__
        case (str() as text, Wildcard.ANY):
            return lambda value: value.startswith(text)
        case (Wildcard.ANY, str() as text):
            return lambda value: value.endswith(text)
        case (Wildcard.ANY, str() as text, Wildcard.ANY):
            return lambda value: text in value
        case (Wildcard.ANY,):
            return lambda value: True
    return _general(_segments(pattern, any_))


def _segments(pattern: Pattern, any_: Wildcard) -> list[Pattern]:
    out: list[list[str | Wildcard]] = [[]]
    for part in pattern:
        if part is any_:
            out.append([])
        else:
            out[-1].append(part)
    return [tuple(segment) for segment in out]


def _general(segments: list[Pattern]) -> Match:
    """Each segment between stars has a fixed length, so taking the leftmost place for each in turn is enough."""
    first, *middle = [(_size(segment), _compiled(segment)) for segment in segments]
    if not middle:
        return lambda value: len(value) == first[0] and first[1].match(value) is not None
    last = middle.pop()

    def matches(value: str) -> bool:
        end = len(value) - last[0]
        if end < first[0] or first[1].match(value) is None or last[1].match(value, end) is None:
            return False
        at = first[0]
        for size, segment in middle:
            found = segment.search(value, at, end)
            if found is None:
                return False
            at = found.start() + size
        return True

    return matches


def _size(segment: Pattern) -> int:
    return sum(len(part) if isinstance(part, str) else 1 for part in segment)


def _compiled(segment: Pattern) -> re.Pattern[str]:
    return re.compile("".join(re.escape(part) if isinstance(part, str) else "." for part in segment), re.DOTALL)
