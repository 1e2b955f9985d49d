"""The console's role: follows the notifier's log, and answers people one by one. It decides nothing: it commands."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from notifiers.incident import Entry
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from pipeline.console.answering import Site, answer
from pipeline.console.pages import told
from pipeline.console.server import Job, Server
from pipeline.streams import INCIDENTS, Stream, StreamUnavailable
from pipeline.streams.whole import own_group

_WAIT: Final = 0.2  # seconds for a request
_LIMIT: Final = 1000
_log = logging.getLogger(__name__)


class Console:
    """A Role. `server` is the role's to close; the stream is the caller's."""

    name = "console"

    def __init__(self, stream: Stream, site: Site, policy: Policy, server: Server, *, wait: float = _WAIT) -> None:
        self._stream = stream
        self._site = site
        self._server = server
        self._ledger = Ledger(policy)
        self._group = own_group("console")
        self._wait = wait

    @property
    def port(self) -> int:
        return self._server.port

    def step(self, now: datetime) -> bool:
        """Read on in the log, then answer what waits. Raises StreamUnavailable, and answers nobody then."""
        if self._follow():
            return True  # nobody is answered from half of the log
        job = self._server.take(self._wait)
        if job is None:
            return False
        self._answer(job, now)
        return True

    def close(self) -> None:
        self._server.close()

    def _follow(self) -> bool:
        messages = self._stream.read(INCIDENTS, self._group, _LIMIT, 0).messages
        for stored in messages:
            try:
                self._ledger.apply(Entry.model_validate_json(stored.value))
            except ValidationError as error:
                _log.error("unreadable incident record", extra={"offset": stored.offset, "reason": str(error)})
        return len(messages) == _LIMIT

    def _answer(self, job: Job, now: datetime) -> None:
        try:
            self._follow()  # what happened while nobody asked
            job.answer(answer(job.request, self._site, self._ledger, now))
        except StreamUnavailable:
            job.answer(told(503, "Not now", "Tocsin's stream is away. Nothing was done: try again."))
            raise
        except Exception:
            job.answer(told(500, "A fault", "Nothing was done. Tocsin's log says more."))
            raise
