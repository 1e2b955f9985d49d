"""XML at the door: one element -> the paths, attributes and texts inside it. No entities, no external anything."""

from __future__ import annotations

from typing import Final, NamedTuple
from xml.parsers import expat

from collectors.formats import ParseError

_DEEPEST: Final = 32


class Element(NamedTuple):
    """One element, its namespace taken off: where it stands, what it says."""

    path: tuple[str, ...]
    attributes: dict[str, str]
    text: str


def elements(text: str) -> list[Element]:
    """Return every element of a document as it closes, outermost last. Raises ParseError for what is no XML."""
    out: list[Element] = []
    stack: list[tuple[str, dict[str, str], list[str]]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) >= _DEEPEST:
            raise ParseError("no XML that we read: nested too deep")
        stack.append((name.rpartition(":")[2], attributes, []))

    def end(_name: str) -> None:
        name, attributes, parts = stack.pop()
        path = tuple(element[0] for element in stack)
        out.append(Element((*path, name), attributes, "".join(parts)))

    def data(piece: str) -> None:
        if stack:
            stack[-1][2].append(piece)

    def refuse(*_: object) -> None:
        raise ParseError("no XML that we read: it has a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8"), True)
    except (expat.ExpatError, ValueError) as error:
        if isinstance(error, ParseError):
            raise
        raise ParseError(f"no XML: {error}") from None
    return out
