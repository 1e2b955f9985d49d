"""From a line in a log to the page: 200 root logins, each from a new address, on each engine.

Real processes with the shipped config but for the receiver, a Slack stand-in on loopback that notes when each request
arrives. Usage: page.py [events] [embedded|fleet ...]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import engines, machine
from tests.scenarios.installation import Heard, Installation, people, until
from tests.standins.certificates import self_signed
from tests.standins.mailbox import mailbox
from tests.standins.slack import Workspace, slack


def measure(engine: Mapping[str, object], folder: Path, events: int) -> list[float]:
    """Return the seconds from each line's writing to its page's arrival."""
    log = folder / "auth.log"
    log.touch()
    with slack() as workspace, mailbox("starttls", self_signed(folder), auth=True) as box:
        told = {**people(Heard(workspace, box), folder), "route": {"receiver": "slack"}, "incidents": {"storm": 10**6}}
        sources = [{"kind": "file", "paths": [str(log)], "format": "syslog"}, {"kind": "host_metrics"}]
        installation = Installation(folder, engine, {**told, "sources": sources})
        installation.start()
        try:
            until(lambda: '"source"' in installation.call("status", "--format", "ndjson").stdout, "start", installation)
            _login(log, 250, 250)
            until(lambda: _arrived(workspace, "10.9.250.250"), "the first page", installation)
            return [_one(log, workspace, n, installation) for n in range(events)]
        finally:
            installation.stop()


def _one(log: Path, workspace: Workspace, n: int, installation: Installation) -> float:
    began = time.monotonic()
    _login(log, n // 200, n % 200)
    until(lambda: _arrived(workspace, f"10.9.{n // 200}.{n % 200}"), f"page {n}", installation)
    took = time.monotonic() - began
    time.sleep(0.05 + n % 7 * 0.02)  # lines come when they come, not in step with the polls
    return took


def _login(log: Path, third: int, fourth: int) -> None:
    stamp = datetime.now(UTC).isoformat()
    with log.open("a") as file:
        file.write(f"{stamp} web-1 sshd[7]: Accepted password for root from 10.9.{third}.{fourth} port 40007 ssh2\n")


def _arrived(workspace: Workspace, address: str) -> bool:
    return any(f"{address} " in str(request.arguments.get("text", "")) for request in workspace.requests[-6:])


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(machine.line())
    for name in sys.argv[2:] or engines.BOTH:
        with engines.engine(name) as engine, tempfile.TemporaryDirectory() as folder:
            took = sorted(measure(engine, Path(folder), events))
        p50, p99 = statistics.median(took) * 1000, took[int(len(took) * 0.99)] * 1000
        share = p99 / (1000 if name == "embedded" else 2000)
        print(f"{name:9} {events} pages: p50 {p50:.0f} ms, p99 {p99:.0f} ms ({share:.2f} of aim)")


if __name__ == "__main__":
    main()
