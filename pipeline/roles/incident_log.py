"""Reading `audit.incidents` from its beginning: by the notifier that takes over, and by whoever lists incidents."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydantic import ValidationError

from notifiers.incident import Entry
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from pipeline.streams import INCIDENTS, Stream
from pipeline.streams.whole import whole

_log = logging.getLogger(__name__)


def entries(stream: Stream, group: str) -> Iterator[Entry]:
    """Yield the whole log as it ends now. Raises StreamUnavailable."""
    for stored in whole(stream, INCIDENTS, group):
        try:
            yield Entry.model_validate_json(stored.value)
        except ValidationError as error:
            _log.error("unreadable incident record", extra={"offset": stored.offset, "reason": str(error)})


def replayed(stream: Stream, policy: Policy, group: str) -> Ledger:
    """Return the ledger that the log leads to."""
    ledger = Ledger(policy)
    for entry in entries(stream, group):
        ledger.apply(entry)
    return ledger
