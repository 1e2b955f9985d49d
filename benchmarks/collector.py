"""A collector at rest with the shipped default config: resident memory, CPU; and how fast `tocsin --help` is.

The peer is the interpreter: `python -c pass` for the start, one with kafka-python imported for memory.
Usage: collector.py [seconds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import machine
from tests.scenarios.installation import TOCSIN, Installation

KAFKA = [sys.executable, "-c", "import kafka, time; print(flush=True); time.sleep(60)"]


def at_rest(engine: dict[str, object], seconds: float) -> tuple[float, float]:
    """Return (resident MiB, percent of a core) of `tocsin collect` after it has settled."""
    with tempfile.TemporaryDirectory() as name:
        installation = Installation(Path(name), engine, {})
        installation.roles = {"collect": "collect"}
        installation.start()
        try:
            process = psutil.Process(installation.running["collect"].pid)
            time.sleep(5)
            before = sum(process.cpu_times()[:2])
            time.sleep(seconds)
            used = sum(process.cpu_times()[:2]) - before
            return process.memory_info().rss / 2**20, 100 * used / seconds
        finally:
            installation.stop()


def start(command: list[str]) -> float:
    """Return the median wall time of a command, in milliseconds."""
    took = []
    for _ in range(11):
        began = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env={**os.environ, "COLUMNS": "80"})
        took.append((time.monotonic() - began) * 1000)
    return statistics.median(took)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(machine.line())
    with subprocess.Popen(KAFKA, stdout=subprocess.PIPE) as peer:
        assert peer.stdout is not None
        peer.stdout.readline()
        bare = psutil.Process(peer.pid).memory_info().rss / 2**20
        peer.kill()
    memory, cpu = at_rest({}, seconds)
    print(
        f"collector at rest: {memory:.1f} MiB ({memory / bare:.2f} of Python with kafka-python, {bare:.1f}; aim 45), "
        f"{cpu:.2f} % of a core over {seconds:g} s (aim 0.3)"
    )
    help_ms, python_ms = start([*TOCSIN, "--help"]), start([sys.executable, "-c", "pass"])
    print(f"tocsin --help: {help_ms:.0f} ms ({help_ms / python_ms:.1f} of python -c pass; aim 300)")


if __name__ == "__main__":
    main()
