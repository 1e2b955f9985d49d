"""What the notifier costs: alert -> send with many incidents open, a burst, memory, and the time to take over.

Run: .venv/bin/python -m benchmarks.paging [--incidents N]
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from notifiers.channels import Receipt
from notifiers.message import Message as Rendered
from notifiers.policy import Policy
from notifiers.route import parse
from pipeline.roles.incident_log import replayed
from pipeline.roles.notify import Notify
from pipeline.streams import ALERTS, Message
from pipeline.streams.sqlite import SqliteStream
from pipeline.streams.whole import own_group
from rules.alert import Alert
from tests.standins.alerts import root_login

_BATCH = 500


class Clocked:
    """A channel that takes everything and notes when."""

    kind = "clocked"

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.messages = 0

    def send(self, message: Rendered, previous: Receipt | None) -> Receipt:
        self.messages += 1
        self.at[message.subject] = time.perf_counter()
        return Receipt(message.incident)


def put(stream: SqliteStream, alerts: list[Alert]) -> None:
    stream.append(ALERTS, [Message(one.id, one.model_dump_json().encode()) for one in alerts])


def login(number: int, *, old: bool = False) -> Alert:
    return root_login(f"e{number}", host=f"host-{number}", time=datetime.now(UTC), old=old)


def fill(folder: Path, policy: Policy, count: int) -> float:
    """Open so many incidents; return how many a second."""
    stream = SqliteStream(folder)
    notify = Notify(stream, policy, {"a": [Clocked()]}, wait=0)
    notify.step(datetime.now(UTC))
    began = time.perf_counter()
    for start in range(0, count, _BATCH):
        put(stream, [login(number, old=True) for number in range(start, min(start + _BATCH, count))])
        while notify.step(datetime.now(UTC)):
            pass
    rate = count / (time.perf_counter() - began)
    notify.close()
    stream.close()
    return rate


def rebuild(folder: Path, pipe: Connection) -> None:
    """Take over, in a process of its own, and say what that cost: incidents, seconds, MiB."""
    before = psutil.Process().memory_info().rss
    stream = SqliteStream(folder)
    began = time.perf_counter()
    ledger = replayed(stream, Policy(parse({"receiver": "a"})), own_group("bench"))
    took = time.perf_counter() - began
    pipe.send((len(ledger.incidents), took, (psutil.Process().memory_info().rss - before) / 2**20))


def latency(folder: Path, policy: Policy, count: int, gap: float) -> tuple[list[float], int]:
    """Return the seconds from append to send, sorted, and the number of messages."""
    channel, stop, ready = Clocked(), threading.Event(), threading.Event()

    def run() -> None:
        stream = SqliteStream(folder)
        notify = Notify(stream, policy, {"a": [channel]})
        notify.step(datetime.now(UTC))
        ready.set()
        while not stop.is_set():
            notify.step(datetime.now(UTC))
        notify.close()
        stream.close()

    thread = threading.Thread(target=run)
    thread.start()
    stream = SqliteStream(folder)
    ready.wait()
    asked: dict[str, float] = {}
    for number in range(10_000_000, 10_000_000 + count):
        alert = login(number)
        asked[f"Root login over SSH: root from 203.0.113.9 on host-{number} [production]"] = time.perf_counter()
        put(stream, [alert])
        time.sleep(gap)
    time.sleep(3 if gap > 0.05 else 62)
    stop.set()
    thread.join()
    stream.close()
    return sorted(
        channel.at[subject] - began for subject, began in asked.items() if subject in channel.at
    ), channel.messages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=10_000)
    count = parser.parse_args().incidents
    policy = Policy(parse({"receiver": "a"}), storm=10**9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"open {count} incidents: {fill(folder, policy, count):.0f}/s")
        here, there = multiprocessing.get_context("spawn").Pipe()
        multiprocessing.get_context("spawn").Process(target=rebuild, args=(folder, there)).start()
        known, took, size = here.recv()
        print(f"take over {known} incidents: {took:.2f} s, {size:.0f} MiB more resident")
        times, _ = latency(folder, policy, 200, 0.1)
        p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
        print(f"alert -> send, {len(times)} of 200: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    with tempfile.TemporaryDirectory() as name:
        _, messages = latency(Path(name), Policy(parse({"receiver": "a"})), 1000, 0.01)
        print(f"1000 alerts in 10 s: {messages} messages")


if __name__ == "__main__":
    main()
