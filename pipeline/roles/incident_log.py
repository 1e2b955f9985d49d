"""Reading `audit.incidents` from its beginning: by the notifier that takes over, and by whoever lists incidents."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from pydantic import ValidationError

from notifiers.incident import Entry
from notifiers.ledger import Ledger
from notifiers.policy import Policy
from pipeline.groups import own_group
from pipeline.streams import INCIDENTS, Stream, StreamUnavailable

__all__ = ["entries", "own_group", "replayed"]

_EMPTY_READS = 30  # of a second each, until the log counts as out of reach
_log = logging.getLogger(__name__)


def entries(stream: Stream, group: str) -> Iterator[Entry]:
    """Yield the whole log as it ends now. Raises StreamUnavailable."""
    end = stream.ends(INCIDENTS).get(0, 0)
    offset = empty = 0
    while offset < end:
        batch = stream.read(INCIDENTS, group, 1000, 1.0)
        offset += sum(batch.missing.values())
        empty = 0 if batch.messages or batch.missing else empty + 1
        if empty > _EMPTY_READS:
            raise StreamUnavailable(f"{INCIDENTS} ends at {end} and could be read up to {offset} only")
        for stored in batch.messages:
            offset = stored.offset + 1
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
