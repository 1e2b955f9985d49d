"""Collect: sources -> records -> events -> the journal. The journal's commit is the only one (law 2)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from collectors.assemble import Environments, Host, assemble, parts
from collectors.journal import JournalError
from collectors.sources import Record
from pipeline.feeds import Counts, Feed
from pipeline.records import heartbeat
from pipeline.streams import EVENTS, StreamUnavailable
from rules.event import Value, rfc3339

_log = logging.getLogger(__name__)
_HEARTBEAT = timedelta(seconds=15)
_BATCH = 2000


class Positions(Protocol):
    """The journal, as far as this role needs it."""

    def append(
        self, topic: str, rows: Sequence[tuple[str, bytes]], positions: Mapping[str, str] | None = None
    ) -> int: ...
    def positions(self) -> dict[str, str]: ...


class Collect:
    """Reads every feed in turn and journals what came; what the journal did not take is tried again first."""

    name = "collect"

    def __init__(self, feeds: Sequence[Feed], journal: Positions, host: Host, environments: Environments) -> None:
        self._feeds = feeds
        self._journal = journal
        self._host = host
        self._environments = environments
        self._pending: tuple[list[tuple[str, bytes]], dict[str, str]] | None = None
        self._sequences: dict[str, int] = {}
        self._opened = False
        self._told: set[str] = set()

    def step(self, now: datetime) -> bool:
        if not self._opened:
            self._open(now)
        if self._pending is None:
            self._pending = self._gather(now)
        rows, positions = self._pending
        if rows:
            try:
                self._journal.append(EVENTS, rows, positions)
            except JournalError as error:
                raise StreamUnavailable(str(error)) from error
        self._pending = None
        return bool(rows)

    def close(self) -> None:
        for feed in self._feeds:
            feed.source.close()

    def _open(self, now: datetime) -> None:
        saved = self._journal.positions()
        for feed in self._feeds:
            name = feed.source.name
            if f"count:{name}" in saved:
                feed.counts = msgspec.json.decode(saved[f"count:{name}"], type=Counts)
            feed.source.open(saved.get(f"source:{name}"), now)
        self._sequences = {k.removeprefix("seq:"): int(v) for k, v in saved.items() if k.startswith("seq:")}
        self._opened = True

    def _gather(self, now: datetime) -> tuple[list[tuple[str, bytes]], dict[str, str]]:
        rows: list[tuple[str, bytes]] = []
        positions: dict[str, str] = {}
        for feed in self._feeds:
            batch = feed.source.read(now, _BATCH)
            self._tell(batch.troubles)
            ends: dict[str, Record] = {}
            for record in feed.joined(batch.records, now):
                rows += [(self._host.id, event) for event in self._events(feed, record, now)]
                ends[record.lane] = record
                feed.counts.records += 1
                feed.counts.bytes += len(record.raw)
            beat = self._beat(feed, batch.up_to, now)
            rows += beat
            if ends or beat:
                positions[f"source:{feed.source.name}"] = feed.source.position(list(ends.values()))
                positions[f"count:{feed.source.name}"] = msgspec.json.encode(feed.counts).decode()
        return rows, positions | {f"seq:{name}": str(n) for name, n in self._sequences.items()}

    def _tell(self, troubles: Iterable[str]) -> None:
        """Log what cannot be read and what is lost, each once."""
        for trouble in troubles:
            if trouble not in self._told:
                self._told.add(trouble)
                _log.warning("%s", trouble, extra={"role": self.name})

    def _beat(self, feed: Feed, up_to: datetime | None, now: datetime) -> list[tuple[str, bytes]]:
        """Return "source S has been read up to T", now and then, when nothing of it is held back."""
        if up_to is None or feed.lanes or (feed.beat is not None and now - feed.beat < _HEARTBEAT):
            return []
        feed.beat = now
        feed.counts.up_to = rfc3339(up_to)
        return [(self._host.id, msgspec.json.encode(heartbeat(self._host.id, feed.source.name, up_to)))]

    def _events(self, feed: Feed, record: Record, now: datetime) -> Iterator[bytes]:
        text, parsed = feed.parse(record, now)
        fields = assemble(record, parsed, self._host, self._environments, now)
        fields["tocsin.source"] = feed.source.name
        for part in parts(fields, text):
            yield msgspec.json.encode(part | self._chained(str(part["tocsin.class"])))

    def _chained(self, event_class: str) -> dict[str, Value]:
        """Number the event in its chain: one for each writer and class."""
        number = self._sequences.get(event_class, 0) + 1
        self._sequences[event_class] = number
        return {"event.sequence": number, "tocsin.writer": f"{self._host.id}/collect/{event_class}"}
