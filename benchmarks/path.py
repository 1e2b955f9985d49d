"""The whole path on one machine: lines appended to a log -> events -> rules -> index, as events a second.

The same lines for each engine; the clock runs from the first line until every reader has read everything. The peer is
the path's slowest single step timed bare in the same run: parse and encode of the same lines, one core.
Usage: path.py [lines] [embedded|fleet ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import engines, machine
from collectors.assemble import Host, assemble
from collectors.environments import Environments
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.sources import Record
from tests.scenarios.installation import Installation, until


def lines(count: int) -> list[str]:
    """Return lines as an auth.log of a busy host has them; one in a hundred is a failed root login."""
    stamp = datetime.now(UTC).isoformat()
    kinds = (
        "sshd[{n}]: Accepted publickey for user{u} from 10.0.{a}.{b} port {p} ssh2: ED25519 SHA256:abc",
        "sshd[{n}]: pam_unix(sshd:session): session opened for user user{u}(uid=1000) by (uid=0)",
        "sudo:   user{u} : TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/usr/bin/systemctl status",
        "CRON[{n}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
        "sshd[{n}]: Disconnected from user user{u} 10.0.{a}.{b} port {p}",
    )
    failed = "sshd[{n}]: Failed password for root from 10.0.{a}.{b} port {p} ssh2"
    return [
        f"{stamp} web-1 "
        + (failed if n % 100 == 99 else kinds[n % len(kinds)]).format(
            n=n % 30000 + 100, u=n % 50, a=n % 4, b=n % 250, p=1024 + n % 60000
        )
        for n in range(count)
    ]


def bare(written: list[str]) -> float:
    """Return lines a CPU second of parse, assemble and encode alone."""
    parse, host = FORMATS["syslog"].parse, Host("h", "web-1", b"k" * 32)
    nowhere, received = Environments.of([], "unknown"), datetime.now(UTC)
    began = time.process_time()
    for n, line in enumerate(written):
        record = Record(line.encode(), b"%d" % n, "", n)
        msgspec.json.encode(assemble(record, parse(line, Context(received)), host, nowhere, received))
    return len(written) / (time.process_time() - began)


def whole(engine: Mapping[str, object], folder: Path, written: list[str]) -> float:
    """Return lines a second of wall time until detect, correlate and index have read everything."""
    log = folder / "auth.log"
    log.touch()
    sources = [{"kind": "file", "paths": [str(log)], "format": "syslog"}]
    installation = Installation(folder, engine, {"sources": sources})
    installation.start()
    try:
        until(lambda: len(_rows(installation)) > 1, "start", installation)
        began = time.monotonic()
        with log.open("a") as file:
            file.writelines(line + "\n" for line in written)
        until(lambda: _done(installation, len(written)), "the end of the path", installation, 600)
        return len(written) / (time.monotonic() - began)
    finally:
        installation.stop()


def _rows(installation: Installation) -> list[dict[str, object]]:
    said = installation.call("status", "--format", "ndjson").stdout
    return [msgspec.json.decode(line) for line in said.splitlines()]


def _done(installation: Installation, count: int) -> bool:
    rows = _rows(installation)
    written = sum(int(str(row["written"])) for row in rows if "source" in row)
    behind = sum(int(str(row["lag"])) for row in rows if row.get("reader") in ("detect", "index") or "journal" in row)
    return written >= count and behind < 50  # ticks and markers come all the time


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    written = lines(count)
    print(machine.line())
    step = bare(written)
    print(f"parse, assemble, encode alone: {step:,.0f} lines a CPU second")
    for name in sys.argv[2:] or engines.BOTH:
        with engines.engine(name) as engine, tempfile.TemporaryDirectory() as folder:
            rate = whole(engine, Path(folder), written)
        print(f"{name:9} {count} lines: {rate:,.0f} a second, {rate / step:.2f} of the step alone")


if __name__ == "__main__":
    main()
