"""The embedded index against bare SQLite: the same tables and indexes filled by executemany from ready rows.

CPU time of one process, interleaved pairs in one run; what counts is the ratio. Usage: index.py [events] [pairs]
"""

from __future__ import annotations

import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import msgspec

from pipeline.indexes import Document, Query, rows
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.search.language import parse
from pipeline.search.words import text_for_words
from rules.event import Value, rfc3339

BATCH = 500
START = datetime(2026, 11, 22, tzinfo=UTC)


def corpus(count: int, seed: int = 7) -> Iterator[Document]:
    """Logins, as the collector writes them, over one day."""
    draw = random.Random(seed)
    users, hosts = [f"user{n}" for n in range(200)], [f"db-{n}" for n in range(50)]
    for number in range(count):
        time = START + timedelta(seconds=86_000) * number / count
        user, host = draw.choice(users), draw.choice(hosts)
        address = f"10.{draw.randrange(4)}.{draw.randrange(256)}.{draw.randrange(256)}"
        port, pid, good = draw.randrange(1024, 65536), draw.randrange(400_000), draw.random() < 0.5
        said = f"{'Accepted publickey' if good else 'Failed password'} for {user} from {address} port {port} ssh2"
        fields: dict[str, Value] = {
            "@timestamp": rfc3339(time),
            "event.id": draw.randbytes(16).hex(),
            "host.id": f"{hash(host) % 2**32:08x}",
            "host.name": host,
            "host.hostname": host,
            "event.module": "sshd",
            "event.dataset": "system.auth",
            "event.created": rfc3339(time),
            "event.original": f"Nov 22 02:14:00 {host} sshd[{pid}]: {said}",
            "event.sequence": number,
            "event.kind": "event",
            "event.category": ["authentication"],
            "event.type": ["start"],
            "event.action": "ssh_login",
            "event.outcome": "success" if good else "failure",
            "tocsin.schema": 1,
            "tocsin.record": "event",
            "tocsin.class": "auth",
            "tocsin.source": "file:/var/log/auth.log",
            "tocsin.writer": "0011223344556677/collect",
            "user.name": user,
            "source.ip": address,
            "source.port": port,
            "process.name": "sshd",
            "process.pid": pid,
            "message": said,
            "service.environment": "production",
        }
        yield Document(str(fields["event.id"]), "auth", time, msgspec.json.encode(fields))


def batches(documents: Sequence[Document]) -> Iterator[Sequence[Document]]:
    for start in range(0, len(documents), BATCH):
        yield documents[start : start + BATCH]


def cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def ours(documents: Sequence[Document], folder: Path) -> float:
    index = SqliteIndex(folder)

    def fill() -> None:
        for batch in batches(documents):
            index.put(batch)

    spent = cpu(fill)
    index.close()
    return spent


def theirs(documents: Sequence[Document], folder: Path) -> float:
    """Rows made beforehand, documents as they are."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(rows.SCHEMA)
    ready = [_ready(batch, number * BATCH + 1) for number, batch in enumerate(batches(documents))]

    def fill() -> None:
        for hits, texts, words in ready:
            connection.execute("BEGIN")
            connection.executemany(rows.INSERT_HIT, hits)
            connection.executemany(rows.INSERT_DOCUMENT, texts)
            connection.executemany(rows.INSERT_WORDS, words)
            connection.execute("COMMIT")

    spent = cpu(fill)
    connection.close()
    return spent


def _ready(batch: Sequence[Document], first: int) -> tuple[list[object], list[object], list[object]]:
    numbered = [(n, one, rows.decode(one.value)) for n, one in enumerate(batch, first)]
    return (
        [rows.hit(n, one, fields) for n, one, fields in numbered],
        [(n, 0, one.value) for n, one, _ in numbered],
        [(n, text_for_words(fields)) for n, _, fields in numbered],
    )


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def compare(documents: Sequence[Document], pairs: int) -> None:
    ratios, rates, sizes = [], [], []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
            bare_seconds, our_seconds = theirs(documents, Path(b)), ours(documents, Path(a))
            ratios.append(bare_seconds / our_seconds)
            rates.append(len(documents) / our_seconds)
            sizes.append(size(Path(a)) / sum(len(one.value) for one in documents))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"insert: {statistics.median(ratios):.2f} x bare executemany ({spread}, {pairs} pairs; floor 0.7, aim 0.9)")
    print(f"        {statistics.median(rates):,.0f} events per CPU-second")
    print(f"disk:   {statistics.median(sizes):.2f} x the raw JSON (floor 0.7, aim 0.55)")


def searches(documents: Sequence[Document]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = SqliteIndex(Path(folder))
        for batch in batches(documents):
            index.put(batch)
        last = documents[-1].time
        for name, text in (
            ("term + time", "user.name:user7"),
            ("two terms", "user.name:user7 event.outcome:failure"),
            ("word + time", "publickey"),
            ("rare word", documents[len(documents) // 2].id[:12]),
            ("address anywhere", "10.3.77.8"),
            ("no such word", "nonsenseword"),
        ):
            query = Query(parse(text), since=last - timedelta(hours=20), until=last, limit=100)
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                page = index.search(query)
                times.append((time.perf_counter() - begun) * 1000)
            print(
                f"search: {name}: {statistics.median(times):.2f} ms, {len(page.hits)} hits of {len(documents):,} events"
            )
        index.close()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    begun = time.process_time()
    for _ in range(10**6):
        pass
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
          f"{(time.process_time() - begun) * 1000:.0f} ms CPU for an empty loop of 10**6")  # fmt: skip
    documents = list(islice(corpus(count), count))
    compare(documents, pairs)
    searches(documents)


if __name__ == "__main__":
    main()
