"""What a figure was measured on, and how steady that was."""

from __future__ import annotations

import platform
import time
from pathlib import Path


def line() -> str:
    """Return the machine on one line, with the CPU time of an empty loop: compare figures of one run only."""
    began = time.process_time()
    for _ in range(10**6):
        pass
    loop = (time.process_time() - began) * 1000
    models = [row for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{len(models)} x {model}, Python {platform.python_version()}, empty loop of a million: {loop:.0f} ms"
