"""The two engines as a config names them, the fleet's with servers of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.scenarios.installation import fleet
from tests.services.elasticsearch import Elasticsearch
from tests.services.kafka import Kafka

BOTH = ("embedded", "fleet")


@contextmanager
def engine(name: str) -> Iterator[Mapping[str, object]]:
    """Yield the config's `stream` and `index`; servers that it needs run until the block ends."""
    if name == "embedded":
        yield {}
        return
    with ExitStack() as stack:
        places = [Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))) for _ in range(2)]
        kafka, index = Kafka(places[0]), Elasticsearch(places[1])
        stack.callback(kafka.stop)
        stack.callback(index.stop)
        yield fleet(kafka, index, "bench")
