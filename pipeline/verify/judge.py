"""One chain's records by number: what is missing, altered, doubled or cut, and what cannot be known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from collectors.chain import Link
from pipeline.verify.spool import ALTERED, LETTER, REPEAT, UNCHECKED, Row

Kind: TypeAlias = Literal["missing", "altered", "doubled", "cut", "head"]
MOST: Final = 1_000  # findings of one chain that are kept one by one


@dataclass(frozen=True, slots=True)
class Anchor:
    """How far a chain went, as it was stated. `head` is over all its seals; `sure`: all of it must have arrived."""

    number: int
    head: str
    where: str
    sure: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """Numbers `first` to `last`, and what is wrong with them."""

    kind: Kind
    first: int
    last: int
    id: str = ""
    why: str = ""

    @property
    def count(self) -> int:
        return self.last - self.first + 1


@dataclass(slots=True)
class Judgement:
    """What is there of one chain."""

    first: int = 0
    last: int = 0
    records: int = 0
    set_aside: int = 0
    unchecked: int = 0
    findings: list[Finding] = field(default_factory=list)
    further: int = 0  # findings that are not in the list
    unknown: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        if len(self.findings) < MOST:
            self.findings.append(finding)
        else:
            self.further += 1


def judge(rows: Iterable[Row], anchors: Sequence[Anchor], *, start: int, kept: int) -> Judgement:
    """Judge one chain of one epoch. From number `start` on all must be there (0: that is not known).

    Events of days before `kept` (an ordinal) may have gone when their time was over: a hole beside them is no finding.
    """
    found = Judgement()
    heads = _Heads(anchors)
    held: list[Row] = []  # altered records that stand beyond the last sound one
    expected = start
    last: Row | None = None
    for row in rows:
        if row.worth == ALTERED:
            held.append(row)
            continue
        if last is not None and row.number == last.number:
            _again(found, last, row)
            continue
        found.records += 1
        found.set_aside += row.worth == LETTER
        found.unchecked += row.worth == UNCHECKED
        found.first = found.first or row.number
        hole = (expected or row.number, row.number - 1)
        if hole[0] <= hole[1] and _gone(last, row, kept):
            found.unknown.append(f"numbers {hole[0]} to {hole[1]}: they may be older than what is kept")
            hole = (row.number, row.number - 1)
        held = _passed(found, *hole, held)
        heads.add(row, found)
        last, expected = row, max(expected, row.number + 1)
    found.last = last.number if last else 0
    _end(found, expected, held, anchors)
    _say(found, start, anchors)
    return found


def _again(found: Judgement, last: Row, row: Row) -> None:
    if row.mac != last.mac:
        found.add(Finding("doubled", row.number, row.number, row.id.hex(), "two records bear this number"))
    elif not {REPEAT, LETTER} & {row.worth, last.worth}:
        found.add(Finding("doubled", row.number, row.number, row.id.hex(), "the record is stored twice"))


def _passed(found: Judgement, first: int, last: int, held: Sequence[Row]) -> list[Row]:
    """Name what stands between two sound records: altered, or missing. Return the altered ones further on."""
    for row in held:
        if row.number > last + 1:
            continue
        _missing(found, "missing", first, row.number - 1)
        found.add(Finding("altered", row.number, row.number, row.id.hex(), "its seal does not fit what it says"))
        first = max(first, row.number + 1)
    _missing(found, "missing", first, last)
    return [row for row in held if row.number > last + 1]


def _missing(found: Judgement, kind: Kind, first: int, last: int, why: str = "") -> None:
    if first <= last:
        found.add(Finding(kind, first, last, why=why))


def _end(found: Judgement, expected: int, held: Sequence[Row], anchors: Sequence[Anchor]) -> None:
    """Name what is cut from the tail, by the furthest anchor of which all must have arrived."""
    furthest = max((one for one in anchors if one.sure), key=lambda one: one.number, default=None)
    claimed = {row.number for row in held}
    for row in held:
        found.add(Finding("altered", row.number, row.number, row.id.hex(), "its seal does not fit what it says"))
    if furthest is None or furthest.number < max(expected, 1):
        return
    start = max(expected, 1)
    while start <= furthest.number and start in claimed:
        start += 1
    if expected or found.records == 0:
        _missing(found, "cut", start, furthest.number, f"{furthest.where} says that it went to {furthest.number}")


def _gone(last: Row | None, row: Row, kept: int) -> bool:
    """Whether retention can have taken what stood between the two.

    Each log is read in the order of its days. So what stood there can be older than both only where nothing comes
    before, or where another log began that had been written long before it was first read.
    """
    if row.day <= kept or (last is not None and last.day <= kept):
        return True
    return row.old and (last is None or row.day < last.day)


def _say(found: Judgement, start: int, anchors: Sequence[Anchor]) -> None:
    """Say what cannot be known."""
    if found.first > 1 and start != 1:
        found.unknown.append(f"numbers 1 to {found.first - 1} are before what was asked for, or before what is kept")
    if found.unchecked:
        found.unknown.append(f"the seals of {found.unchecked} records: nobody enrolled who wrote them")
    furthest = max((one.number for one in anchors), default=0)
    unsure = [one for one in anchors if not one.sure and one.number > found.last]
    if unsure:
        most = max(unsure, key=lambda one: one.number)
        found.unknown.append(f"numbers to {most.number}, which {most.where} states, may still be on the way")
    elif furthest < found.last:
        found.unknown.append(f"whether there was more after number {found.last}: no anchor goes so far")


class _Heads:
    """Follows the head of a chain that is there from its beginning, and compares it with what was stated."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self._stated: Mapping[int, list[Anchor]] = _by_number(anchors)
        self._link: Link | None = Link("")

    def add(self, row: Row, found: Judgement) -> None:
        if self._link is None or row.number != self._link.sequence + 1:
            self._link = None
            return
        self._link.add(row.mac)
        for anchor in self._stated.get(row.number, ()):
            if anchor.head != self._link.head.hex():
                why = f"{anchor.where} states another head: what is there was sealed anew"
                found.add(Finding("head", 1, row.number, row.id.hex(), why))
                self._link = None
                return


def _by_number(anchors: Sequence[Anchor]) -> Mapping[int, list[Anchor]]:
    out: dict[int, list[Anchor]] = {}
    for anchor in anchors:
        if anchor.head:
            out.setdefault(anchor.number, []).append(anchor)
    return out


def gaps(found: Judgement) -> Iterator[tuple[int, int]]:
    """Yield the numbers that are not there."""
    for one in found.findings:
        if one.kind in ("missing", "cut"):
            yield one.first, one.last
