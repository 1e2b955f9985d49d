"""What verification reads beside the index: dead letters, what the centre saw, anchors in a file, how long is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

import msgspec
from pydantic import ValidationError

from pipeline import state, watched
from pipeline.adapters import limit_bytes_of
from pipeline.enrolled import Enrolled, EnrolmentFault
from pipeline.enrolling import escrow
from pipeline.indexes import Index, Query, Retained
from pipeline.indexes.retention import first_kept
from pipeline.records import DeadLetter, fields_of
from pipeline.roles.witnessing import PREFIX, kept
from pipeline.seals import Seals
from pipeline.settings import Config
from pipeline.streams import DEADLETTER, EVENTS, Stored, Stream
from pipeline.streams.whole import own_group, whole
from pipeline.verify.anchors import Stated, parsed
from pipeline.verify.conclude import LookUp
from pipeline.verify.examine import Placed, examine
from pipeline.verify.gather import ChainOf, Gathered
from rules.event import CLASSES, Fields
from rules.predicate import And, Compare, Field, Text

_WAITING_MOST = 500_000  # records that the index has still to take, of which we look for the numbers
_LOOK_UPS = 10_000  # records of one gap that are looked for outside of the bounds
_FULL = 0.8  # of the index's limit: beyond it, days may have gone before their time


def letters(stream: Stream) -> Iterator[tuple[str, DeadLetter]]:
    """Yield every dead letter with its name, `<partition>-<offset>`. Raises StreamUnavailable."""
    for message in whole(stream, DEADLETTER, own_group("deadletters")):
        try:
            yield f"{message.partition}-{message.offset}", DeadLetter.model_validate_json(message.value)
        except ValidationError:
            continue


def names(config: Config, faults: list[str]) -> dict[str, str]:
    """Return the names of the hosts that are enrolled; a damaged enrolment is said."""
    enrolled = Enrolled.of(escrow(config))
    out: dict[str, str] = {}
    for host in enrolled.ids():
        try:
            found = enrolled.get(host)
        except EnrolmentFault as fault:
            faults.append(str(fault))
            continue
        if found is not None:
            out[host] = found.name
    if not out:
        faults.append(
            f"nobody is enrolled in {escrow(config)}: no seal can be checked; name the folder as chain.enrolled"
        )
    return out


def take_letters(stream: Stream, gathered: Gathered) -> None:
    """Take every dead letter of an event. Raises StreamUnavailable."""
    for name, letter in letters(stream):
        if letter.topic == EVENTS and letter.stage in ("index", "detect") and letter.value:
            gathered.letter(letter, name)


def witnessed(stream: Stream, faults: list[str]) -> dict[tuple[str, str], int]:
    """Return how far the centre saw each chain that the index has been given. Raises StreamUnavailable."""
    out: dict[tuple[str, str], int] = {}
    for message in kept(stream, own_group("verify")):
        if message.value and "/" in message.key.removeprefix(PREFIX):
            out |= _chains(message)
    waiting = _waiting(stream)  # read after the witness's numbers: nothing that it saw is beyond
    if waiting is None:
        faults.append("the index is too far behind: a tail that was cut shows by an anchor only; call again later")
        return {}
    return {chain: min(number, waiting.get(chain, number + 1) - 1) for chain, number in out.items()}


def _waiting(stream: Stream) -> dict[tuple[str, str], int] | None:
    """Return the first number of each chain that the index has still to take; None if that is too much to read."""
    committed, ends = stream.committed(EVENTS, "index"), stream.ends(EVENTS)
    at = {partition: committed.get(partition, 0) for partition in ends}
    out: dict[tuple[str, str], int] = {}
    if sum(end - at[partition] for partition, end in ends.items()) > _WAITING_MOST:
        return None
    for message in whole(stream, EVENTS, own_group("waiting"), at):
        fields = fields_of(message.value) or {}
        writer, epoch, number = map(fields.get, ("tocsin.writer", "tocsin.chain.epoch", "event.sequence"))
        if isinstance(writer, str) and isinstance(epoch, str) and type(number) is int:
            out[writer, epoch] = min(number, out.get((writer, epoch), number))
    return out


def _chains(message: Stored) -> dict[tuple[str, str], int]:
    try:
        host = watched.restored(message.value)
    except msgspec.MsgspecError:
        return {}
    return {
        (writer, one.epoch): one.last
        for writer, chain in host.chains.items()
        if not writer.endswith("/heartbeat")
        for one in (chain, *chain.closed)
    }


class _Line(msgspec.Struct):
    time: str
    writer: str
    heads: list[str]


def in_file(path: Path) -> tuple[list[Stated], list[str]]:
    """Return the heads that a file of anchors states, and what is wrong with it."""
    found: list[Stated] = []
    faults: list[str] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        return [], [f"chain.anchor_file {path}: {error.strerror}; without it a tail that was cut may not show"]
    for number, text in enumerate(lines, 1):
        try:
            said = msgspec.json.decode(text, type=_Line)
        except msgspec.MsgspecError:
            faults.append(f"{path}:{number}: no anchor; it is left out")
            continue
        found += parsed(said.heads, said.writer, said.time, f"{path.name}:{number}", "file")
    return found, faults


def kept_from(config: Config, index: Index, now: datetime) -> Mapping[str, date]:
    """Return, for each class, the last day that may have gone because its time was over."""
    keep = config.index.keep
    out: dict[str, date] = {name: first_kept(getattr(keep, name) or keep.default, now) for name in CLASSES}
    if config.index.kind == "sqlite" and isinstance(index, Retained):
        days = index.days()
        if sum(size for _, _, size in days) > _FULL * limit_bytes_of(config.index.limit, state.folder(config)):
            for name in CLASSES:
                oldest = min((day for one, day, _ in days if one == name), default=date.min)
                out[name] = max(out[name], oldest)
    return out


def looking_up(index: Index, seals: Seals, now: datetime) -> LookUp:
    """Return what finds records of a chain by number, whatever their time."""

    def look_up(chain: ChainOf, first: int, last: int) -> Iterator[tuple[Placed, Fields]]:
        asked = And(
            (
                Field("tocsin.writer", Text((chain.writer,), cased=True)),
                Field("tocsin.chain.epoch", Text((chain.epoch,), cased=True)),
                Field("event.sequence", Compare("gte", first)),
                Field("event.sequence", Compare("lte", last)),
            )
        )
        for hit in index.search(Query(asked, limit=min(last - first + 1, _LOOK_UPS))).hits:
            found = examine(hit.fields, hit.id, seals, now)
            if isinstance(found, Placed):
                yield found, hit.fields

    return look_up
