"""From rows to findings: each chain judged, with what is known of where it must begin and end. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pipeline.verify.anchors import Stated
from pipeline.verify.examine import Placed
from pipeline.verify.gather import ChainOf, Gathered, row_of
from pipeline.verify.judge import Anchor, Judgement, gaps, judge
from pipeline.verify.spool import Row
from rules.event import Fields, instant, rfc3339

OLD_ENOUGH = timedelta(minutes=15)  # after which what an anchor elsewhere states should have arrived

LookUp = Callable[[ChainOf, int, int], Iterable[tuple[Placed, Fields]]]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the archive."""

    kept: Mapping[str, date]  # class -> the first day of which all is kept
    since: datetime | None = None
    until: datetime | None = None
    witnessed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    # (writer, epoch) -> what the centre saw of each chain, where the index is not behind
    look_up: LookUp | None = None  # finds records of a chain by number, whatever their time


@dataclass(slots=True)
class Conclusion:
    """One chain of one epoch, judged."""

    chain: ChainOf
    judgement: Judgement
    notes: dict[int, str] = field(default_factory=dict)  # first number of a finding -> what is known of it


def conclude(gathered: Gathered, known: Known) -> Iterator[Conclusion]:
    """Yield each chain with what is wrong and what cannot be known. The spool must be sorted."""
    for writer, epoch in gathered.stated.chains():
        host = writer.rsplit("/", 3)[0]
        if gathered.host in (None, host):
            gathered.chain(Placed(host, writer, epoch, 0, 0, b"", ""))
    for chain in sorted(gathered.chains.values(), key=lambda one: (one.host, one.writer, one.epoch)):
        said = _in_time(gathered.stated.of(chain.writer, chain.epoch), known)
        yield _concluded(chain, list(said), gathered, known)


def _concluded(chain: ChainOf, said: Sequence[Stated], gathered: Gathered, known: Known) -> Conclusion:
    kept = known.kept.get(chain.kind, date.min)
    anchors = [_anchor(one, chain, gathered, known) for one in said]
    seen = known.witnessed.get((chain.writer, chain.epoch))
    if seen:
        anchors.append(Anchor(seen, "", "the centre, which saw it arrive,", sure=True))
    start = _start(chain, said, gathered, known, kept)
    found = judge(gathered.spool.of(chain.number), anchors, start=start, kept=kept.toordinal())
    if known.look_up is not None and any(True for _ in gaps(found)):
        more = _looked_up(chain, found, known.look_up)
        if more:
            rows = heapq.merge(gathered.spool.of(chain.number), more, key=lambda row: (row.number, row.worth))
            found = judge(rows, anchors, start=start, kept=kept.toordinal())
    return Conclusion(chain, found, dict(_notes(chain, found, gathered)))


def _in_time(said: Iterable[Stated], known: Known) -> Iterator[Stated]:
    until = None if known.until is None else rfc3339(known.until)
    return (one for one in said if until is None or one.time < until)


def _anchor(one: Stated, chain: ChainOf, gathered: Gathered, known: Known) -> Anchor:
    """All that an anchor states must have arrived if something that was sent after it did."""
    newer = gathered.newest.get(chain.lane, "") > one.time
    seen = known.witnessed.get((one.writer, one.epoch), 0) >= one.number
    first = one.source == "archive" and chain.name.split("/")[1:2] == ["first"]
    old = one.source == "file" and _before(one.time, gathered.now - OLD_ENOUGH)
    return Anchor(one.number, one.head, one.where, newer or seen or first or old)


def _start(chain: ChainOf, said: Sequence[Stated], gathered: Gathered, known: Known, kept: date) -> int:
    """Return the number from which on all must be there; 0 if none is known."""
    begun = gathered.begun.get((chain.writer.rsplit("/", 2)[0], chain.epoch), "")
    if _within(begun, known, kept):
        return 1
    return next((one.number + 1 for one in said if one.head and _within(one.time, known, kept)), 0)


def _within(time: str, known: Known, kept: date) -> bool:
    if not time or time[:10] <= kept.isoformat():
        return False
    return known.since is None or time >= rfc3339(known.since)


def _before(time: str, moment: datetime) -> bool:
    try:
        return instant(time) < moment
    except ValueError:
        return False


def _looked_up(chain: ChainOf, found: Judgement, look_up: LookUp) -> list[Row]:
    rows = [row_of(chain, *one) for first, last in gaps(found) for one in look_up(chain, first, last)]
    return sorted(rows, key=lambda row: (row.number, row.worth))


def _notes(chain: ChainOf, found: Judgement, gathered: Gathered) -> Iterator[tuple[int, str]]:
    """What came in the place of a missing record may be in the dead letters."""
    claimed = {
        n: name
        for (writer, epoch, n), name in gathered.claims.items()
        if (writer, epoch) == (chain.writer, chain.epoch)
    }
    for one in found.findings:
        if one.kind in ("missing", "cut"):
            names = [(n, name) for n, name in sorted(claimed.items()) if one.first <= n <= one.last]
            if names:
                n, name = names[0]
                yield one.first, f"number {n} came altered and was refused: tocsin deadletter show {name}"
