"""From what is stored to rows: every document examined, every chain and anchor known. Pure, but for the spool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import msgspec

from pipeline.indexes import Found
from pipeline.records import DeadLetter, fields_of
from pipeline.seals import Seals
from pipeline.verify.anchors import ACTIONS, Statements, stated
from pipeline.verify.examine import Placed, Strange, examine, id_bytes, letter
from pipeline.verify.spool import ALTERED, SOUND, Row, Spool
from rules.event import Fields

TOLD: Final = frozenset(("chain-reordered", "chain-clone", "chain-forged", "chain-gap", "loss-gap", "chain-epoch"))
_CHAINS_MOST: Final = 200_000
_STRANGE_MOST: Final = 10_000
_CLAIMS_MOST: Final = 10_000


@dataclass(slots=True)
class ChainOf:
    """One chain of one epoch, as a row names it."""

    number: int
    host: str
    writer: str
    epoch: str

    @property
    def kind(self) -> str:
        return self.writer.rpartition("/")[2]

    @property
    def lane(self) -> tuple[str, str]:
        """Host and priority: what travels in order."""
        return self.host, self.writer.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.writer.removeprefix(f"{self.host}/")


@dataclass(slots=True)
class Gathered:
    """What was found, beside the rows."""

    spool: Spool
    seals: Seals
    now: datetime
    host: str | None = None  # only this one's
    documents: int = 0
    ours: int = 0  # alerts and incidents, which bear no seal
    chains: dict[tuple[str, str], ChainOf] = field(default_factory=dict)
    strange: list[Strange] = field(default_factory=list)
    further: int = 0  # strange ones that are not in the list
    stated: Statements = field(default_factory=Statements)
    begun: dict[tuple[str, str], str] = field(default_factory=dict)  # (writer's stem, epoch) -> when
    newest: dict[tuple[str, str], str] = field(default_factory=dict)  # lane -> received last
    claims: dict[tuple[str, str, int], str] = field(default_factory=dict)  # refused records, by what they say they are
    told: Counter[tuple[str, str]] = field(default_factory=Counter)  # (action, host) -> what the witness told
    said: list[tuple[str, str, str]] = field(default_factory=list)  # (action, host, message) of reordered and cloned

    def document(self, found: Found) -> None:
        """Take one stored document."""
        self.documents += 1
        if found.fields is None:
            self._odd(Strange("unreadable", found.place, "", found.fault))
            return
        if self.host is not None and found.fields.get("host.id") != self.host:
            return
        one = examine(found.fields, found.place, self.seals, self.now)
        if isinstance(one, Strange):
            if one.kind == "ours":
                self.ours += 1
            else:
                self._odd(one)
            return
        if found.fault:
            self._odd(Strange("moved", found.place, one.host, found.fault))
        self.placed(one, found.fields)

    def placed(self, one: Placed, fields: Fields) -> None:
        chain = self.chain(one)
        if chain is None:
            return
        self.spool.add(row_of(chain, one, fields))
        if one.worth != ALTERED:
            received = str(fields.get("event.created", ""))
            self.newest[chain.lane] = max(received, self.newest.get(chain.lane, ""))
            if chain.kind == "tocsin":
                self._own(one, fields)

    def letter(self, found: DeadLetter, name: str) -> None:
        """Take one dead letter: a record that was set aside is there; one that was refused is not."""
        refused = found.reason.startswith(("forged:", "unsealed:", "revoked:", "unenrolled:", "unchecked:"))
        one = None if refused else letter(found.value, self.seals, self.now)
        if one is None:
            self._claim(found, name)
            return
        chain = self.chain(one) if self.host in (None, one.host) else None
        if chain is not None:
            self.spool.add(row_of(chain, one, msgspec.json.decode(found.value)))

    def chain(self, one: Placed) -> ChainOf | None:
        place = (one.writer, one.epoch)
        chain = self.chains.get(place)
        if chain is None and len(self.chains) < _CHAINS_MOST:
            chain = self.chains[place] = ChainOf(len(self.chains), one.host, one.writer, one.epoch)
        return chain

    def _own(self, one: Placed, fields: Fields) -> None:
        """An event of Tocsin's own: an anchor, the beginning of an epoch, or what the witness told."""
        action = str(fields.get("event.action"))
        if action in ACTIONS:
            self.stated.add(stated(fields, f"the anchor of {str(fields.get('event.created'))[:19]}"))
        if action == "chain-epoch":
            self.begun[one.writer.rsplit("/", 2)[0], one.epoch] = str(fields.get("event.created"))
        if one.worth == SOUND:
            self._told(fields, one.host)

    def _told(self, fields: Fields, host: str) -> None:
        """Count what the witness told when the records arrived."""
        action = str(fields.get("event.action"))
        usual = action == "chain-epoch" and fields.get("tocsin.chain.reason") == "first start"
        if action in TOLD and not usual and fields.get("tocsin.class") == "tocsin":
            about = str(fields.get("tocsin.about.host", host))
            self.told[action, about] += 1
            if action in ("chain-reordered", "chain-clone") and len(self.said) < _STRANGE_MOST:
                self.said.append((action, about, str(fields.get("message"))))

    def _odd(self, one: Strange) -> None:
        if len(self.strange) < _STRANGE_MOST:
            self.strange.append(one)
        else:
            self.further += 1

    def _claim(self, found: DeadLetter, name: str) -> None:
        fields = fields_of(found.value) or {}
        writer, epoch, number = (fields.get(one) for one in ("tocsin.writer", "tocsin.chain.epoch", "event.sequence"))
        if isinstance(writer, str) and isinstance(epoch, str) and isinstance(number, int):
            while len(self.claims) >= _CLAIMS_MOST:
                self.claims.pop(next(iter(self.claims)))
            self.claims[writer, epoch, number] = name


def row_of(chain: ChainOf, one: Placed, fields: Fields) -> Row:
    day = _ordinal(str(fields.get("@timestamp", "")))
    old = fields.get("tocsin.backlog") is True
    return Row(chain.number, one.number, one.worth, one.mac, id_bytes(one.id), day, old)


def _ordinal(text: str) -> int:
    try:
        return date.fromisoformat(text[:10]).toordinal()
    except ValueError:
        return 0


def documents(found: Iterable[Found], gathered: Gathered) -> Iterator[int]:
    """Take every document; yield how many there were, now and then."""
    for one in found:
        gathered.document(one)
        if gathered.documents % 1_000 == 0:
            yield gathered.documents
