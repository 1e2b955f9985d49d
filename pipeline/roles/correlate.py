"""Matches -> alerts, by the owner of the one partition of audit.matches. State lives in audit.state.

Written in this order: alerts, then the snapshot of what changed with the offset that it covers, then the commit. After
a crash the matches since the last snapshot are fed again, and give the same alerts with the same ids.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from pipeline.records import DeadLetter
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, MATCHES, STATE, Message, Stored, Stream, StreamUnavailable
from rules.alert import Alert
from rules.correlator import Correlator
from rules.match import Marker, decode
from rules.ruleset import RuleSet

GROUP = "correlate"
BATCH = 5_000
SNAPSHOT_EVERY = timedelta(seconds=1)
PARTITIONS_EVERY = timedelta(seconds=30)  # how often the number of partitions is asked for
_PREFIX = "correlate/"
_MANIFEST = "correlate/manifest"
_GONE = b"null"
_PATIENCE = 120  # empty half-second reads of the state before the stream counts as unreachable


class Manifest(msgspec.Struct):
    """Closes a snapshot: what stands before it in audit.state is whole, what stands after it is not."""

    epoch: int
    offset: int  # of audit.matches, to be read next
    markers: dict[int, datetime]


class Kept(msgspec.Struct):
    """One key's state; null: the key is gone."""

    state: msgspec.Raw


class Correlate:
    """One half of the detecting role; idle until it is given the partition."""

    def __init__(self, stream: Stream, ruleset: RuleSet, *, engine: str) -> None:
        self._stream = stream
        self._engine = engine
        self._ruleset = ruleset
        self._correlator: Correlator | None = None
        self._manifest = Manifest(0, 0, {})
        self._partitions: frozenset[int] = frozenset()
        self._asked: datetime | None = None
        self._snapped: datetime | None = None
        self._buried: list[str] = []
        self._committed = 0

    def reload(self, ruleset: RuleSet) -> None:
        """Go on with another rule set; rules that mean the same keep their state."""
        self._ruleset = ruleset
        if self._correlator is not None:
            self._correlator = self._correlator.reloaded(ruleset)

    def step(self, now: datetime) -> bool:
        batch = self._stream.read(MATCHES, GROUP, BATCH, 0)
        if 0 in batch.lost:
            self._correlator = None
        if 0 in batch.gained:
            self._restore()
            return True
        if self._correlator is None:
            return False
        alerts: list[Alert] = []
        refused: list[Message] = []
        for message in batch.messages:
            try:
                alerts += self._fed(self._correlator, message, now)
            except Exception as error:  # the top of the loop: the record goes to the dead letters, the stage goes on
                refused.append(dead_letter("correlate", message, error, now))
        if refused:
            self._stream.append(DEADLETTER, refused)
        if alerts:
            self._stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])
        if batch.messages:
            self._manifest.offset = batch.messages[-1].offset + 1
        self._keep(self._correlator, now)
        return bool(batch.messages)

    def _fed(self, correlator: Correlator, message: Stored, now: datetime) -> list[Alert]:
        record = decode(message.value)
        if isinstance(record, Marker):
            markers = self._manifest.markers
            markers[record.partition] = max(record.up_to, markers.get(record.partition, record.up_to))
        return correlator.feed(record, self._clock(now))

    def _clock(self, now: datetime) -> datetime | None:
        """The least marker; None while a partition has none."""
        if self._asked is None or now - self._asked >= PARTITIONS_EVERY:
            self._partitions = frozenset(self._stream.ends(EVENTS))
            self._asked = now
        markers = self._manifest.markers
        if not self._partitions <= markers.keys():
            return None
        return min((markers[partition] for partition in self._partitions), default=None)

    def _keep(self, correlator: Correlator, now: datetime) -> None:
        """Write what changed, at most once a second, and record how far that goes."""
        if self._manifest.offset == self._committed:
            return
        if self._snapped is not None and now - self._snapped < SNAPSHOT_EVERY:
            return
        self._snapped = now
        changed = correlator.changed()
        if changed or self._buried:
            self._snapshot(changed)
        self._stream.commit(MATCHES, GROUP, {0: self._manifest.offset})
        self._committed = self._manifest.offset

    def _snapshot(self, changed: dict[str, bytes]) -> None:
        self._manifest.epoch += 1
        messages = [Message(place, b"") for place in self._buried if place.removeprefix(_PREFIX) not in changed]
        for place, state in changed.items():
            messages.append(Message(_PREFIX + place, msgspec.json.encode(Kept(msgspec.Raw(state or _GONE)))))
        messages.append(Message(_MANIFEST, msgspec.json.encode(self._manifest)))
        self._stream.append(STATE, messages)
        # A key is emptied only once the snapshot that lets it go is whole.
        self._buried = [_PREFIX + place for place, state in changed.items() if not state]

    def _restore(self) -> None:
        self._correlator = Correlator(self._ruleset, self._engine)
        self._manifest, states, torn = self._states()
        self._correlator.restore(states)
        self._correlator.clock = min(self._manifest.markers.values(), default=None)
        self._snapped, self._asked, self._buried = None, None, []
        if torn:
            self._snapshot({place: states.get(place, b"") for place in torn})
        # The group's offset is beyond the manifest's where nothing changed since: a commit never precedes its snapshot.
        start = max(self._manifest.offset, self._stream.committed(MATCHES, GROUP).get(0, 0))
        self._manifest.offset = self._committed = start
        self._stream.seek(MATCHES, GROUP, {0: start})

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
                state = bytes(msgspec.json.decode(message.value, type=Kept).state) if message.value else _GONE
                pending[message.key.removeprefix(_PREFIX)] = b"" if state == _GONE else state
        return manifest, {place: state for place, state in states.items() if state}, frozenset(pending)

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
