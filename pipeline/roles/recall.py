"""Recall: what an alert's actor did before, asked of the index in a thread of its own. Nobody waits for it.

Paging does not wait for the index (law 8): a question is dropped if the index is still at another one when its time
is over, and the page then says that this is not known.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from typing import Final

from notifiers.escape import line
from notifiers.render import Said
from notifiers.view import clock, text_of
from pipeline.archive import Archive
from pipeline.indexes import Index, Query
from rules.alert import Alert
from rules.event import Event, Value
from rules.predicate import And, Field, Not, Or, Predicate, Text

BEFORE: Final = timedelta(minutes=30)
_HITS: Final = 200
_LINES: Final = 8
_STATEMENTS: Final = 6  # events of one alert that are shown side by side
_REMEMBERED: Final = 500
_log = logging.getLogger("tocsin")


class Recall:
    """A Recollection over an index that is opened, and asked, in its own thread."""

    def __init__(self, open_index: Callable[[], Index]) -> None:
        self._open = open_index
        self._questions: SimpleQueue[Alert | None] = SimpleQueue()
        self._answers: dict[str, Said] = {}
        threading.Thread(target=self._work, name="recall", daemon=True).start()

    def ask(self, alert: Alert) -> None:
        self._questions.put(alert)

    def answer(self, alert_id: str) -> Said | None:
        return self._answers.get(alert_id)

    def close(self) -> None:
        self._questions.put(None)

    def _work(self) -> None:
        index: Index | None = None
        while (alert := self._questions.get()) is not None:
            if self._questions.qsize() > _LINES:
                continue  # it is behind: this page has long gone
            try:
                index = index or self._open()
                self._answers[alert.id] = recollected(index, alert)
            except Exception as error:  # whatever is wrong with the index, pages go out without it
                _log.warning("not asked what came before: %s", error, extra={"role": "notify"})
                with suppress(Exception):
                    if index is not None:
                        index.close()
                index = None
            while len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
        if index is not None:
            index.close()


def recollected(index: Index, alert: Alert) -> Said:
    """Return what the actor did in the time before the alert, and the alert's own events where there are several."""
    own = set(alert.proof.events)
    actor = _actor(alert)
    recent: tuple[str, ...] | None = None
    if actor is not None:
        query = Query(actor, since=alert.time - BEFORE, until=alert.time + timedelta(microseconds=1), limit=_HITS)
        found = index.search(query)
        others = [hit for hit in found.hits if hit.id not in own]
        recent = tuple(_told(others, more=found.more))
    return Said(recent=recent, statements=tuple(_statements(index, alert)))


def _actor(alert: Alert) -> Predicate | None:
    """Return what finds the same actor: the address, or the user on that host (root is somebody else on each)."""
    source, user, host = (alert.fields.get(name) for name in ("source.ip", "user.name", "host.id"))
    ways: list[Predicate] = []
    if source:
        ways.append(_is("source.ip", source))
    if user and host:
        ways.append(And((_is("user.name", user), _is("host.id", host))))
    elif user:
        ways.append(_is("user.name", user))
    if not ways:
        return None
    return And((Or(tuple(ways)), Not(_is("tocsin.class", "tocsin")), Not(_is("tocsin.class", "metrics"))))


def _is(name: str, value: Value) -> Predicate:
    return Field(name, Text((str(value),)))


def _told(events: Sequence[Event], *, more: bool) -> Iterator[str]:
    """Yield one line for each thing done, the latest first, how often, and how many more there were."""
    counts: dict[str, int] = {}
    latest: dict[str, Event] = {}
    for event in events:
        text = _what(event)
        counts[text] = counts.get(text, 0) + 1
        latest.setdefault(text, event)
    for text in list(counts)[:_LINES]:
        times = f" (x{counts[text]})" if counts[text] > 1 else ""
        yield f"{clock(latest[text].time)}  {text}{times}"
    if more or len(counts) > _LINES:
        yield f"and more: {len(events)}{' or more' if more else ''} events in all"


def _what(event: Event) -> str:
    fields = event.fields
    what = fields.get("db.query.text") or fields.get("process.command_line") or ""
    named = [fields.get(name) for name in ("event.action", "event.outcome")]
    where = text_of(fields.get("db.namespace") or fields.get("host.name") or "")
    parts = [*(str(one) for one in named if one), f"on {where}" if where else "", line(str(what), 120)]
    return " ".join(part for part in parts if part) or line(str(fields.get("message") or "an event"), 120)


def _statements(index: Index, alert: Alert) -> Iterator[str]:
    """Yield the events of an alert that a few of them made together: two statements stand side by side."""
    if not 2 <= len(alert.proof.events) <= _STATEMENTS:
        return
    since = alert.proof.window_start or alert.since
    found = Archive(index).events(alert.proof.events, since, alert.proof.window_end or alert.time)
    last = str(alert.fields.get("event.id"))
    if last in alert.proof.events and all(event.id != last for event in found):
        found.append(Event(last, alert.time, alert.fields))  # too new for the index; the alert carries it
    for event in found:
        named = str(event.fields.get("service.environment") or "environment unknown")
        where = text_of(event.fields.get("db.namespace") or event.fields.get("host.name") or "")
        said = event.fields.get("db.query.text") or event.fields.get("event.original") or event.fields.get("message")
        yield f"{clock(event.time)}  [{named}] {where}: {line(str(said or ''), 250)}"
