"""A detecting worker as a process of its own, and the clock that tests give it: minutes of settling pass in seconds.

Run as `python -m tests.pipeline.detect_worker SERVERS PREFIX BEGAN RULES OWNER`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.roles.detect import Detect
from pipeline.streams import MATCHES, Batch, StreamUnavailable
from pipeline.streams.kafka import KafkaStream
from rules.ruleset import load

SPEED = 20
LIVE = frozenset({"on_call"})  # lists that commands change
KEY = b"a key that detect and command line share"


def moment() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  real servers take real time


@dataclass(frozen=True, slots=True)
class Quick:
    """A clock that runs SPEED times as fast as the real one since it began."""

    began: datetime

    def __call__(self, real: datetime) -> datetime:
        return self.began + SPEED * (real - self.began)


class QuickStream(KafkaStream):
    """A real Kafka whose append times are as the quick clock would have had them."""

    def __init__(self, servers: list[str], prefix: str, clock: Quick) -> None:
        super().__init__(servers, prefix=prefix, partitions=4)
        self._clock = clock
        self.on_owner: Callable[[], None] = lambda: None

    def read(self, topic: str, group: str, limit: int, wait: float) -> Batch:
        found = super().read(topic, group, limit, wait)
        if topic == MATCHES and found.gained:
            self.on_owner()
        return replace(found, messages=[replace(one, time=self._clock(one.time)) for one in found.messages])


def main(servers: str, prefix: str, began: str, rules: str, owner: str) -> None:
    clock = Quick(datetime.fromisoformat(began))
    stream = QuickStream(servers.split(","), prefix, clock)
    stream.on_owner = lambda: _named(Path(owner))
    ruleset = load([(rules, Path(rules).read_text("utf-8"))], {}, LIVE)
    role = Detect(stream, ruleset, engine="test", key=lambda: KEY)
    while True:
        with contextlib.suppress(StreamUnavailable):
            role.step(clock(moment()))


def _named(owner: Path) -> None:
    """Say that the matches are correlated here."""
    fresh = owner.with_suffix(f".{os.getpid()}")
    fresh.write_text(str(os.getpid()), "utf-8")
    fresh.rename(owner)


if __name__ == "__main__":
    main(*sys.argv[1:])
