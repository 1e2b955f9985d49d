"""What was stored of alerts, events and incidents: in the index, and where that is behind, in the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from notifiers.entry import Entry
from pipeline.indexes import Index, Query
from pipeline.streams import ALERTS, Stream
from pipeline.streams.whole import own_group, whole
from rules.alert import Alert, Step
from rules.event import Event
from rules.predicate import And, Field, Keyword, Or, Predicate, Text

M = TypeVar("M", bound=BaseModel)
_AROUND: Final = timedelta(days=1)  # how far from an alert its events are looked for first
_MOST: Final = 10_000
_AT_ONCE: Final = 200  # ids asked for in one query
_STEPS: Final[tuple[Step, ...]] = ("fired", "updated", "settled", "resolved")  # told in this order at one moment


@dataclass(frozen=True, slots=True)
class Archive:
    """An index, as `tocsin explain` asks it."""

    index: Index

    def alerts(self, name: str) -> list[Alert]:
        """Return every transition of the alert of this id, or of the one that replaced it, in order of being told."""
        of_alert = Or((_is("tocsin.alert.id", name), _is("tocsin.alert.replaces", name), _is("event.id", name)))
        return self._alerts(And((_is("event.dataset", "tocsin.alert"), of_alert)), None)

    def alerts_of(self, event: Event) -> list[Alert]:
        """Return every transition of every alert to whose proof the event belongs."""
        names_it = And((_is("event.dataset", "tocsin.alert"), Keyword(Text((event.id,)))))
        found = self._alerts(names_it, event.time - _AROUND)
        return [alert for alert in found if event.id in alert.proof.events]

    def _alerts(self, predicate: Predicate, since: datetime | None) -> list[Alert]:
        hits = self.index.search(Query(predicate, since=since, limit=_MOST)).hits
        found = [(str(hit.fields.get("event.created")), alert) for hit in hits for alert in _read(Alert, hit)]
        found.sort(key=lambda one: (one[0], one[1].time, _STEPS.index(one[1].step)))
        return [alert for _, alert in found]

    def events(self, ids: Sequence[str], start: datetime, end: datetime) -> list[Event]:
        """Return the stored events of these ids, looked for around the times given and then everywhere."""
        found: dict[str, Event] = {}
        for since, until in ((start - _AROUND, end + _AROUND), (None, None)):
            wanted = [one for one in ids if one not in found]
            for at in range(0, len(wanted), _AT_ONCE):
                asked = Or(tuple(_is("event.id", one) for one in wanted[at : at + _AT_ONCE]))
                hits = self.index.search(Query(asked, since, until, limit=_MOST)).hits
                found.update((hit.id, hit) for hit in hits)
        return sorted(found.values(), key=lambda one: (one.time, one.id))

    def matching(self, predicate: Predicate, start: datetime, end: datetime) -> list[Event]:
        """Return what is stored of this between two moments, both included."""
        query = Query(predicate, start, end + timedelta(microseconds=1), limit=10 * _MOST)
        return list(self.index.search(query).hits)

    def event(self, name: str) -> Event | None:
        hits = self.index.search(Query(_is("event.id", name), limit=1)).hits
        return hits[0] if hits else None

    def entries(self, alerts: Sequence[str]) -> list[Entry]:
        """Return what the notifier wrote of these alerts and of their incidents, in order."""
        ours = _is("event.dataset", "tocsin.incident")
        steps = self._entries(And((ours, Or(tuple(_is("tocsin.alert.id", one) for one in alerts)))))
        names = {entry.transition.incident for entry in steps if entry.transition is not None}
        if not names:
            return []
        return self._entries(And((ours, Or(tuple(_is("tocsin.incident.id", one) for one in sorted(names))))))

    def _entries(self, predicate: Predicate) -> list[Entry]:
        hits = self.index.search(Query(predicate, limit=_MOST)).hits
        hits = sorted(hits, key=lambda hit: str(hit.fields.get("event.created")))
        return [entry for hit in hits for entry in _read(Entry, hit)]


def _read(kind: type[M], hit: Event) -> Iterator[M]:
    """Yield the record that a document of ours was made of; one that was tampered with beyond reading is none."""
    try:
        yield kind.model_validate_json(str(hit.fields.get("event.original")))
    except ValidationError:
        return


def _is(name: str, text: str) -> Predicate:
    return Field(name, Text((text,), cased=True))


def streamed(stream: Stream, wanted: Callable[[Alert], bool]) -> list[Alert]:
    """Return the alerts in the stream that are wanted, in order. Raises StreamUnavailable."""
    return [alert for alert in _all(stream) if wanted(alert)]


def _all(stream: Stream) -> Iterator[Alert]:
    for stored in whole(stream, ALERTS, own_group("explain")):
        try:
            yield Alert.model_validate_json(stored.value)
        except ValidationError:
            continue  # the dead letters hold it
