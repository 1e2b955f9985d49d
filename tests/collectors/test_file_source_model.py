"""The file source against a model: whatever writers, rotation and crashes do, each line comes out once, or its loss
is told."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collectors.sources import Loss, Record
from collectors.sources.file import FileSource
from tests.collectors.file_model import Folder

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
REGRESSIONS = [61, 68, 72, 93, 115, 141, 144, 161, 205, 210, 264, 662]  # they failed once


class Reader:
    """The source as the collecting role drives it: what is journalled is `kept`, with the position."""

    def __init__(self, folder: Folder, room: int) -> None:
        self.folder, self.room, self.now = folder, room, NOON
        self.kept: list[Record] = []
        self.losses: list[Loss] = []
        self.position: str | None = None
        self.start()

    def start(self) -> None:
        self.source = FileSource("auth", [str(self.folder.path(self.folder.name))], "syslog", room=self.room)
        with unprivileged():
            self.source.open(self.position, self.now)
        self.position = self.position or self.source.position([])

    def look(self, *, rounds: int = 4) -> None:
        for _ in range(rounds):
            batch = self._read()
            self.kept += batch[0]
            self.losses += batch[1]
            self.position = self.source.position(list({record.lane: record for record in batch[0]}.values()))
        self.folder.looked()

    def kill(self, *, reads: int) -> None:
        """Read on for a while, journal nothing of it, and die."""
        for _ in range(reads):
            self._read()
        self.source.close()  # as the kernel does
        self.start()

    def _read(self) -> tuple[list[Record], list[Loss]]:
        self.now += timedelta(seconds=1)
        with unprivileged():
            batch = self.source.read(self.now, 10_000)
        return list(batch.records), list(batch.losses)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Read as a user whom permissions bind."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def run(place: Path, seed: int, steps: int) -> None:
    """Take random steps, then let everything come to rest, and compare. The seed is in every message."""
    chance = random.Random(seed)
    folder = Folder(place, chance, dated=seed % 3 == 2, header=b"# log begins\n" if seed % 5 < 2 else b"")
    if seed % 2:
        folder.write()
    reader = Reader(folder, room=(128, 2, 1)[seed % 3])
    for _ in range(steps):
        step = chance.choices(*zip(*_steps(folder, reader), strict=True))[0]
        step()
    folder.unbar()
    reader.look(rounds=150)
    reader.source.close()
    check(folder, reader, f"seed {seed}, {steps} steps")


def _steps(folder: Folder, reader: Reader) -> list[tuple[Callable[[], None], int]]:
    return [
        (folder.write, 20),
        (lambda: folder.write(whole=False), 3),
        (lambda: folder.append(folder.name, b""), 1),
        (folder.rotate, 4),
        (lambda: (folder.rotate(), folder.write(), folder.rotate())[0], 1),
        (folder.copytruncate, 3),
        (lambda: folder.copytruncate(folder.write), 1),
        (lambda: folder.copytruncate(folder.write, reader.look), 1),
        (folder.cut, 2),
        (folder.rewrite, 1),
        (folder.delete, 2),
        (folder.pack, 3),
        (folder.late, 2),
        (folder.bar, 1),
        (folder.unbar, 2),
        (reader.look, 12),
        (lambda: reader.kill(reads=0), 2),
        (lambda: reader.kill(reads=2), 2),
    ]


def check(folder: Folder, reader: Reader, run: str) -> None:
    out = Counter(record.raw for record in reader.kept)
    ids = Counter((record.place, record.raw) for record in reader.kept)
    destroyed = set().union(*(one.lines for one in folder.destroyed))
    assert not folder.must - set(out), f"{run}: lost {sorted(folder.must - set(out))[:3]}"
    assert max(ids.values(), default=0) <= 1, f"{run}: an id came twice"
    assert not [raw for raw in out if out[raw] > 1 and raw not in folder.scraps], f"{run}: a line has two ids"
    assert not set(out) - folder.must - destroyed - folder.scraps, f"{run}: lines that nobody wrote"
    told = {loss.origin for loss in reader.losses}
    silent = {one.look for one in folder.destroyed if one.noticed and one.lines - set(out)}
    assert len(told) >= len(silent), f"{run}: {len(silent)} losses, {len(told)} told"
    assert len(told) <= len(folder.destroyed), f"{run}: {len(told)} losses told, {len(folder.destroyed)} could be"
    known = sum(loss.size_bytes or 0 for loss in {loss.origin: loss for loss in reader.losses}.values())
    assert known <= sum(one.size for one in folder.destroyed), f"{run}: more bytes told as lost than were destroyed"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that anybody may search: pytest closes its own to others, and does so again at each run."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("seed", range(5))
def test_random_steps_lose_nothing_that_is_not_told_and_repeat_nothing(place: Path, seed: int) -> None:
    run(place, seed, 300)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_once_failed_does_not_again(place: Path, seed: int) -> None:
    run(place, seed, 200)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
def test_ten_thousand_random_steps(place: Path, seed: int) -> None:
    run(place, seed, 10_000)
