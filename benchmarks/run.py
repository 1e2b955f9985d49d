"""All benchmarks, one after the other: `make bench`, or `python -m benchmarks.run [NAME ...]`.

Each states ratios measured in its own run against a named peer or limit, and prints the machine. What a benchmark
needs and this machine lacks (Java, root, a peer) is said, and the next one goes on.
"""

from __future__ import annotations

import subprocess
import sys
import time

ALL = {
    "collector": "a collector at rest, and `tocsin --help`",
    "page": "from a line in a log to the page, each engine",
    "path": "the whole path, events a second, each engine",
    "chain": "what sequence and seal cost the collecting role",
    "journal": "the journal's cost, an hour's outage, a root login behind eight hours of backlog",
    "tail": "the file source against bare read and split and rsyslog imfile; ten thousand idle files",
    "formats": "lines a CPU second by format, against a chain of `re`",
    "detection": "the shipped rules over a fleet's events; against RSigma with its options",
    "index": "the embedded index against bare SQLite",
    "elasticsearch_bulk": "indexing against helpers.bulk",
    "kafka_loop": "the Kafka stream against bare kafka-python",
    "paging": "alert to send with 10,000 open incidents",
}


def main() -> int:
    failed = []
    for name in sys.argv[1:] or ALL:
        print(f"== {name}: {ALL[name]}", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
        print(f"   took {time.monotonic() - began:.0f} s\n", flush=True)
    if failed:
        print(f"did not run to the end: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
