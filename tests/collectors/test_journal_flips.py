"""Bits that flip in the journal's files: what reads back is what was written, or is reported lost; nothing loops."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.journal import Journal
from collectors.sources import Loss

TOPICS = ("audit.events", "audit.alerts")
Written = dict[str, dict[int, tuple[str, bytes]]]
SEED = 20261122
SECONDS = 15


class Original:
    """A journal of several segments, as a crash leaves it: the newest one's log has not been written back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: Written = {topic: {} for topic in TOPICS}
        self.positions: dict[str, str] = {}
        self.before: dict[str, str] = {}  # the positions before the last transaction
        self.ends: dict[str, int] = {}  # and the ends
        chance = random.Random(SEED)
        journal = Journal(folder / "live", TOPICS, segment_bytes=100_000)
        for number in range(80):
            self._append(journal, number, chance)
        shutil.copytree(folder / "live", folder / "crashed")
        journal.close()
        assert len(list((folder / "crashed").glob("*.db"))) > 2
        assert sum(path.stat().st_size for path in (folder / "crashed").glob("*-wal")) > 20_000

    def _append(self, journal: Journal, number: int, chance: random.Random) -> None:
        self.before, self.ends = dict(self.positions), {topic: len(kept) for topic, kept in self.written.items()}
        rows = {
            topic: [(f"host-{number}", chance.randbytes(chance.choice((1, 300, 900, 9000)))) for _ in range(count)]
            for topic, count in (("audit.events", chance.randint(1, 8)), ("audit.alerts", number % 5 == 0))
            if count
        }
        positions = {f"source:{number % 7}": str(number) * chance.choice((1, 400, 3000)), "last": str(number)}
        for topic, first in journal.append(rows, positions).items():
            self.written[topic] |= dict(enumerate(rows[topic], first))
        self.positions |= positions

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.folder / "crashed", self.folder / name))


def flip(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    bits = [chance.randrange(8 * len(data)) for _ in range(chance.choice((1, 1, 1, 3, 40)))]
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"{path.name} bits {bits}"


def everything(journal: Journal, topic: str) -> dict[int, tuple[str, bytes]]:
    found, offset = dict[int, tuple[str, bytes]](), 0
    while rows := journal.read(topic, offset, 50):
        found |= {row.offset: (row.key, row.value) for row in rows}
        offset = rows[-1].offset + 1
    return found


def told(losses: list[Loss], topic: str) -> Iterator[int]:
    """Yield the offsets that are said to be gone."""
    for loss in losses:
        _, _, last = loss.origin.decode().partition(f"journal:{topic}:")
        if last:
            first, stop = map(int, last.split("-"))
            assert loss.records == stop - first
            yield from range(first, stop)


def check(original: Original, folder: Path, what: str) -> None:
    """Open, read all, append, read that, open again: without an error, and without a silent loss."""
    journal = Journal(folder, TOPICS, segment_bytes=100_000)
    found = {topic: everything(journal, topic) for topic in TOPICS}
    positions = journal.positions()
    fresh = journal.append({"audit.events": [("after", b"the damage")]}, {"after": "1"})["audit.events"]
    journal.close()
    again = Journal(folder, TOPICS)
    losses = again.findings()
    cut = any(loss.origin.startswith((b"journal:torn", b"journal:end")) for loss in losses)
    for topic in TOPICS:
        gone = set(told(losses, topic))
        for offset, row in original.written[topic].items():
            if offset in found[topic]:
                assert found[topic][offset] == row, f"{what}: {topic} {offset}"
                assert offset not in gone
            else:
                last = offset >= original.ends[topic]
                assert offset in gone or (cut and last), f"{what}: {topic} {offset} is missing, and nobody said so"
        assert found[topic].keys() <= original.written[topic].keys(), what
    whole = positions == original.positions or (cut and positions == original.before)
    assert whole or any(loss.origin.startswith(b"journal:positions") for loss in losses), what
    assert again.positions() == positions | {"after": "1"}, what
    assert [row.value for row in again.read("audit.events", fresh, 10)] == [b"the damage"], what
    assert everything(again, "audit.events").keys() - {fresh} == found["audit.events"].keys()
    again.close()


@pytest.fixture
def original(tmp_path: Path) -> Original:
    return Original(tmp_path)


def test_an_unharmed_journal_reads_back_whole_and_tells_of_nothing(original: Original) -> None:
    folder = original.copy("unharmed")
    check(original, folder, "unharmed")
    assert Journal(folder, TOPICS).findings() == []


@pytest.mark.parametrize("pattern", ["000000001.db", "*.db", "*.db-wal"])
def test_flipped_bits_cost_what_they_hit_and_are_told(original: Original, pattern: str) -> None:
    for seed in range(12):
        chance = random.Random(f"{SEED}:{pattern}:{seed}")
        folder = original.copy(f"flipped-{seed}")
        files = [path for path in sorted(folder.glob(pattern)) if path.stat().st_size]
        check(original, folder, f"seed {seed}: {flip(chance.choice(files), chance)}")
        shutil.rmtree(folder)


@pytest.mark.slow
def test_bits_flip_anywhere_for_a_while(original: Original) -> None:
    seed, deadline = 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        seed += 1
        chance = random.Random(f"{SEED}:anywhere:{seed}")
        folder = original.copy("flipped")
        files = [path for path in sorted(folder.iterdir()) if path.suffix != ".db-shm" and path.stat().st_size]
        what = "; ".join(flip(chance.choice(files), chance) for _ in range(chance.choice((1, 1, 2))))
        check(original, folder, f"seed {seed}: {what}")
        shutil.rmtree(folder)
    print(f"{SEED}: {seed} rounds")
    assert seed > 5
