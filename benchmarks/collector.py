"""A collector with the shipped default config: resident memory and CPU at rest, under lines, over ten thousand idle
files; and how fast `tocsin --help` is.

The peer is the interpreter: `python -c pass` for the start, one with kafka-python imported for memory.
Usage: collector.py [seconds]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import machine
from tests.scenarios.installation import TOCSIN, Installation

STAMP = "2026-11-22T12:00:00.000000+00:00"
KAFKA = [sys.executable, "-c", "import kafka, time; print(flush=True); time.sleep(60)"]


@dataclass(frozen=True)
class Load:
    """What the collector has to read: so many lines a second in one log, or so many logs that stay as they are."""

    lines: int = 0
    files: int = 0

    def settings(self, folder: Path) -> dict[str, object]:
        """Return the config's sources, with the logs made; at rest, the shipped ones."""
        if not self.lines and not self.files:
            return {}
        logs = folder / "logs"
        logs.mkdir()
        for number in range(self.files or 1):
            (logs / f"{number}.log").write_text(f"{STAMP} web-1 sshd[7]: Server listening on port {number}.\n")
        return {"sources": [{"kind": "file", "paths": [str(logs / "*.log")], "format": "syslog"}]}

    def write(self, folder: Path, stop: threading.Event) -> None:
        """Write lines at the stated pace until told to stop."""
        line = f"{STAMP} web-1 sshd[{{}}]: Accepted publickey for ada from 10.0.0.7 port 40007 ssh2\n"
        with (folder / "logs" / "0.log").open("a", buffering=1 << 16) as file:
            number = 0
            while not stop.wait(0.1):
                file.writelines(line.format(number + n) for n in range(self.lines // 10))
                file.flush()
                number += self.lines // 10


def measured(load: Load, seconds: float) -> tuple[float, float]:
    """Return (resident MiB, percent of a core) of `tocsin collect` under a load, after it has settled."""
    with tempfile.TemporaryDirectory() as name:
        folder, stop = Path(name), threading.Event()
        installation = Installation(folder, {}, load.settings(folder))
        installation.roles = {"collect": "collect"}
        installation.start()
        writer = threading.Thread(target=load.write, args=(folder, stop))
        try:
            process = psutil.Process(installation.running["collect"].pid)
            if load.lines:
                writer.start()
            time.sleep(10 if load.files else 5)
            before = sum(process.cpu_times()[:2])
            time.sleep(seconds)
            used = sum(process.cpu_times()[:2]) - before
            return process.memory_info().rss / 2**20, 100 * used / seconds
        finally:
            stop.set()
            if writer.is_alive():
                writer.join()
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
    memory, cpu = measured(Load(), seconds)
    print(
        f"collector at rest: {memory:.1f} MiB ({memory / bare:.2f} of Python with kafka-python, {bare:.1f}; aim 45), "
        f"{cpu:.2f} % of a core over {seconds:g} s (aim 0.3)"
    )
    for load in (Load(lines=100), Load(lines=5000), Load(files=10_000)):
        memory, cpu = measured(load, seconds / 2)
        what = f"at {load.lines:,} lines/s" if load.lines else f"over {load.files:,} idle files"
        print(f"collector {what}: {memory:.1f} MiB, {cpu:.2f} % of a core over {seconds / 2:g} s")
    help_ms, python_ms = start([*TOCSIN, "--help"]), start([sys.executable, "-c", "pass"])
    print(f"tocsin --help: {help_ms:.0f} ms ({help_ms / python_ms:.1f} of python -c pass; aim 300)")


if __name__ == "__main__":
    main()
