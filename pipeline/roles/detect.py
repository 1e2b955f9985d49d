"""The detecting role: events against rules, and, for whoever owns the one partition of matches, alerts out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from pipeline.records import Command, tick
from pipeline.roles.correlate import Correlate, dead_letter, gone
from pipeline.roles.heartbeats import there
from pipeline.roles.live import CREATED, LiveRules
from pipeline.roles.outbox import Outbox
from pipeline.roles.witnessing import Witnessing, refused_letter
from pipeline.streams import (
    COMMANDS,
    DEADLETTER,
    EVENTS,
    MATCHES,
    STATE,
    Batch,
    Message,
    Stored,
    Stream,
    StreamUnavailable,
)
from pipeline.witness import WITNESSED
from rules.event import Event, Fields, instant
from rules.groups import gravest_first, silent
from rules.lists import Used, fixed
from rules.match import Marker, Match, Record, Verdict, encode, shown
from rules.matcher import Hit, Matcher, key_values
from rules.ruleset import RuleSet

GROUP = "detect"
BATCH = 2_000
WAIT_SECONDS = 0.5  # how long an idle round waits for events
SHARED_WAIT_SECONDS = 0.05  # where other workers' matches are waited for, too
_TICK = b'"tocsin.record":"tick"'
SECOND = timedelta(seconds=1)
VERDICTS_KEPT = 200_000
_ALSO = (*WITNESSED, CREATED)
_NONE: Mapping[str, Used] = {}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rule set to judge by from now on, and what is to be published of it."""

    ruleset: RuleSet
    command: Command | None = None


def _unchanged(_now: datetime) -> Loaded | None:
    return None


class Detect:
    """A Role. Matching keeps nothing but the last verdicts; correlating is Correlate's.

    `renewed` is asked before each round whether there is another rule set. What the witness refuses is not judged.
    `key` is what commands are signed with: it is asked for where a rule reads a list that commands change.
    """

    name = "detect"

    def __init__(
        self,
        stream: Stream,
        ruleset: RuleSet,
        *,
        engine: str,
        renewed: Callable[[datetime], Loaded | None] = _unchanged,
        witness: Witnessing | None = None,
        key: Callable[[], bytes] = bytes,
    ) -> None:
        self._stream = stream
        self._renewed = renewed
        self._witness = witness
        self._live = LiveRules(stream, key, _ALSO)
        self._equip(ruleset)
        self._correlate = Correlate(stream, ruleset, engine=engine)
        self._partitions: dict[int, _Partition] = {}
        self._verdicts: dict[tuple[str, str], str] = {}
        self._outbox = Outbox(stream)
        self.lost = 0  # events gone from the stream before they were judged

    def step(self, now: datetime) -> bool:
        self._renew(now)
        matched = self._match(now)
        self._tick(now)
        return self._correlate.step(now) or matched

    def reload(self, ruleset: RuleSet) -> None:
        """Judge by another rule set from the next event on; rules that mean the same keep their state."""
        self._equip(ruleset)
        self._verdicts.clear()
        self._correlate.reload(ruleset)

    def _equip(self, ruleset: RuleSet) -> None:
        self._ruleset = ruleset
        self._live.equip(ruleset)
        self._matcher = Matcher(fixed(ruleset), _ALSO if self._live else WITNESSED)
        self._feeding = silent(ruleset)
        self._said = self._matcher.wanted(WITNESSED)
        self._created = self._matcher.wanted((CREATED, "tocsin.record")) if self._live else None

    def close(self) -> None:
        """The stream is the caller's."""

    def _renew(self, now: datetime) -> None:
        loaded = self._renewed(now)
        if loaded is None:
            return
        if loaded.ruleset is not self._ruleset:
            self.reload(loaded.ruleset)
        if loaded.command is not None:
            value = loaded.command.model_dump_json().encode()
            self._outbox.append(COMMANDS, [Message(loaded.command.person, value)])

    def _match(self, now: datetime) -> bool:
        if self._live:
            self._outbox.append(STATE, self._live.open(now))
        batch = self._read()
        moved = self._own(batch, now)
        missing = {place: count for place, count in self._unjudged(batch).items() if count}
        self.lost += sum(missing.values())
        self._outbox.append(DEADLETTER, gone("detect", EVENTS, missing, now))
        self._flush_before(batch)
        messages = [one for one in batch.messages if one.partition not in moved and not self._recalled(one)]
        if messages:
            self._judge(messages, now)
        self._testify(now)
        self._outbox.commit(EVENTS, GROUP, {one.partition: one.offset + 1 for one in messages})
        self._flush()
        return bool(batch.messages)

    def _flush(self) -> None:
        """Write what is due. Raises StreamUnavailable, and keeps the rest."""
        self._outbox.flush()
        if self._witness is not None:
            self._witness.delivered()

    def _read(self) -> Batch:
        """Read even while something is still to be written: it may be another's by now, and a commit of it refused."""
        if self._outbox.due:
            return self._stream.read(EVENTS, GROUP, BATCH, 0)
        shared = self._correlate.hears_others(self._partitions.keys())
        return self._stream.read(EVENTS, GROUP, BATCH, SHARED_WAIT_SECONDS if shared else WAIT_SECONDS)

    def _flush_before(self, batch: Batch) -> None:
        """Write what is due; if it cannot be, what was read is read again. Raises StreamUnavailable."""
        self._outbox.release(EVENTS, batch.lost)
        try:
            self._outbox.flush()
        except StreamUnavailable:
            if batch.messages:
                first = {one.partition: one.offset for one in reversed(batch.messages)}
                self._stream.seek(EVENTS, GROUP, first)
            raise

    def _own(self, batch: Batch, now: datetime) -> Set[int]:
        """Take and leave partitions; return those that are read on from elsewhere, where the witness stood."""
        if not (batch.gained or batch.lost):
            return frozenset()
        self._verdicts.clear()
        for partition in batch.lost:
            self._partitions.pop(partition, None)
        for partition in batch.gained:
            self._partitions[partition] = _Partition(now)
        if self._witness is None:
            return frozenset()
        self._witness.lost(batch.lost)
        offsets = self._witness.gained(batch.gained)
        if offsets:
            judged = self._stream.committed(EVENTS, GROUP)
            for partition, offset in offsets.items():
                self._partitions[partition].again = (offset, max(offset, judged.get(partition, 0)))
            self._stream.seek(EVENTS, GROUP, offsets)
        return offsets.keys()

    def _unjudged(self, batch: Batch) -> Mapping[int, int]:
        """Return how much left the stream before it was judged; what was only to be recalled does not count."""
        out = dict(batch.missing)
        for partition in out.keys() & self._partitions.keys():
            start, judged = self._partitions[partition].again
            out[partition] = max(0, out[partition] - (judged - start))
            self._partitions[partition].again = (judged, judged)
        return out

    def _recalled(self, message: Stored) -> bool:
        """Whether the record was judged before, and only the witness had to see it again."""
        state = self._partitions.get(message.partition)
        if self._witness is None or state is None or message.offset >= state.again[1]:
            return False
        with suppress(Exception):  # what is wrong with it was told when it was judged
            self._witness.recall(message, self._said(self._matcher.read(message.value)))
        return True

    def _judge(self, messages: Sequence[Stored], now: datetime) -> None:
        records: list[Record] = []
        refused: list[Message] = []
        taken: list[tuple[object, Stored]] = []
        live = bool(self._live)
        for message in messages:
            try:
                event = self._admitted(message, refused, now)
                if event is None:
                    continue
                hits, fields = self._matcher.match_read(event, message.value)
                if hits:
                    records += self._told(gravest_first(hits, self._feeding), fields, message)
                if live:
                    taken.append((event, message))
            except Exception as error:  # the top of the loop: the record goes to the dead letters, the stage goes on
                refused.append(dead_letter("detect", message, error, now))
        if taken:
            records = self._judge_live(taken, records, refused, now)
        records += self._markers(messages, now, always=bool(records))
        self._outbox.append(DEADLETTER, refused)
        self._outbox.append(MATCHES, [Message("", encode(record)) for record in records])

    def _judge_live(
        self, taken: Sequence[tuple[object, Stored]], records: list[Record], refused: list[Message], now: datetime
    ) -> list[Record]:
        """Judge by the rules that wait for audit.commands; what the others found waits for nobody."""
        if not self._live.caught_up(now, patient=False):
            self._outbox.append(MATCHES, [Message("", encode(record)) for record in records])
            with suppress(StreamUnavailable):  # then it goes with the rest of the batch
                self._outbox.flush()
            records = []
            self._live.caught_up(now, patient=True)
        self._outbox.append(STATE, self._live.unsaved())
        assert self._created is not None
        for event, message in taken:
            try:
                for hits, fields, lists in self._live.hits(event, self._created(event)[0], message):
                    records += self._told(hits, fields, message, lists)
            except Exception as error:  # as above
                refused.append(dead_letter("detect", message, error, now))
        return records

    def _testify(self, now: datetime) -> None:
        """Write what the witness found, then how far it saw."""
        if self._witness is not None:
            self._outbox.append(EVENTS, self._witness.told(now))
            self._outbox.append(STATE, self._witness.snapshot(now))

    def _admitted(self, message: Stored, refused: list[Message], now: datetime) -> object | None:
        """Return the record, decoded as far as all need it, or None where the witness refuses it."""
        event = self._matcher.read(message.value)
        if self._witness is not None:
            doubt = self._witness.refusal(message, self._said(event))
            if doubt is not None:
                refused.append(refused_letter(message, doubt, now))
                return None
        return event

    def _told(
        self, hits: Sequence[Hit], fields: Fields, message: Stored, lists: Mapping[str, Used] = _NONE
    ) -> Sequence[Record]:
        if fields.get("tocsin.record", "event") != "event":
            return list(there(hits, fields, message, self._verdicts))
        event = Event(str(fields["event.id"]), instant(str(fields["@timestamp"])), fields)
        found = [self._record(hit, event, message) for hit in hits]
        return [replace(one, lists=dict(lists)) if lists else one for one in found if one is not None]

    def _record(self, hit: Hit, event: Event, message: Stored) -> Record | None:
        about, alerting = hit.rule.about, hit.rule.alerting
        received = event.fields.get("event.created")
        seen = instant(received) if isinstance(received, str) else event.time
        old = event.fields.get("tocsin.backlog") is True
        if hit.state is None:
            return Match(about.id, about.meaning, event.id, event.time, message.time, seen, shown(event), old)
        key = key_values(alerting.key, event.fields)
        place = (about.id, msgspec.json.encode(key).decode())
        if hit.state != "there" and self._verdicts.get(place) == hit.state:
            return None
        if len(self._verdicts) >= VERDICTS_KEPT:
            self._verdicts.clear()
        self._verdicts[place] = hit.state
        return Verdict(
            about.id, about.meaning, hit.state, key, event.id, event.time, message.time, seen, shown(event), old
        )

    def _markers(self, messages: Sequence[Stored], now: datetime, *, always: bool) -> list[Record]:
        """One marker a partition and second, or with any match: "judged up to"."""
        out: list[Record] = []
        for partition, last in {one.partition: one for one in messages}.items():
            state = self._partitions.setdefault(partition, _Partition(now))
            state.key = last.key or state.key
            if _TICK not in last.value[:200]:
                state.heard = now
            if always or state.marked is None or last.time - state.marked >= SECOND:
                state.marked = last.time
                out.append(Marker(partition, last.time))
        return out

    def _tick(self, now: datetime) -> None:
        """Say that time passed on each owned partition that was idle for a second."""
        idle = [(partition, state) for partition, state in self._partitions.items() if now - state.heard >= SECOND]
        if idle:
            self._stream.append(EVENTS, [Message(state.next_key(partition), tick(now)) for partition, state in idle])
        for _, state in idle:
            state.heard = now


class _Partition:
    """What is known of a partition that this worker owns."""

    def __init__(self, now: datetime) -> None:
        self.heard = now
        self.marked: datetime | None = None
        self.again = (0, 0)  # from the first offset to before the second, records are only recalled
        self.key = ""  # a key that leads to this partition, once one was seen
        self._tried = 0

    def next_key(self, partition: int) -> str:
        """A key chooses the partition, so where none was seen yet, keys are tried until one comes back."""
        if self.key:
            return self.key
        self._tried += 1
        return f"tick-{partition}-{self._tried}"
