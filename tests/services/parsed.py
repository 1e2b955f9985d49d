"""What `tocsin parse` makes of a real server's log, waited for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from tests.scenarios.installation import TOCSIN, flat
from tests.services.process import Process

Events = list[dict[str, object]]


def parsed(log: Path, name: str, *options: str) -> Events:
    """Return the events of a log, flat."""
    done = subprocess.run(
        [*TOCSIN, "parse", "--format", name, *options, str(log)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [flat(msgspec.json.decode(line)) for line in done.stdout.splitlines()]


def having(events: Events, **wanted: object) -> Events:
    """Return the events that have these values; `__` stands for a point in a field's name."""
    pairs = {name.replace("__", "."): value for name, value in wanted.items()}
    return [event for event in events if all(event.get(name) == value for name, value in pairs.items())]


def wait_for(server: Process, log: Path, text: str) -> None:
    """Return once the text stands in the log. Raises RuntimeError if it does not come."""
    server.wait_until(lambda: log.exists() and text.encode() in log.read_bytes(), f"{text!r} in {log.name}", 20)
