"""Logbook: the notifier's writing of `audit.incidents`, and of intents while that is out of reach."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from notifiers.incident import Entry
from pipeline.roles.intents import Intents
from pipeline.streams import INCIDENTS, Message, Stream, StreamUnavailable

_log = logging.getLogger(__name__)


class Logbook:
    """Writes in order, to the log or, while that is away, to the intents, which are merged when it is back."""

    def __init__(self, stream: Stream, intents: Intents) -> None:
        self._stream = stream
        self._intents = intents
        self._end = 0  # where the log ends if nobody else writes to it

    @property
    def away(self) -> bool:
        """Whether something that was written is not in the log yet."""
        return bool(self._intents)

    @property
    def durable(self) -> bool:
        """Whether what was written outlives this process."""
        return self._intents.durable

    def opened(self) -> None:
        """Note where the log ends, before it is read. What was intended without it goes in first.

        Raises StreamUnavailable.
        """
        if self._intents:
            self._append(self._intents.pending)
            self._intents.clear()
        self._end = self._stream.ends(INCIDENTS).get(0, 0)

    def merge(self) -> None:
        """Write what was intended while the log was away, if it is back."""
        if not self._intents:
            return
        try:
            self._append(self._intents.pending)
        except StreamUnavailable:
            return
        _log.info("intents merged", extra={"entries": len(self._intents.pending)})
        self._intents.clear()

    def write(self, entries: Sequence[Entry]) -> None:
        """Return once the entries are durable somewhere, or `durable` says that they are not."""
        if not entries:
            return
        if not self._intents:  # else it is tried once a round, by `merge`: an append to what is away takes its time
            try:
                self._append(entries)
            except StreamUnavailable as error:
                _log.warning("the log is away, intents are kept here: %s", error)
            else:
                return
        self._intents.add(entries)

    def overtaken(self) -> bool:
        """Say whether somebody else wrote to the log. While it is away that cannot be known."""
        if self._intents:
            return False
        try:
            return self._stream.ends(INCIDENTS).get(0, 0) != self._end
        except StreamUnavailable:
            return False

    def _append(self, entries: Sequence[Entry]) -> None:
        messages = [Message(_key(entry), entry.model_dump_json(exclude_none=True).encode()) for entry in entries]
        self._stream.append(INCIDENTS, messages)
        self._end += len(messages)


def _key(entry: Entry) -> str:
    if entry.transition is not None:
        return entry.transition.incident
    if entry.answered is not None:
        return entry.answered.incident or entry.answered.send
    return next((send.incident or send.id for send in entry.intended), "")
