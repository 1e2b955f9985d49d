"""Feeds: a source with what is needed to understand it, and what became of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

import msgspec

from collectors.decode import Joiner
from collectors.formats import Context, Format, Parsed, ParseError
from collectors.framing import Frame
from collectors.redact import Redaction, redact
from collectors.sessions import Sessions
from collectors.sources import Record, Source

_HOLD = timedelta(milliseconds=100)  # for lines that may belong to the record: their writer writes them at once


class Counts(msgspec.Struct):
    """What became of one source's records, kept with its position. Bytes are those of the source."""

    records: int = 0
    bytes: int = 0
    unknown: int = 0  # no format understood them; they are events with their raw text all the same
    set_aside: int = 0
    lost: int = 0  # records that the source knows to be gone
    lost_bytes: int = 0
    gaps: int = 0  # how often something was lost, how much of it known or not
    samples: list[str] = []  # the last few that no format understood
    up_to: str = ""  # the source has been read up to this time


@dataclass(slots=True)
class Lane:
    """Lines that follow each other, and the one record of them that may go on."""

    joiner: Joiner
    since: datetime  # when the last line came
    lines: list[Record] = field(default_factory=list)

    def feed(self, line: Record, now: datetime) -> Iterator[Record]:
        """Yield the record that this line does not belong to, if it begins another."""
        self.since = now
        done = self.joiner.feed([Frame(line.raw, 0, 0)])
        yield from self._whole(done)
        self.lines.append(line)

    def flush(self) -> Iterator[Record]:
        """Yield the record that is held."""
        yield from self._whole(self.joiner.flush())

    def _whole(self, frames: Sequence[Frame]) -> Iterator[Record]:
        for frame in frames:
            first, last = self.lines[0], self.lines[-1]
            self.lines = []
            yield msgspec.structs.replace(first, raw=frame.raw, end=last.end)


@dataclass(slots=True)
class Feed:
    """One source with what is needed to understand it."""

    source: Source
    format: Format | None
    zone: tzinfo
    decode: Callable[[bytes], str]
    prefix: str | None = None
    priority: str = "normal"
    redact: Redaction = "none"
    counts: Counts = field(default_factory=Counts)
    lanes: dict[str, Lane] = field(default_factory=dict)  # those whose last record may go on
    beat: datetime | None = None
    sessions: Sessions = field(default_factory=Sessions)
    context: Context | None = None  # that of the records that were read in one look

    def joined(self, records: Iterable[Record], now: datetime) -> Iterator[Record]:
        """Yield whole records: lines of one lane that the format says belong together, joined."""
        if self.format is None or self.format.continues is None:
            yield from records
            return
        for record in records:
            if record.lane not in self.lanes:
                self.lanes[record.lane] = Lane(Joiner(self.format), now)
            yield from self.lanes[record.lane].feed(record, now)
        for name, lane in list(self.lanes.items()):
            if abs(now - lane.since) >= _HOLD:  # abs: the clock may go back
                del self.lanes[name]
                yield from lane.flush()

    def parse(self, record: Record, received: datetime) -> tuple[str, Parsed]:
        """Return the record's text and what its format understood; what none understands keeps its text. Both are
        without what is not to be kept: nothing behind this sees it."""
        text = self.decode(record.raw)
        if record.whole or self.format is None:
            return text, Parsed(record.time, {})
        if self.context is None or self.context.received is not received:
            self.context = Context(received, self.zone, prefix=self.prefix)
        try:
            parsed = self.format.parse(text, self.context)
        except ParseError as error:
            nobody = Parsed(None, {"message": text, "tocsin.parse_error": str(error)})
        else:
            if "db.system.name" in parsed.fields:
                self.sessions.join(str(record.fields.get("log.file.path") or record.lane), parsed)
            return redact(self.redact, text, parsed)
        text, nobody = redact(self.redact, text, nobody)
        self.counts.unknown += 1
        self.counts.samples = [*self.counts.samples[-2:], text[:200]]
        return text, nobody
