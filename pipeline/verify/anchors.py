"""How far chains went, as stated elsewhere: by anchors and by the beginnings of epochs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rules.event import Fields

ACTIONS: Final = {"chain-anchor": "tocsin.chain.heads", "chain-epoch": "tocsin.chain.previous"}

_MOST: Final = 64
_LAST: Final = 8
Source: TypeAlias = Literal["archive", "file", "witness"]


@dataclass(frozen=True, slots=True)
class Stated:
    """One chain's head, as an anchor states it at a time (the host's, RFC 3339)."""

    writer: str
    epoch: str
    number: int
    head: str
    time: str
    where: str
    source: Source = "archive"


def stated(fields: Fields, where: str) -> Iterator[Stated]:
    """Yield the heads that a sound record states; none for a record that is no anchor."""
    name = ACTIONS.get(str(fields.get("event.action")))
    writer, heads = fields.get("tocsin.writer"), fields.get(name or "")
    if name is not None and isinstance(writer, str) and isinstance(heads, list):
        yield from parsed(map(str, heads), writer.rsplit("/", 2)[0], str(fields.get("event.created", "")), where)


def parsed(heads: Iterable[str], stem: str, time: str, where: str, source: Source = "archive") -> Iterator[Stated]:
    """Yield the heads that are written so: `<chain> <epoch> <number> <head>`. `stem` is host and role."""
    for text in heads:
        parts = text.split(" ")
        if len(parts) == 4 and parts[2].isdecimal() and len(parts[2]) < 17 and not parts[0].endswith("/heartbeat"):
            yield Stated(f"{stem}/{parts[0]}", parts[1], int(parts[2]), parts[3], time, where, source)


class Statements:
    """What was stated of each chain (writer, epoch). Of many anchors enough are kept: the furthest pins all others."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[Stated]] = {}

    def add(self, all_: Iterable[Stated]) -> None:
        for one in all_:
            found = self._known.setdefault((one.writer, one.epoch), [])
            found.append(one)
            if len(found) > _MOST:
                found.sort(key=_number)
                del found[1:-_LAST:2]

    def of(self, writer: str, epoch: str) -> Sequence[Stated]:
        """Return what was stated of one chain, by number."""
        return sorted(self._known.get((writer, epoch), ()), key=_number)

    def chains(self) -> Iterable[tuple[str, str]]:
        return self._known.keys()


def _number(one: Stated) -> int:
    return one.number
