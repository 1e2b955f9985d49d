"""What is wrong with a rule file, and where: every fault of a file is collected, none hides another."""

from __future__ import annotations

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


class Report:
    """Collects the faults of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[Fault] = []

    def fault(self, where: Marked | int, what: str) -> None:
        self.faults.append(Fault(self.file, _line(where), what))

    def warn(self, where: Marked | int, what: str) -> None:
        self.faults.append(Fault(self.file, _line(where), what, warning=True))

    @property
    def errors(self) -> int:
        return sum(not fault.warning for fault in self.faults)


def _line(where: Marked | int) -> int:
    return where if isinstance(where, int) else where.start_mark.line + 1
