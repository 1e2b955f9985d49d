"""The witness in a fleet: partitions move from worker to worker, workers die, and no gap is invented or missed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.assemble import Host
from collectors.chain import Chain, Key
from pipeline import testimony as testifying
from pipeline.chaining import KeyFile, Sealing
from pipeline.enrolled import Enrolment
from pipeline.roles.detect import Detect
from pipeline.roles.own import OwnEvents
from pipeline.roles.witnessing import Witnessing
from pipeline.seals import Seals
from pipeline.streams import DEADLETTER, EVENTS, Message
from rules.event import rfc3339
from rules.ruleset import load
from tests.pipeline.memory_stream import Killed, Log, MemoryStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
SECRET = bytes(range(32))
HOSTS = [f"h{n}" for n in range(8)]


def worker(log: Log, folder: Path, name: str, dies_at: int | None = None) -> Detect:
    known = {host: Enrolment(host, host, SECRET.hex(), rfc3339(NOW)) for host in HOSTS}
    stream = MemoryStream(log, dies_at)
    keys = KeyFile(folder / f"{name}.key")
    keys.write(Key(0, SECRET), 0, sync=False)
    own = OwnEvents(name, Sealing(Host(name, name, bytes(32)), "detect", keys, name), folder / f"{name}.chain")
    seals = Seals(lambda host, role: known.get(host))
    witness = Witnessing(
        stream, seals, testifying.Testimony(Host(name, name, bytes(32)), str), own, refuse=frozenset(("forged",))
    )
    return Detect(stream, load([], {}), engine="test", witness=witness)


def told(log: Log, action: str) -> set[tuple[str, int]]:
    """Return the hosts of whom it was told, and the count."""
    values = [msgspec.json.decode(one.value) for part in log.topic(EVENTS) for one in part]
    return {
        (one["tocsin.about.host"], one["tocsin.about.count"]) for one in values if one.get("event.action") == action
    }


@pytest.mark.parametrize("seed", range(12))
def test_workers_come_and_go_and_die(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    print(f"seed {seed}")
    log = Log(4, NOW)
    writer = MemoryStream(log)
    chains = {host: Chain(f"{host}/collect", Key(0, SECRET), "0000000000000001") for host in HOSTS}
    workers = {"w0": worker(log, tmp_path, "w0")}
    removed: dict[str, int] = {}
    for second in range(60):
        log.now = now = NOW + timedelta(seconds=second)
        for host, chain in chains.items():
            for _ in range(chance.randrange(4)):
                fields = {"@timestamp": rfc3339(now), "host.id": host, "tocsin.record": "event", "tocsin.class": "auth"}
                value = chain.seal("first/auth", {**fields, "event.id": f"{host}{second}"})
                if 10 < second < 50 and host not in removed and chance.random() < 0.02:
                    removed[host] = 1
                else:
                    writer.append(EVENTS, [Message(host, value)])
        if chance.random() < 0.1:
            name = f"w{second}"
            workers[name] = worker(log, tmp_path, name, chance.choice([None, chance.randrange(40)]))
        if len(workers) > 1 and chance.random() < 0.1:
            workers.pop(chance.choice(list(workers)))._stream.close()
        for name, one in list(workers.items()):
            try:
                for _ in range(3):
                    one.step(now)
            except Killed:
                workers.pop(name)._stream.close()
        if not workers:
            workers[f"n{second}"] = worker(log, tmp_path, f"n{second}")
    last = NOW + timedelta(minutes=5)
    for host, chain in chains.items():
        writer.append(EVENTS, [Message(host, chain.seal("first/auth", {"host.id": host, "@timestamp": rfc3339(last)}))])
    for _ in range(6):
        for one in workers.values():
            one.step(last)
    assert removed
    assert told(log, "chain-gap") == set(removed.items())
    assert told(log, "chain-clone") == told(log, "chain-reordered") == set()
    assert all(b"chain" not in one.value for part in log.topic(DEADLETTER) for one in part)


def test_key_numbers_that_a_stranger_makes_up_cost_milliseconds_not_seconds() -> None:
    import time

    enrolled = NOW - timedelta(days=3 * 365)
    seals = Seals(lambda host, role: Enrolment("h1", "db-7", SECRET.hex(), rfc3339(enrolled)))
    value = Chain("h1/collect", Key(0, bytes(32)), "0000000000000001").seal("first/auth", {"host.id": "h1"})
    seals.check(value, "h1", "h1/collect/first/auth", 1_500_000, NOW)  # once, the whole way
    chance = random.Random(1)
    start = time.process_time()
    for _ in range(500):
        doubt = seals.check(value, "h1", "h1/collect/first/auth", chance.randrange(1_500_000), NOW)
        assert doubt is not None
    assert time.process_time() - start < 5
