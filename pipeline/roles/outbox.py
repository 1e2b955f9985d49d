"""What a role has decided and must still write, so that a stream that was away for a moment costs nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence, Set

from pipeline.streams import Message, Stream


class Outbox:
    """Writes in order: appends, then commits. What the stream did not take stays, and is tried again."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._due: deque[tuple[str, Sequence[Message]] | tuple[str, str, Mapping[int, int]]] = deque()

    @property
    def due(self) -> bool:
        """Whether anything is still to be written."""
        return bool(self._due)

    def append(self, topic: str, messages: Sequence[Message]) -> None:
        if messages:
            self._due.append((topic, messages))

    def commit(self, topic: str, group: str, offsets: Mapping[int, int]) -> None:
        self._due.append((topic, group, offsets))

    def clear(self) -> None:
        """Forget what is due: the partition is another's now, who decides it again."""
        self._due.clear()

    def release(self, topic: str, partitions: Set[int]) -> None:
        """Forget the commits that are due for partitions of another reader now: they would be refused for ever."""
        if not partitions:
            return
        kept: deque[tuple[str, Sequence[Message]] | tuple[str, str, Mapping[int, int]]] = deque()
        for one in self._due:
            if len(one) == 3 and one[0] == topic:
                left = {place: offset for place, offset in one[2].items() if place not in partitions}
                if left:
                    kept.append((*one[:2], left))
            else:
                kept.append(one)
        self._due = kept

    def flush(self) -> None:
        """Write what is due. Raises StreamUnavailable, and keeps the rest."""
        while self._due:
            first = self._due[0]
            if len(first) == 2:
                self._stream.append(*first)
            else:
                self._stream.commit(*first)
            self._due.popleft()
