"""What sequence and seal cost: the collecting role over the same log, with its chain and with a plain encoder.

Interleaved pairs, CPU time of one process, journal and checkpoint included; the peer encodes the same fields without
number, key and seal. Usage: chain.py [lines] [pairs]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import machine
from benchmarks.path import lines
from collectors.assemble import Host
from collectors.chain import Key
from collectors.environments import Environments
from collectors.formats.registry import FORMATS, decode
from collectors.sources.file import FileSource
from pipeline import intake
from pipeline.chaining import KeyFile, Sealing
from pipeline.feeds import Feed
from pipeline.roles.collect import Collect
from pipeline.streams.sqlite import SqliteStream
from rules.event import Value

HOST = Host("0011223344556677", "web-1", b"k" * 32)


class Plain(Sealing):
    """Encodes, and does nothing else."""

    def open(self, positions: Mapping[str, str], now: datetime) -> list[dict[str, Value]]:
        return []

    def seal(self, priority: str, fields: dict[str, Value]) -> bytes:
        return msgspec.json.encode(fields)

    def positions(self) -> dict[str, str]:
        return {}

    def committed(self, now: datetime) -> None: ...

    def anchor(self, now: datetime) -> dict[str, Value] | None:
        return None


def collected(kind: type[Sealing], log: Path, folder: Path) -> float:
    """Return the CPU seconds of collecting the whole log."""
    keys = KeyFile(folder / "collect.key")
    keys.write(Key(0, b"s" * 32), 0, sync=False)
    files = SqliteStream(folder / "journal", topics=intake.PRIORITIES)
    feed = Feed(FileSource("file:auth.log", [str(log)], "syslog"), FORMATS["syslog"], UTC, decode)
    nowhere = Environments.of([], "unknown")
    role = Collect([feed], intake.own(files), HOST, nowhere, kind(HOST, "collect", keys, "here"))
    moment = datetime.now(UTC)
    began = time.process_time()
    while role.step(moment):
        pass
    took = time.process_time() - began
    role.close()
    files.close()
    return took


def main() -> None:
    count, pairs = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 30_000), (2, 7)))
    print(machine.line())
    costs, sealed = [], []
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "auth.log"
        log.write_text("".join(line + "\n" for line in lines(count)))
        for pair in range(pairs):
            took = {}
            for kind in (Plain, Sealing) if pair % 2 else (Sealing, Plain):
                folder = Path(name) / f"{pair}-{kind.__name__}"
                folder.mkdir()
                took[kind] = collected(kind, log, folder)
            costs.append(100 * (took[Sealing] / took[Plain] - 1))
            sealed.append(count / took[Sealing])
    print(
        f"sequence and seal: + {statistics.median(costs):.1f} % of collecting "
        f"({min(costs):.1f} to {max(costs):.1f} over {pairs} pairs; floor + 10 %, aim + 4 %), "
        f"{statistics.median(sealed):,.0f} lines a CPU second with it"
    )


if __name__ == "__main__":
    main()
