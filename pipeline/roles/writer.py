"""Writer: what each send says, from the ledger, the templates and what the index knows of the actor."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from notifiers.incident import Send
from notifiers.ledger import Ledger
from notifiers.message import Message, plain
from notifiers.render import Renderer, Said
from notifiers.view import headline
from rules.alert import Alert

PATIENCE: Final = timedelta(milliseconds=300)  # paging does not wait for the index (law 8), but for this long
_ASKED: Final = ("page", "news", "graver", "reopened")
_MOST: Final = 1000  # alerts of which it is remembered when they were asked about
_log = logging.getLogger(__name__)


class Recollection(Protocol):
    """Whoever knows what an alert's actor did before. Neither call waits."""

    def ask(self, alert: Alert) -> None: ...

    def answer(self, alert_id: str) -> Said | None:
        """Return what is known, or None while nothing is."""
        ...

    def close(self) -> None: ...


class Writer:
    """Renders sends. A fault in a template costs the form of the message, never the message."""

    def __init__(self, renderer: Renderer, recollection: Recollection | None = None) -> None:
        self._renderer = renderer
        self._recollection = recollection
        self._asked: dict[str, datetime] = {}

    def foresee(self, alert: Alert, now: datetime) -> None:
        """Ask about an alert's actor, so that the answer is there when the message is written."""
        if self._recollection is None or alert.id in self._asked:
            return
        self._recollection.ask(alert)
        self._asked[alert.id] = now
        while len(self._asked) > _MOST:
            del self._asked[next(iter(self._asked))]

    def close(self) -> None:
        if self._recollection is not None:
            self._recollection.close()

    def waits(self, send: Send, now: datetime) -> bool:
        """Say whether an answer may still come within PATIENCE."""
        asked = self._when_asked(send)
        if asked is None or send.alert is None or self._recollection is None:
            return False
        return now - asked < PATIENCE and self._recollection.answer(send.alert.id) is None

    def _when_asked(self, send: Send) -> datetime | None:
        return self._asked.get(send.alert.id) if send.alert and send.kind in _ASKED else None

    def message(self, send: Send, ledger: Ledger, now: datetime, note: str = "") -> Message:
        """Return the message that a send stands for."""
        name = send.incident or send.id
        incident = ledger.by_id(name)
        try:
            said = self._said(send, ledger, note)
            if send.digest is not None:
                return self._renderer.digest(send.digest, send.kind, now, name, said)
            if incident is not None:
                told = incident if send.alert is None else replace(incident, alert=send.alert)
                return self._renderer.incident(told, send.kind, now, said)
        except Exception:
            _log.exception("message not rendered", extra={"send": send.id})
        return plain(name, f"{send.kind}: {headline(incident.alert) if incident else name}", now)

    def _said(self, send: Send, ledger: Ledger, note: str) -> Said:
        failures = "; ".join(ledger.failures(send))
        notes = [f"Another channel failed first: {failures}" if failures else "", note]
        asked = self._when_asked(send) is not None
        known = self._recollection.answer(send.alert.id) if asked and self._recollection and send.alert else None
        return replace(known or Said(), asked=asked, repeat=send.repeat, note=" ".join(one for one in notes if one))
