"""The embedded stream of a test that writes everything itself: with nothing there to read, nothing will come."""

from __future__ import annotations

from pipeline.streams import Batch
from pipeline.streams.sqlite import SqliteStream

_MOMENT = 0.001  # seconds: the threads that send messages take their turn


class PromptStream(SqliteStream):
    """Waits a moment at most for what another process may append."""

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        return super().read(topic, group, limit, min(wait, _MOMENT))
