"""Whole logs, line by line as a server (or its manual) writes them, against the events that they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collectors.decode import Joiner, decode, understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.framing import Lines
from rules.event import rfc3339

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CTX = Context(received=datetime(2026, 11, 22, 3, 0, tzinfo=UTC))


def events(name: str, log: bytes) -> list[dict[str, object]]:
    """Return what `tocsin parse --format NAME` would print, flat and without the raw text."""
    lines, joiner = Lines(), Joiner(FORMATS[name])
    frames = joiner.feed(lines.feed(log)) + joiner.flush()
    out = []
    for frame in frames:
        parsed = understand(decode(frame.raw), FORMATS[name], CTX)
        out.append({"@timestamp": rfc3339(parsed.time) if parsed.time else None, **parsed.fields})
    return out


@pytest.mark.parametrize("name", sorted(name for name in FORMATS if name != "auto"))
def test_each_format_has_a_golden_log_and_reads_it_so(name: str) -> None:
    expected = [json.loads(line) for line in (GOLDEN / name / "out.ndjson").read_text().splitlines()]
    assert events(name, (GOLDEN / name / "in.log").read_bytes()) == expected


@pytest.mark.parametrize("name", sorted(name for name in FORMATS if name not in ("auto", "sshd")))
def test_auto_reads_the_golden_log_as_the_named_format_does(name: str) -> None:
    log = (GOLDEN / name / "in.log").read_bytes()
    named = [event for event in events(name, log) if "tocsin.parse_error" not in event]
    assert [event for event in events("auto", log) if "tocsin.parse_error" not in event] == named
