"""The centre enrols its own roles, whatever was lost or changed; a fleet's collector is enrolled by people."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import state
from pipeline.chaining import KeyFile, root_of
from pipeline.config import load
from pipeline.enrolled import Enrolled
from pipeline.enrolling import escrow, open_sealing
from pipeline.settings import Config

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def config(folder: Path, more: str = "") -> Config:
    path = folder / "tocsin.yml"
    path.write_text(f"state: {folder / 'state'}\nsources: []\n{more}")
    return load(path)


def enrolled(of: Config) -> bool:
    """Whether the centre has the first key of this host's collector."""
    keys = KeyFile(state.folder(of) / "keys" / "collect.key")
    keys.read()
    found = Enrolled.of(escrow(of)).get(state.host(of).id)
    return found is not None and root_of(found.secret) == keys.root


def test_a_host_that_runs_everything_enrols_itself_once(tmp_path: Path) -> None:
    here = config(tmp_path)
    open_sealing(here, "collect", NOON)
    first = (tmp_path / "state" / "keys" / "collect.key").read_bytes()
    open_sealing(here, "collect", NOON)
    assert enrolled(here)
    assert (tmp_path / "state" / "keys" / "collect.key").read_bytes() == first


@pytest.mark.parametrize("gone", ["keys/collect.key", "host.json", "enrolled"])
def test_whatever_was_lost_it_is_enrolled_again(tmp_path: Path, gone: str) -> None:
    here = config(tmp_path)
    open_sealing(here, "collect", NOON)
    lost = tmp_path / "state" / gone
    for path in lost.iterdir() if lost.is_dir() else [lost]:
        path.unlink()
    open_sealing(here, "collect", NOON)
    assert enrolled(here)


def test_a_damaged_key_is_set_aside_and_replaced(tmp_path: Path) -> None:
    here = config(tmp_path)
    open_sealing(here, "collect", NOON)
    (tmp_path / "state" / "keys" / "collect.key").write_bytes(b"noise")
    open_sealing(here, "collect", NOON)
    assert enrolled(here)
    assert (tmp_path / "state" / "keys" / "collect.damaged").read_bytes() == b"noise"


def test_a_host_under_another_id_is_enrolled_under_it(tmp_path: Path) -> None:
    open_sealing(config(tmp_path), "collect", NOON)
    there = config(tmp_path, "host: {id: web-1}\n")
    open_sealing(there, "collect", NOON)
    assert enrolled(there)


def test_a_collector_of_a_fleet_is_not_enrolled_by_itself(tmp_path: Path) -> None:
    fleet = config(tmp_path, "stream: {kind: kafka, servers: ['127.0.0.1:9']}\n")
    open_sealing(fleet, "collect", NOON)
    assert not enrolled(fleet)


def test_the_escrow_may_lie_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    here = config(tmp_path, "chain: {enrolled: ~/escrow}\n")
    open_sealing(here, "collect", NOON)
    assert list((tmp_path / "escrow").iterdir())


def test_processes_that_start_together_agree_who_they_are(tmp_path: Path) -> None:
    here = config(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: state.host(here).id, range(16)))
    assert len(ids) == 1
