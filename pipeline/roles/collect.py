"""Collect: sources -> records -> events -> the journal. The journal's commit is the only one (law 2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from collectors.assemble import Host, assemble, parts
from collectors.environments import Environments
from collectors.own import is_gap, loss_event, own_event
from collectors.sources import Ending, Loss, Perishable, Record
from pipeline.chaining import Sealing
from pipeline.feeds import Counts, Feed
from pipeline.intake import PRIORITIES, Intake
from pipeline.pace import Pace
from pipeline.records import heartbeat
from pipeline.streams import StreamUnavailable
from rules.event import Value, rfc3339

_log = logging.getLogger(__name__)
_HEARTBEAT = timedelta(seconds=15)
_JUMP = timedelta(minutes=1)  # between two steps: no step takes as long
_BATCH = 2000
_TOLD_KEPT = 1000
_PATIENCE = timedelta(seconds=10)  # with a journal that takes nothing, before what cannot wait is dropped
_JOURNAL = "count:journal"  # where its own losses are counted
_NO_ROOM = {
    priority: f"sources of priority {priority} are not read: the journal is full until its readers are back; "
    "see `tocsin status` for who is behind, and raise the stream's limit if there is disk for it"
    for priority in PRIORITIES
}
_Rows = dict[str, list[tuple[str, bytes]]]  # priority -> (key, value)


class Collect:
    """Reads every feed in turn and journals what came; what the journal did not take is tried again first."""

    name = "collect"

    def __init__(
        self, feeds: Sequence[Feed], journal: Intake, host: Host, environments: Environments, sealing: Sealing
    ) -> None:
        self._feeds = sorted(feeds, key=lambda feed: PRIORITIES.index(feed.priority))  # a step begins with the first
        self._journal = journal
        self._host = host
        self._environments = environments
        for feed in feeds:
            feed.sessions.grave = environments.may_be_production
        self._sealing = sealing
        self._own: list[dict[str, Value]] = []  # events of this role itself, to go with the next records
        self._pending: tuple[_Rows, dict[str, str]] | None = None
        self._findings: Sequence[Loss] = ()  # of the journal itself, with the records that are pending
        self._lost_here = Counts()  # by the journal
        self._pace = Pace()
        self._left = _BATCH  # records that sources which can wait may still give in this step
        self._stepped = datetime.min.replace(tzinfo=UTC)
        self._refused: datetime | None = None  # since when the journal takes nothing
        self._opened = False
        self._told: set[str] = set()

    def step(self, now: datetime) -> bool:
        if not self._opened:
            self._open(now)
        self._heed_clock(now)
        if self._pending is None:
            self._pending = self._gather(now)
        rows, positions = self._pending
        if rows:
            try:
                self._journal.append(rows, positions)
            except StreamUnavailable:
                self._refused = self._refused or now
                if abs(now - self._refused) >= _PATIENCE:
                    self._skip(now, PRIORITIES)  # nothing is read now, and what they hold does not wait
                raise
            self._refused = None
            self._sealing.committed(now)
            self._journal.recorded(self._findings)
        self._pending = None
        return bool(rows)

    def close(self) -> None:
        for feed in self._feeds:
            feed.source.close()

    def ended(self) -> bool:
        """Say whether nothing more can come: every source has ended, and all that they held is journalled."""
        return (
            self._opened
            and self._pending is None
            and all(isinstance(one.source, Ending) and one.source.ended and not one.lanes for one in self._feeds)
        )

    def _open(self, now: datetime) -> None:
        saved = self._journal.positions()
        for feed in self._feeds:
            name = feed.source.name
            if f"count:{name}" in saved:
                feed.counts = msgspec.json.decode(saved[f"count:{name}"], type=Counts)
            if f"sessions:{name}" in saved:
                feed.sessions.restore(saved[f"sessions:{name}"])
            feed.source.open(saved.get(f"source:{name}"), now)
        if _JOURNAL in saved:
            self._lost_here = msgspec.json.decode(saved[_JOURNAL], type=Counts)
        self._own = self._sealing.open(saved, now)
        self._stepped = now
        self._opened = True

    def _heed_clock(self, now: datetime) -> None:
        """Tell of a clock that jumped: times of records, and what is awaited, are off by as much."""
        passed = now - self._stepped
        self._stepped = now
        if timedelta(0) <= passed < _JUMP:
            return
        message = (
            f"the clock went back by {-passed}: check time synchronisation (chronyc tracking, timedatectl)"
            if passed < timedelta(0)
            else f"nothing was read for {passed}: the clock was set ahead, or the machine slept"
        )
        self._tell([message])
        fields: dict[str, Value] = {"tocsin.clock.seconds": passed.total_seconds()}
        self._own.append(own_event("clock-jump", message, self._host, now, origin=rfc3339(now).encode(), fields=fields))

    def _gather(self, now: datetime) -> tuple[_Rows, dict[str, str]]:
        said = self._said(now)
        gathered: _Rows = {"first": said} if said else {}
        positions = {_JOURNAL: msgspec.json.encode(self._lost_here).decode()} if self._findings else {}
        for feed in self._readable(now):
            rows: list[tuple[str, bytes]] = []
            batch = feed.source.read(now, _BATCH)
            self._left -= 0 if feed.priority == "first" else len(batch.records)
            self._tell(batch.troubles)
            ends: dict[str, Record] = {}
            for record in feed.joined(batch.records, now):
                rows += [(self._host.id, event) for event in self._events(feed, record, now)]
                ends[record.lane] = record
                feed.counts.records += 1
                feed.counts.bytes += len(record.raw)
            beat = [*self._lost(feed, batch.losses, now), *self._beat(feed, batch.up_to, now)]
            rows += beat
            if rows:
                gathered.setdefault(feed.priority, []).extend(rows)
            if ends or beat:
                positions[f"source:{feed.source.name}"] = feed.source.position(list(ends.values()))
                positions[f"count:{feed.source.name}"] = msgspec.json.encode(feed.counts).decode()
            if ends and (sessions := feed.sessions.saved()) is not None:
                positions[f"sessions:{feed.source.name}"] = sessions
        return gathered, positions | self._sealing.positions()

    def _readable(self, now: datetime) -> Iterator[Feed]:
        """Yield the feeds that are to be read in this step, the first priority before all others.

        What there is no room for waits where it is; what cannot wait is dropped by its source, which counts it. The
        others share what is left of a step in turns, so that nobody's backlog holds up a log-in.
        """
        full = [priority for priority in PRIORITIES if not self._journal.room(priority)]
        self._told -= {text for priority, text in _NO_ROOM.items() if priority not in full}
        self._tell(_NO_ROOM[priority] for priority in full)
        self._skip(now, full)
        judged = self._journal.judged() if self._left < _BATCH else None  # at rest nobody is held
        held = judged is not None and self._pace.holds(*judged, now)
        self._left = 0 if held else _BATCH
        turn: list[Feed] = []
        for feed in self._feeds:
            if feed.priority in full:
                continue
            if feed.priority == "first" or self._left > 0 or isinstance(feed.source, Perishable):
                yield feed
                continue
            turn.append(feed)
        if turn and not held:  # begin with them next time
            self._feeds.sort(key=lambda feed: (feed.priority != "first", feed not in turn))

    def _skip(self, now: datetime, priorities: Sequence[str]) -> None:
        for feed in self._feeds:
            if feed.priority in priorities and isinstance(feed.source, Perishable):
                feed.source.skip(now)

    def _said(self, now: datetime) -> list[tuple[str, bytes]]:
        """Return the role's own events: how its chains begin, and now and then where they stand."""
        own, self._own = self._own, []
        anchor = self._sealing.anchor(now)
        self._findings = self._journal.findings()
        lost = self._gaps("journal", self._lost_here, self._findings, now)
        return [self._row("first", fields) for fields in [*own, *([anchor] if anchor else []), *lost]]

    def _lost(self, feed: Feed, losses: Sequence[Loss], now: datetime) -> list[tuple[str, bytes]]:
        gaps = self._gaps(feed.source.name, feed.counts, losses, now)
        return [self._row(feed.priority, fields) for fields in gaps]

    def _gaps(self, source: str, counts: Counts, losses: Sequence[Loss], now: datetime) -> list[dict[str, Value]]:
        """Count what is known to be gone, and return a record for each gap."""
        for loss in losses:
            said = "lost: %s" if is_gap(loss) else "%s"
            _log.warning(said, loss.reason, extra={"role": self.name})
            counts.lost += loss.records or 0
            counts.lost_bytes += loss.size_bytes or 0
            counts.gaps += is_gap(loss)
        return [loss_event(loss, source, self._host, now) for loss in losses]

    def _row(self, priority: str, fields: dict[str, Value]) -> tuple[str, bytes]:
        return self._host.id, self._sealing.seal(priority, fields)

    def _tell(self, troubles: Iterable[str]) -> None:
        """Log what cannot be read and what is lost, each once."""
        for trouble in troubles:
            if trouble not in self._told:
                if len(self._told) >= _TOLD_KEPT:  # texts may hold what strangers wrote
                    self._told.clear()
                self._told.add(trouble)
                _log.warning("%s", trouble, extra={"role": self.name})

    def _beat(self, feed: Feed, up_to: datetime | None, now: datetime) -> list[tuple[str, bytes]]:
        """Return "source S has been read up to T", now and then, when nothing of it is held back."""
        if up_to is None or feed.lanes or (feed.beat is not None and abs(now - feed.beat) < _HEARTBEAT):
            return []
        feed.beat = now
        feed.counts.up_to = rfc3339(up_to)
        return [self._row(feed.priority, heartbeat(self._host.id, feed.source.name, up_to))]

    def _events(self, feed: Feed, record: Record, now: datetime) -> Iterator[bytes]:
        text, parsed = feed.parse(record, now)
        fields = assemble(record, parsed, self._host, self._environments, now)
        fields["tocsin.source"] = feed.source.name
        for part in parts(fields, text):
            yield self._sealing.seal(feed.priority, part)
