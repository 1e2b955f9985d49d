"""A stream that dies at a chosen write, before it or just after it, as a killed process does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.streams import ALERTS, Batch, Message, Stream


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Fuse:
    """A Stream that dies at its n-th write: before it (even n) or just after it (odd n)."""

    def __init__(self, inner: Stream, blows_at: int) -> None:
        self._inner = inner
        self._blows_at = blows_at
        self.writes = 0

    def _strike(self) -> None:
        if self.writes == self._blows_at:
            raise Killed
        self.writes += 1

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        self._strike()
        self._inner.append(topic, messages)
        self._strike()

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._strike()
        self._inner.commit(topic, group, offsets)
        self._strike()

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        return self._inner.read(topic, group, min(limit, 2) if topic == ALERTS else limit, wait)

    def seek(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._inner.seek(topic, group, offsets)

    def ends(self, topic: str) -> Mapping[int, int]:
        return self._inner.ends(topic)

    def committed(self, topic: str, group: str) -> Mapping[int, int]:
        return self._inner.committed(topic, group)

    def close(self) -> None:
        self._inner.close()
