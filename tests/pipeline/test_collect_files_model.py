"""Files through the collecting role, the journal and the index, with crashes: no line lost, no id twice."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from collectors.formats.registry import decode
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.roles.index import Indexer
from tests.collectors.file_model import Folder
from tests.pipeline.test_collect import Bench


def _look(bench: Bench, folder: Folder) -> None:
    bench.steps(4)
    folder.looked()


def _crash(bench: Bench) -> None:
    bench.feed.source.close()
    bench.restart()


def _index(bench: Bench, index: SqliteIndex) -> None:
    """Index from the beginning of the stream, as after a crash before the first commit."""
    indexer = Indexer(bench.stream, index)
    while indexer.step(bench.now):
        pass


@pytest.mark.parametrize("seed", range(2))
def test_each_line_is_in_the_index_once_whatever_writers_rotation_and_crashes_do(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    folder = Folder(tmp_path, chance, name="in.log", files={})
    bench, index = Bench(tmp_path), SqliteIndex(tmp_path / "index")
    folder.append(folder.name, b"")
    acts = {
        folder.write: 20,
        folder.rotate: 4,
        folder.pack: 3,
        folder.late: 2,
        folder.cut: 2,
        folder.delete: 2,
        folder.copytruncate: 3,
        (lambda: _look(bench, folder)): 12,
        (lambda: _crash(bench)): 3,
        (lambda: _index(bench, index)): 2,
    }
    for _ in range(250):
        chance.choices(list(acts), list(acts.values()))[0]()
    bench.steps(90)
    _index(bench, index)
    found = [hit for hit in index.scan(None, None) if hit.fields is not None]
    lines = Counter(str(hit.fields["event.original"]) for hit in found if hit.fields and "log.offset" in hit.fields)
    journalled = Counter(str(event["event.id"]) for event in bench.events())
    scraps = {decode(line) for line in folder.scraps}
    assert not {decode(line) for line in folder.must} - set(lines), f"seed {seed}: lost"
    assert max(Counter(hit.place for hit in found).values()) == 1, f"seed {seed}: an id twice in the index"
    assert max(journalled.values()) == 1, f"seed {seed}: an id twice in the journal"
    assert not [line for line, count in lines.items() if count > 1 and line not in scraps], f"seed {seed}: two ids"
    bench.feed.source.close()
    index.close()
