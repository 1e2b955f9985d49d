"""`some-command | tocsin collect`: the real process, which ends when its input does and keeps all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from pipeline.streams import EVENTS
from pipeline.streams.sqlite import SqliteStream

LINE = "2026-11-22T11:59:58+00:00 web-1 sshd[7]: Accepted password for root from 203.0.113.66 port {} ssh2"


def test_the_process_ends_with_its_input_and_every_line_is_kept_once(tmp_path: Path) -> None:
    config = tmp_path / "tocsin.yml"
    config.write_text(f"state: {tmp_path / 'state'}\nsources: [{{kind: stdin, format: syslog}}]\n", "utf-8")
    lines = [LINE.format(port) for port in range(1, 3001)]
    done = subprocess.run(
        [Path(sys.executable).with_name("tocsin"), "collect", "-c", config],
        input="\n".join(lines),  # the last one has no end
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "stdin: has ended after" in done.stderr
    stream = SqliteStream(tmp_path / "state" / "stream")
    rows = [msgspec.json.decode(row.value, type=dict[str, object]) for row in stream.journal.read(EVENTS, 0, 10_000)]
    stream.close()
    kept = [row["event.original"] for row in rows if row["tocsin.record"] == "event" and row["tocsin.class"] == "auth"]
    assert kept == lines
