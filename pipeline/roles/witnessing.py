"""The witness at work: what detect reads is checked before it is judged, and what was found is told and kept.

What is known of each host lives in audit.state, under `witness/<partition>/<host.id>`, and a record for each partition
says up to which offset. Whoever is given the partition reads on from there: some seconds are judged again, which
changes nothing, and no gap is invented.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.records import DeadLetter, fields_of
from pipeline.roles.own import OwnEvents
from pipeline.roles.sound import refuses
from pipeline.seals import Doubt, Seals
from pipeline.streams import DEADLETTER, EVENTS, STATE, Message, Stored, Stream
from pipeline.streams.whole import own_group, whole
from pipeline.testimony import Testimony
from pipeline.witness import WITNESSED, Finding, Witness

_log = logging.getLogger("tocsin.witness")
PREFIX: Final = "witness/"
SNAPSHOT_EVERY: Final = timedelta(seconds=10)
RENEW_EVERY: Final = timedelta(seconds=1)
COUNT_EVERY: Final = timedelta(seconds=30)
_LETTERS: Final = f"{PREFIX}letters"
_LONGEST: Final = 128  # characters of a host.id that is remembered
_HOST, _WRITER, _KEY, _CLASS = (
    WITNESSED.index(name) for name in ("host.id", "tocsin.writer", "tocsin.chain.key", "tocsin.class")
)
_RECORD: Final = WITNESSED.index("tocsin.record")


class Witnessing:
    """Detect's witness. `refuse` are the kinds of doubt for which a record is not taken."""

    def __init__(
        self, stream: Stream, seals: Seals, testimony: Testimony, own: OwnEvents, *, refuse: frozenset[str]
    ) -> None:
        self._own = own
        self._stream = stream
        self._seals = seals
        self._testimony = testimony
        self._refuse = refuse
        self._group = own_group("witness")
        self._witnesses: dict[int, Witness] = {}
        self._offsets: dict[int, int] = {}  # what of each partition was seen
        self._letters = self._kept_letters = 0  # dead letters that were told of
        self._counted = self._renewed = self._saved = datetime.min.replace(tzinfo=UTC)
        self._urgent = self._full = False

    def gained(self, partitions: Iterable[int]) -> dict[int, int]:
        """Take partitions over; return the offset to read on from for those that somebody witnessed before."""
        states, offsets = self._restored(frozenset(partitions))
        for partition in partitions:
            self._witnesses[partition] = Witness(states.get(partition))
        return offsets

    def lost(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._witnesses.pop(partition, None)
            self._offsets.pop(partition, None)

    def refusal(self, message: Stored, said: tuple[object, ...]) -> Doubt | None:
        """Return why the record is not to be judged, or None. `said` are its values of WITNESSED."""
        doubt, findings = self._looked_at(message, said)
        for finding in findings:
            self._testimony.found(finding)
            self._urgent = True
        if doubt is None:
            return None
        refused = refuses(self._refuse, doubt, (said[_HOST], said[_WRITER], said[_CLASS]))
        if refused or doubt.kind != "unsealed":
            self._testimony.doubted(str(said[_HOST] or ""), doubt)
        return doubt if refused else None

    def recall(self, message: Stored, said: tuple[object, ...]) -> None:
        """See a record again that was judged before."""
        self._looked_at(message, said)

    def _looked_at(self, message: Stored, said: tuple[object, ...]) -> tuple[Doubt | None, Sequence[Finding]]:
        self._offsets[message.partition] = message.offset + 1
        host, writer = said[_HOST], said[_WRITER]
        if type(host) is not str or type(writer) is not str:
            if host is None and said[_RECORD] == "tick":
                return None, ()
            host, writer = (one if isinstance(one, str) else "" for one in (host, writer))
        doubt = self._seals.check(message.value, host, writer, said[_KEY], message.time)
        if doubt is not None and doubt.kind not in ("unenrolled", "unchecked"):
            return doubt, ()
        if not 0 < len(host) <= _LONGEST or (doubt is not None and doubt.kind in self._refuse):
            return doubt, ()
        witness = self._witnesses.get(message.partition)
        if witness is None:
            witness = self._witnesses[message.partition] = Witness()
        found = witness.saw((host, writer, *said[2:]), message.value, enrolled=doubt is None)
        if witness.full and not self._full:
            self._full = True
            _log.warning("more hosts speak than the witness follows: of further ones, what is lost is not counted")
        return doubt, found

    def told(self, now: datetime) -> list[Message]:
        """Return the own events that are due, sealed. Raises StreamUnavailable."""
        if now - self._renewed >= RENEW_EVERY:
            self._renewed = now
            self._seals.renew()
        self._count_letters(now)
        return self._own.messages(list(self._testimony.due(now)), now)

    def delivered(self) -> None:
        """What was told is in the stream."""
        self._own.delivered()

    def _count_letters(self, now: datetime) -> None:
        """Tell that there are more dead letters, whoever wrote them; the owner of the first partition does."""
        if 0 not in self._witnesses or now - self._counted < COUNT_EVERY:
            return
        self._counted = now
        there = sum(self._stream.ends(DEADLETTER).values())
        if there > self._letters:
            self._testimony.set_aside(there - self._letters)
            self._urgent = True
        self._letters = there

    def snapshot(self, now: datetime) -> list[Message]:
        """Return what is to be kept in audit.state, now and then, or at once when something was found."""
        if not self._urgent and now - self._saved < SNAPSHOT_EVERY:
            return []
        self._saved, self._urgent = now, False
        out = [message for partition, witness in self._witnesses.items() for message in self._of(partition, witness)]
        if self._letters != self._kept_letters:
            self._kept_letters = self._letters
            out.append(Message(_LETTERS, str(self._letters).encode()))
        return out

    def _of(self, partition: int, witness: Witness) -> Iterator[Message]:
        changed = witness.changed()
        for host, state in changed.items():
            yield Message(f"{PREFIX}{partition}/{host}", state)
        if changed:
            yield Message(f"{PREFIX}{partition}", str(self._offsets.get(partition, 0)).encode())

    def _restored(self, partitions: frozenset[int]) -> tuple[dict[int, dict[str, bytes]], dict[int, int]]:
        states: dict[int, dict[str, bytes]] = {}
        offsets: dict[int, int] = {}
        for message in kept(self._stream, self._group):
            if message.key == _LETTERS:
                self._letters = self._kept_letters = int(message.value)
            number, _, host = message.key.removeprefix(PREFIX).partition("/")
            if not number.isdecimal() or int(number) not in partitions or not message.value:
                continue
            if host:
                states.setdefault(int(number), {})[host] = message.value
            else:
                offsets[int(number)] = int(message.value)
        return states, offsets


def kept(stream: Stream, group: str) -> Iterator[Stored]:
    """Return what audit.state holds of the witness. Raises StreamUnavailable."""
    return (message for message in whole(stream, STATE, group) if message.key.startswith(PREFIX))


def refused_letter(message: Stored, doubt: Doubt, now: datetime) -> Message:
    """Return the dead letter of a record that was refused, whole."""
    letter = DeadLetter(
        stage="detect",
        reason=f"{doubt.kind}: {doubt.reason}"[:500],
        time=now,
        topic=EVENTS,
        partition=message.partition,
        offset=message.offset,
        event_id=_id_of(message.value),
        value=message.value.decode("utf-8", "backslashreplace"),
    )
    return Message(message.key, letter.model_dump_json().encode())


def _id_of(value: bytes) -> str | None:
    found = (fields_of(value) or {}).get("event.id")
    return found[:64] if isinstance(found, str) else None
