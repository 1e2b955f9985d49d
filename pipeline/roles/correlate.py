"""Matches -> alerts, by the owner of the one partition of audit.matches. State lives in audit.state.

Written in this order: alerts, then the snapshot of what changed with the offset that it covers, then the commit. After
a crash the matches since the last snapshot are fed again, and give the same alerts with the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Literal

from pipeline.records import DeadLetter
from pipeline.roles.outbox import Outbox
from pipeline.roles.snapshots import Manifest, Snapshots
from pipeline.streams import ALERTS, DEADLETTER, EVENTS, MATCHES, STATE, Message, Stored, Stream
from rules.alert import Alert
from rules.correlator import Correlator
from rules.match import Marker, decode
from rules.ruleset import RuleSet

GROUP = "correlate"
BATCH = 5_000
SNAPSHOT_EVERY = timedelta(seconds=1)
BYTES_A_SECOND = 1_000_000  # more than that of changed state is written less often
PARTITIONS_EVERY = timedelta(seconds=30)  # how often the number of partitions is asked for
EVICTED_EVERY = timedelta(minutes=1)
_EVICTED = "{} keys of {!r} were let go before their time: there was no room for all (docs/limits.md)"
_AHEAD = 4 * BATCH  # matches read while what was decided before is still to be written


class Correlate:
    """One half of the detecting role; idle until it is given the partition."""

    def __init__(self, stream: Stream, ruleset: RuleSet, *, engine: str) -> None:
        self._stream = stream
        self._engine = engine
        self._ruleset = ruleset
        self._outbox = Outbox(stream)
        self._snapshots = Snapshots(stream)
        self._correlator: Correlator | None = None
        self._owner = False
        self._ahead: list[Stored] = []  # read, and not yet fed
        self._missing: dict[int, int] = {}
        self._manifest = Manifest(0, 0, {})
        self._partitions: frozenset[int] = frozenset()
        self._asked: datetime | None = None
        self._rests_until: datetime | None = None
        self._committed = 0
        self._counted: datetime | None = None

    def reload(self, ruleset: RuleSet) -> None:
        """Go on with another rule set; rules that mean the same keep their state."""
        self._ruleset = ruleset
        if self._correlator is not None:
            self._correlator = self._correlator.reloaded(ruleset)

    def hears_others(self, mine: Set[int]) -> bool:
        """Whether matches of partitions that are not `mine` are correlated here."""
        return self._owner and bool(self._partitions - mine)

    def step(self, now: datetime) -> bool:
        if self._asked is None or now - self._asked >= PARTITIONS_EVERY:
            self._partitions = frozenset(self._stream.ends(EVENTS))
            self._asked = now
        self._read_ahead()
        self._outbox.flush()
        if self._correlator is None:
            if self._owner:  # restoring may fail, and is then tried again
                self._correlator = self._restored()
            return self._owner
        messages, self._ahead = self._ahead, []
        missing, self._missing = self._missing, {}
        self._feed(self._correlator, messages, missing, now)
        if self._outbox.due:
            self._read_ahead()
            self._outbox.flush()
        return bool(messages)

    def _read_ahead(self) -> None:
        """Read, which tells whose the partition is: what an owner decided is written only while it still is one."""
        if len(self._ahead) >= _AHEAD:
            return
        batch = self._stream.read(MATCHES, GROUP, BATCH, 0)
        if 0 in batch.lost or 0 in batch.gained:
            self._owner = 0 in batch.gained
            self._correlator = None
            self._outbox.clear()  # another decides it again, from the last snapshot on
            self._ahead, self._missing = [], {}
        self._ahead += batch.messages
        for partition, count in batch.missing.items():
            self._missing[partition] = self._missing.get(partition, 0) + count

    def _feed(
        self, correlator: Correlator, messages: Sequence[Stored], missing: Mapping[int, int], now: datetime
    ) -> None:
        alerts: list[Alert] = []
        refused: list[Message] = []
        for message in messages:
            try:
                alerts += self._fed(correlator, message)
            except Exception as error:  # the top of the loop: the record goes to the dead letters, the stage goes on
                refused.append(dead_letter("correlate", message, error, now))
        refused += gone("correlate", MATCHES, missing, now) + self._let_go(correlator, now)
        self._outbox.append(DEADLETTER, refused)
        self._outbox.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])
        if messages:
            self._manifest.offset = messages[-1].offset + 1
        self._keep(correlator, now)

    def _let_go(self, correlator: Correlator, now: datetime) -> list[Message]:
        """Tell how many keys there was no room for, once a minute: somebody may have filled it on purpose."""
        if self._counted is not None and now - self._counted < EVICTED_EVERY:
            return []
        self._counted = now
        return [
            _count(_EVICTED.format(count, title), MATCHES, None, now) for title, count in correlator.let_go().items()
        ]

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
        if changed or self._snapshots.due:
            self._snapshot(changed)
        size = sum(map(len, changed.values()))
        self._rests_until = now + max(SNAPSHOT_EVERY, timedelta(seconds=size / BYTES_A_SECOND))
        self._outbox.commit(MATCHES, GROUP, {0: self._manifest.offset})
        self._committed = self._manifest.offset

    def _snapshot(self, changed: dict[str, bytes]) -> None:
        self._manifest.epoch += 1
        self._outbox.append(STATE, self._snapshots.messages(self._manifest, changed))

    def _restored(self) -> Correlator:
        self._manifest, states = self._snapshots.restored()
        correlator = Correlator(self._ruleset, self._engine, min(self._manifest.markers.values(), default=None))
        correlator.restore(states)
        self._rests_until = None
        if states or self._snapshots.due:
            self._snapshot(states)
        # The group's offset is beyond the manifest's where nothing changed since: a commit never precedes its snapshot.
        start = max(self._manifest.offset, self._stream.committed(MATCHES, GROUP).get(0, 0))
        self._manifest.offset = self._committed = start
        self._stream.seek(MATCHES, GROUP, {0: start})
        self._ahead, self._missing = [], {}
        return correlator


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
        _count(f"{count} records left the stream before they were judged", topic, partition, now, stage)
        for partition, count in missing.items()
    ]


def _count(
    reason: str,
    topic: str,
    partition: int | None,
    now: datetime,
    stage: Literal["detect", "correlate"] = "correlate",
) -> Message:
    letter = DeadLetter(stage=stage, reason=reason, time=now, topic=topic, partition=partition, value="")
    return Message("", letter.model_dump_json().encode())
