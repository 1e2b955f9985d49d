"""Loss is a number: n records are removed from the journal before delivery, and `tocsin status` says n."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner

from collectors.chain import Key
from pipeline import app, state
from pipeline.cli import cli
from pipeline.config import load
from pipeline.enrolled import Enrolment, write
from pipeline.enrolling import escrow, key_file
from pipeline.settings import Config
from rules.event import rfc3339

SECRET = bytes(range(32))


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.server)])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    settings: dict[str, object] = {
        "state": str(tmp_path / "state"),
        "sources": [{"kind": "file", "paths": [str(tmp_path / "auth.log")], "format": "syslog"}],
    }
    if request.param == "kafka":
        servers = request.getfixturevalue("kafka").servers
        settings["stream"] = {"kind": "kafka", "servers": servers, "topic_prefix": f"t{uuid.uuid4().hex[:8]}"}
    path = tmp_path / "tocsin.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def enrolled(config: Config, now: datetime) -> None:
    host = state.host(config)
    write(escrow(config), Enrolment(host.id, host.name, SECRET.hex(), rfc3339(now)))
    key_file(config, "collect").write(Key(0, SECRET), 0, sync=True)


def step(config: Config, role: str, moments: list[datetime]) -> None:
    with ExitStack() as opened:
        made = app.build(role, config, opened)
        opened.callback(made.close)
        for moment in moments:
            made.step(moment)


def journals(config: Config) -> Iterator[sqlite3.Connection]:
    name = "stream" if config.stream.kind == "sqlite" else "journal"
    for path in sorted((config.state / name).glob("0*.db")):
        connection = sqlite3.connect(path)
        yield connection
        connection.commit()
        connection.close()


def remove(config: Config, texts: list[str]) -> int:
    """Delete the records that hold one of the texts; return how many there were."""
    table = "audit.events" if config.stream.kind == "sqlite" else "first"
    gone = 0
    for connection in journals(config):
        for text in texts:
            done = connection.execute(f'DELETE FROM "{table}" WHERE instr(value, ?)', (text.encode(),))
            gone += done.rowcount
    return gone


@pytest.mark.parametrize("removed", [[3, 4, 17], [0], [49], [47, 48, 49]], ids=["in between", "first", "last", "tail"])
def test_what_is_removed_from_the_journal_is_lost_to_the_last_record(path: Path, removed: list[int]) -> None:
    config, now = load(path), app.now()
    enrolled(config, now)
    log = path.with_name("auth.log")
    log.write_text("")
    step(config, "collect", [now])
    stamp = f"{now:%b %e %H:%M:%S}"
    lines = [f"{stamp} db-7 sshd[42]: Failed password for u{n:03} from 203.0.113.7 port 22 ssh2\n" for n in range(50)]
    log.write_text("".join(lines))
    step(config, "collect", [now + timedelta(seconds=n) for n in (1, 2, 20, 40)])
    assert remove(config, [f"for u{n:03} from" for n in removed]) == len(removed)
    if config.stream.kind == "kafka":
        step(config, "forward", [now + timedelta(seconds=n) for n in range(3)])
    step(config, "detect", [now + timedelta(seconds=41 + n) for n in range(12)])
    assert lost(path) == len(removed)


def lost(path: Path) -> int:
    done = CliRunner().invoke(cli, ["status", "-c", str(path), "--format", "ndjson"])
    assert isinstance(done.exception, SystemExit), done.exception
    rows: list[dict[str, Any]] = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    (row,) = [row for row in rows if str(row.get("source", "")).endswith("auth.log")]
    assert row["written"] == 50
    assert row["delivered"] == 50 - row["lost"]
    return int(row["lost"])
