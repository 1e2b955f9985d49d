"""The journal, killed or refused at every system call that writes, and after a power cut at any of them.

strace does the killing and the refusing. For power cuts one run's writes and syncs are recorded; folders are made
from them in which what was not synced is there, missing or torn.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collectors.journal import Journal
from tests.collectors.journal_child import ROUNDS, TOPICS, rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace"),
]
ROOT = Path(__file__).parents[2]
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "write")
SEED = 20261122
SECONDS = 25  # at most, for each test: in that time every call is killed once
SECTOR = 512


def child(folder: Path, *options: str, mode: str = "") -> subprocess.CompletedProcess[str]:
    """Run the child under strace; what it acknowledged is on its standard output."""
    program = [sys.executable, str(ROOT / "tests" / "collectors" / "journal_child.py"), str(folder), *mode.split()]
    trace = ["strace", "-f", "--seccomp-bpf", "-o", str(folder) + ".log", *options]
    return subprocess.run(
        [*trace, *program], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def counts(folder: Path) -> dict[str, int]:
    """Return how often a whole run makes each call."""
    done = child(folder, "-e", f"trace={','.join(CALLS)}")
    assert done.returncode == 0, done.stderr
    text = Path(f"{folder}.log").read_text()
    return {call: len(re.findall(rf"^\d+ +{call}\(", text, re.MULTILINE)) for call in CALLS}


def present(journal: Journal) -> list[int]:
    """Return the rounds that are there, each whole and byte for byte, in order."""
    first, normal = journal.read("first", 0, 1000), journal.read("normal", 0, 1000)
    assert len(first) == 2 * len(normal)
    rounds = []
    for n, row in enumerate(normal):
        number = int(row.value[:1])
        appended = {"first": [(r.key, r.value) for r in first[2 * n : 2 * n + 2]], "normal": [(row.key, row.value)]}
        assert appended == rows(number)
        rounds.append(number)
    return rounds


def check(folder: Path, acknowledged: int, what: str, *, dropped: bool) -> None:
    """What was acknowledged is there, nothing else but whole rounds, positions fit; and it goes on."""
    journal = Journal(folder, TOPICS, segment_bytes=50_000)
    rounds, positions = present(journal), journal.positions()
    losses = [loss for loss in journal.findings() if not loss.origin.startswith(b"journal:torn")]
    assert not losses, f"{what}: {losses}"
    last = max(rounds, default=0)
    assert acknowledged <= last or (dropped and not rounds), f"{what}: {rounds} of {acknowledged}"
    assert rounds == list(range(rounds[0], last + 1)) if rounds else True, f"{what}: {rounds}"
    assert dropped or not rounds or rounds[0] == 1, f"{what}: {rounds}"
    assert positions.get("source", "0") == str(max(last, acknowledged if dropped else 0)), what
    fresh = journal.append(rows(9), {"source": "9"})
    assert [row.value for row in journal.read("normal", fresh["normal"], 9)] == [rows(9)["normal"][0][1]], what
    journal.close()


def acknowledged(done: subprocess.CompletedProcess[str]) -> int:
    return max(map(int, done.stdout.split()), default=0)


def until_late(cases: list[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Yield as many cases as there is time for, spread over all of them."""
    random.Random(SEED).shuffle(cases)
    deadline = time.monotonic() + SECONDS
    for n, case in enumerate(cases):
        if time.monotonic() > deadline:
            print(f"{n} of {len(cases)} in {SECONDS} s, seed {SEED}")
            return
        yield case


def test_killed_at_any_call_that_writes_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    cases = [(call, n + 1) for call, count in counts(tmp_path / "whole").items() for n in range(count)]
    assert len(cases) > 150

    def killed(case: tuple[str, int]) -> None:
        folder = tmp_path / f"{case[0]}-{case[1]}"
        done = child(folder, "-e", f"inject={case[0]}:signal=SIGKILL:when={case[1]}")
        if not folder.exists():
            return
        check(folder, acknowledged(done), f"killed at {case}", dropped=acknowledged(done) >= ROUNDS - 1)
        shutil.rmtree(folder)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(killed, until_late(cases), chunksize=1))


@pytest.mark.parametrize(
    ("call", "error", "advice"),
    [
        ("pwrite64", "ENOSPC", "the disk is full: free some"),
        ("fdatasync", "EIO", "look into the kernel's log"),
        ("fsync", "EIO", "look into the kernel's log"),
        ("rename", "EROFS", "the file system is read-only"),
    ],
)
def test_refused_once_at_any_call_it_says_why_and_goes_on(tmp_path: Path, call: str, error: str, advice: str) -> None:
    count = counts(tmp_path / "whole")[call]
    assert count
    said = []
    for _, n in until_late([(call, n + 1) for n in range(count)][:60]):
        folder = tmp_path / str(n)
        done = child(folder, "-e", f"inject={call}:error={error}:when={n}")
        assert (done.returncode, acknowledged(done)) == (0, ROUNDS), f"{call} {n}: {done.stderr}"
        said.append(done.stderr)
        journal = Journal(folder, TOPICS)
        rounds = present(journal)  # what was refused may be there twice: it has the same ids
        assert rounds == sorted(rounds)
        assert set(rounds) >= {ROUNDS}
        assert journal.positions()["source"] == str(ROUNDS)
        assert not journal.findings()
        journal.close()
    assert any(advice in text for text in said), said


def test_killed_while_it_mends_it_mends_the_same_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "damaged", TOPICS)
    for number in (1, 2, 3):
        journal.append(rows(number), {"source": str(number)})
    journal.close()
    path = tmp_path / "damaged" / "000000001.db"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"2-1" * 20, b"2-1" * 19 + b"2-7"))

    whole = Path(shutil.copytree(tmp_path / "damaged", tmp_path / "whole"))
    done = child(whole, "-e", f"trace={','.join(CALLS)}", mode="read")
    assert done.returncode == 0, done.stderr
    text = Path(f"{whole}.log").read_text()
    cases = [(call, n + 1) for call in CALLS for n in range(len(re.findall(rf"^\d+ +{call}\(", text, re.MULTILINE)))]
    assert len(cases) > 30
    for call, n in until_late(cases):
        folder = Path(shutil.copytree(tmp_path / "damaged", tmp_path / f"{call}-{n}"))
        child(folder, "-e", f"inject={call}:signal=SIGKILL:when={n}", mode="read")
        journal = Journal(folder, TOPICS)
        found = [row.offset for row in journal.read("first", 0, 100)]
        assert (found, len(journal.read("normal", 0, 100))) == ([0, 1, 2, 4, 5], 3), f"killed at {call} {n}"
        assert journal.positions() == {"source": "3"}
        assert [loss.origin for loss in journal.findings()] == [b"journal:first:3-4"], f"killed at {call} {n}"
        assert len(list((folder / "damaged").glob("*.db"))) == 1, f"killed at {call} {n}"
        journal.close()
        shutil.rmtree(folder)


# power cuts


@dataclass
class Disk:
    """What a run did to the folder, call by call, and what a power cut leaves of it."""

    folder: Path
    operations: list[tuple[object, ...]] = field(default_factory=list)

    def record(self, log: str) -> None:
        for line in log.splitlines():
            call = re.match(r"\d+ +(\w+)\((.*)\) += (-?\d+)", line)
            if call is None or int(call[3]) < 0:
                continue
            self._add(call[1], call[2])

    def _add(self, call: str, arguments: str) -> None:
        texts = [_unescape(text) for text in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)]
        opened = re.match(r"(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?", arguments)
        path = _unescape(opened[1]).decode() if opened else ""
        inside = path.startswith(str(self.folder)) and not (opened and opened[2])
        if call == "write" and arguments.startswith("1<"):
            self.operations.append(("ack", int(texts[0])))
        elif call == "pwrite64" and inside:
            self.operations.append(("write", path, int(arguments.rpartition(", ")[2]), texts[0]))
        elif call == "ftruncate" and inside:
            self.operations.append(("truncate", path, int(arguments.rpartition(", ")[2])))
        elif call in ("fsync", "fdatasync") and inside:
            self.operations.append(("sync", path))
        elif call in ("rename", "unlink") and texts[0].startswith(bytes(self.folder)):
            self.operations.append((call, *(text.decode() for text in texts)))

    def cut(self, at: int, chance: random.Random, into: Path) -> int:
        """Make the folder as a power cut after `at` calls leaves it; return the last round acknowledged before."""
        names: list[tuple[object, ...]] = []  # changes of names since the folder was last synced
        durable: dict[str, int] = {}  # name -> file
        now: dict[str, int] = {}
        data: list[bytearray] = []
        unsynced: list[list[tuple[object, ...]]] = []
        last = 0
        for operation in self.operations[:at]:
            kind, path = operation[0], str(operation[1])
            if kind == "ack":
                last = int(path)
            elif kind == "rename":
                now[str(operation[2])] = now.pop(path)
                names.append(("name", dict(now)))
            elif kind == "unlink":
                now.pop(path, None)
                names.append(("name", dict(now)))
            elif kind == "sync" and path == str(self.folder):
                durable, names = dict(now), []
            else:
                if path not in now:
                    now[path] = len(data)
                    data.append(bytearray())
                    unsynced.append([])
                    names.append(("name", dict(now)))
                file = now[path]
                if kind == "sync":
                    for change in unsynced[file]:
                        _apply(data[file], change)
                    unsynced[file] = []
                else:
                    unsynced[file].append(operation)
        kept = chance.randint(0, len(names))
        state = names[kept - 1][1] if kept else durable
        assert isinstance(state, dict)
        into.mkdir()
        for name, file in state.items():
            if name.endswith("-shm"):
                continue  # SQLite makes it anew
            content = bytearray(data[file])
            for change in unsynced[file]:
                _apply(content, change, chance)
            (into / Path(name).name).write_bytes(content)
        return last


def _apply(content: bytearray, change: tuple[object, ...], chance: random.Random | None = None) -> None:
    """Do a write or a truncation, or, with `chance`, perhaps not, or only some sectors of it."""
    fate = "all" if chance is None else chance.choice(("all", "none", "torn"))
    if fate == "none":
        return
    if change[0] == "truncate":
        size = int(str(change[2]))
        content[:] = content[:size].ljust(size, b"\0")
        return
    at, written = int(str(change[2])), change[3]
    assert isinstance(written, bytes)
    for start in range(0, len(written), SECTOR):
        if chance is None or fate == "all" or chance.random() < 0.5:
            piece = written[start : start + SECTOR]
            if len(content) < at + start:
                content.extend(bytes(at + start - len(content)))
            content[at + start : at + start + len(piece)] = piece


def _unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def test_a_power_cut_at_any_moment_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = child(folder, "-y", "-xx", "-s", "200000", "-e", f"trace={','.join(CALLS)}")
    assert acknowledged(done) == ROUNDS
    disk = Disk(folder)
    disk.record(Path(f"{folder}.log").read_text())
    assert sum(operation[0] == "ack" for operation in disk.operations) == ROUNDS
    dropping = max(n for n, operation in enumerate(disk.operations) if operation == ("ack", ROUNDS - 1))
    chance, deadline, rounds = random.Random(SEED), time.monotonic() + 12, 0
    while time.monotonic() < deadline:
        rounds += 1
        at = chance.randint(1, len(disk.operations))
        target = tmp_path / f"cut-{rounds}"
        last = disk.cut(at, chance, target)
        check(target, last, f"seed {SEED}, round {rounds}: power cut after call {at}", dropped=at > dropping)
        shutil.rmtree(target)
    print(f"{rounds} power cuts, seed {SEED}")
    assert rounds > 20
