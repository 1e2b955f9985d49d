"""Matches -> alerts, by the owner of the one partition of audit.matches. State lives in audit.state.

Written in this order: alerts, then the snapshot of what changed with the offset that it covers, then the commit. After
a crash the matches since the last snapshot are fed again, and give the same alerts with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from pipeline.records import DeadLetter
from pipeline.roles.outbox import Outbox
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, MATCHES, STATE, Message, Stored, Stream, StreamUnavailable
from rules.alert import Alert
from rules.correlator import Correlator
from rules.match import Marker, decode
from rules.ruleset import RuleSet

GROUP = "correlate"
BATCH = 5_000
SNAPSHOT_EVERY = timedelta(seconds=1)
BYTES_A_SECOND = 1_000_000  # more than that of changed state is written less often
PART_BYTES = 400_000  # no record of the stream exceeds 512 KiB
PARTITIONS_EVERY = timedelta(seconds=30)  # how often the number of partitions is asked for
_PREFIX = "correlate/"
_MANIFEST = "correlate/manifest"
_PART = "\x00"  # stands in a key before the number of a part
_GONE = b"null"
_PATIENCE = 120  # empty half-second reads of the state before the stream counts as unreachable


class Manifest(msgspec.Struct):
    """Closes a snapshot: what stands before it in audit.state is whole, what stands after it is not."""

    epoch: int
    offset: int  # of audit.matches, to be read next
    markers: dict[int, datetime]


class Kept(msgspec.Struct):
    """One key's state; null: the key is gone, or its state stands in so many parts of its own."""

    state: msgspec.Raw
    parts: int = 0


_EMPTY = msgspec.json.encode(Kept(msgspec.Raw(_GONE)))


class Correlate:
    """One half of the detecting role; idle until it is given the partition."""

    def __init__(self, stream: Stream, ruleset: RuleSet, *, engine: str) -> None:
        self._stream = stream
        self._engine = engine
        self._ruleset = ruleset
        self._outbox = Outbox(stream)
        self._correlator: Correlator | None = None
        self._owner = False
        self._manifest = Manifest(0, 0, {})
        self._partitions: frozenset[int] = frozenset()
        self._asked: datetime | None = None
        self._rests_until: datetime | None = None
        self._buried: list[str] = []
        self._committed = 0

    def reload(self, ruleset: RuleSet) -> None:
        """Go on with another rule set; rules that mean the same keep their state."""
        self._ruleset = ruleset
        if self._correlator is not None:
            self._correlator = self._correlator.reloaded(ruleset)

    def hears_others(self, mine: Set[int]) -> bool:
        """Whether matches of partitions that are not `mine` are correlated here."""
        return self._owner and bool(self._partitions - mine)

    def step(self, now: datetime) -> bool:
        self._outbox.flush()
        if self._asked is None or now - self._asked >= PARTITIONS_EVERY:
            self._partitions = frozenset(self._stream.ends(EVENTS))
            self._asked = now
        batch = self._stream.read(MATCHES, GROUP, BATCH, 0)
        if 0 in batch.lost:
            self._correlator, self._owner = None, False
        if 0 in batch.gained:
            self._correlator, self._owner = None, True
        if self._correlator is None:
            if self._owner:  # restoring may fail, and is then tried again
                self._correlator = self._restored()
            return self._owner
        alerts: list[Alert] = []
        refused: list[Message] = []
        for message in batch.messages:
            try:
                alerts += self._fed(self._correlator, message)
            except Exception as error:  # the top of the loop: the record goes to the dead letters, the stage goes on
                refused.append(dead_letter("correlate", message, error, now))
        self._outbox.append(DEADLETTER, [*gone("correlate", MATCHES, batch.missing, now), *refused])
        self._outbox.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])
        if batch.messages:
            self._manifest.offset = batch.messages[-1].offset + 1
        self._keep(self._correlator, now)
        self._outbox.flush()
        return bool(batch.messages)

    def _fed(self, correlator: Correlator, message: Stored) -> list[Alert]:
        record = decode(message.value)
        if isinstance(record, Marker):
            markers = self._manifest.markers
            markers[record.partition] = max(record.up_to, markers.get(record.partition, record.up_to))
        return correlator.feed(record, self._clock())

    def _clock(self) -> datetime | None:
        """The least marker; None while a partition has none."""
        markers = self._manifest.markers
        if not self._partitions <= markers.keys():
            return None
        return min((markers[partition] for partition in self._partitions), default=None)

    def _keep(self, correlator: Correlator, now: datetime) -> None:
        """Write what changed, at most once a second, and record how far that goes."""
        if self._manifest.offset == self._committed:
            return
        if self._rests_until is not None and now < self._rests_until:
            return
        changed = correlator.changed()
        if changed or self._buried:
            self._snapshot(changed)
        size = sum(map(len, changed.values()))
        self._rests_until = now + max(SNAPSHOT_EVERY, timedelta(seconds=size / BYTES_A_SECOND))
        self._outbox.commit(MATCHES, GROUP, {0: self._manifest.offset})
        self._committed = self._manifest.offset

    def _snapshot(self, changed: dict[str, bytes]) -> None:
        self._manifest.epoch += 1
        messages = [Message(place, b"") for place in self._buried if place.removeprefix(_PREFIX) not in changed]
        for place, state in changed.items():
            messages += self._parts(_PREFIX + place, state)
        messages.append(Message(_MANIFEST, msgspec.json.encode(self._manifest)))
        self._outbox.append(STATE, messages)
        # A key is emptied only once the snapshot that lets it go is whole.
        self._buried = [message.key for message in messages if message.value == _EMPTY]

    def _parts(self, key: str, state: bytes) -> list[Message]:
        """Return the records of one key's state: a long one in parts, since no record exceeds the stream's limit."""
        if len(state) <= PART_BYTES:
            return [Message(key, msgspec.json.encode(Kept(msgspec.Raw(state or _GONE))))]
        parts = [state[at : at + PART_BYTES] for at in range(0, len(state), PART_BYTES)]
        numbered = [Message(f"{key}{_PART}{number}", part) for number, part in enumerate(parts)]
        return [*numbered, Message(key, msgspec.json.encode(Kept(msgspec.Raw(_GONE), len(parts))))]

    def _restored(self) -> Correlator:
        self._manifest, states, torn = self._states()
        correlator = Correlator(self._ruleset, self._engine, min(self._manifest.markers.values(), default=None))
        correlator.restore(states)
        self._rests_until, self._buried = None, []
        if torn:
            self._snapshot({place: states.get(place, b"") for place in torn})
        # The group's offset is beyond the manifest's where nothing changed since: a commit never precedes its snapshot.
        start = max(self._manifest.offset, self._stream.committed(MATCHES, GROUP).get(0, 0))
        self._manifest.offset = self._committed = start
        self._stream.seek(MATCHES, GROUP, {0: start})
        return correlator

    def _states(self) -> tuple[Manifest, dict[str, bytes], frozenset[str]]:
        """Return the last manifest, the states that it covers, and the keys of a snapshot that a crash cut short."""
        manifest = Manifest(0, 0, {})
        states: dict[str, bytes] = {}
        pending: dict[str, bytes] = {}
        for message in self._all_state():
            if message.key == _MANIFEST:
                manifest = msgspec.json.decode(message.value, type=Manifest)
                states |= pending
                pending.clear()
            elif message.key.startswith(_PREFIX):
                pending[message.key.removeprefix(_PREFIX)] = message.value
        torn = frozenset(key.split(_PART)[0] for key in pending)
        return manifest, _joined(states), torn

    def _all_state(self) -> list[Stored]:
        end = self._stream.ends(STATE).get(0, 0)
        self._stream.seek(STATE, GROUP, {0: 0})
        out: list[Stored] = []
        empty = 0
        while end and (not out or out[-1].offset + 1 < end):
            found = self._stream.read(STATE, GROUP, BATCH, 0.5).messages
            empty = 0 if found else empty + 1
            if empty > _PATIENCE:
                raise StreamUnavailable("audit.state could not be read to its end")
            out += found
        return out


def _joined(records: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return each key's state, put together where it stands in parts."""
    out: dict[str, bytes] = {}
    for key, value in records.items():
        if _PART in key or not value:
            continue
        kept = msgspec.json.decode(value, type=Kept)
        parts = [records.get(f"{key}{_PART}{number}", b"") for number in range(kept.parts)]
        state = b"".join(parts) if parts else bytes(kept.state)
        if state != _GONE:
            out[key] = state
    return out


def dead_letter(stage: Literal["detect", "correlate"], message: Stored, error: Exception, now: datetime) -> Message:
    """Return the record that keeps what could not be judged, whole, with the reason."""
    letter = DeadLetter(
        stage=stage,
        reason=f"{type(error).__name__}: {error}"[:500],
        time=now,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        value=message.value.decode("utf-8", "backslashreplace"),
    )
    return Message(message.key, letter.model_dump_json().encode())


def gone(stage: Literal["detect", "correlate"], topic: str, missing: Mapping[int, int], now: datetime) -> list[Message]:
    """Return the records that say how much left the stream before it was judged: loss is a number."""
    return [
        Message(
            "",
            DeadLetter(
                stage=stage,
                reason=f"{count} records left the stream before they were judged",
                time=now,
                topic=topic,
                partition=partition,
                value="",
            )
            .model_dump_json()
            .encode(),
        )
        for partition, count in missing.items()
    ]
