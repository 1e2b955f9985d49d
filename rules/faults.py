"""What is wrong with a rule file, and where: every fault of a file is collected, none hides another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Marked(Protocol):
    """What knows its line: a YAML node."""

    @property
    def start_mark(self) -> Position: ...


class Position(Protocol):
    @property
    def line(self) -> int: ...


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault or, with `warning`, one lint."""

    file: str
    line: int  # from 1
    what: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' if self.warning else ''}{self.what}"


class RuleError(ValueError):
    """A part of a rule says what cannot be; the message says what was meant."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule that is named where it is referred to; whether it is loaded is known once all files are read."""

    line: int
    name: str
    by: str  # what refers to it
    warning: bool = False


class Report:
    """Collects the faults of one file, and what it refers to."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.references: list[Reference] = []
        self.broken: set[str] = set()  # names of rules that are left out for their faults

    def fault(self, where: Marked | int, what: str) -> None:
        self.faults.append(Fault(self.file, _line(where), what))

    def warn(self, where: Marked | int, what: str) -> None:
        self.faults.append(Fault(self.file, _line(where), what, warning=True))

    def refers(self, where: Marked, name: str, by: str, *, warning: bool = False) -> None:
        self.references.append(Reference(_line(where), name, by, warning))

    @property
    def errors(self) -> int:
        return sum(not fault.warning for fault in self.faults)


def near(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known word that is most like this one: which it begins, or that is spelled nearly so."""
    words = list(known)
    begun = [one for one in words if word and one.startswith(word.lower())]
    found = begun if len(begun) == 1 else difflib.get_close_matches(word.lower(), words, 1, likeness)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return what to add to a message about an unknown word: the one that was meant, or nothing."""
    found = near(word, known)
    return f"; {found!r} was meant?" if found is not None else ""


def _line(where: Marked | int) -> int:
    return where if isinstance(where, int) else where.start_mark.line + 1
