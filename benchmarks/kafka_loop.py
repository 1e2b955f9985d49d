"""The Kafka stream against bare kafka-python (with crc32c): the same topic, the same records, one process.

CPU time of this process (the broker's is its own), interleaved pairs in one run; what counts is the ratio.
Usage: python -m benchmarks.kafka_loop [records] [pairs]. Starts a real broker, as the tests do. (Not `kafka.py`: that
would stand before the client in every script of this folder.)
"""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from pipeline.streams import ALERTS, Message
from pipeline.streams.kafka import KafkaStream
from tests.services.kafka import Kafka

BATCH = 500


def cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def bare_append(servers: list[str], values: list[bytes]) -> float:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=2, batch_size=256 * 1024)

    def fill() -> None:
        for start in range(0, len(values), BATCH):
            sent = [producer.send("bare.alerts", value, key=b"host") for value in values[start : start + BATCH]]
            producer.flush()
            for future in sent:
                future.get(timeout=0)

    spent = cpu(fill)
    producer.close()
    return spent


def our_append(servers: list[str], values: list[bytes]) -> float:
    stream = KafkaStream(servers, prefix="bare")
    stream.ends(ALERTS)
    stream.append(ALERTS, [])

    def fill() -> None:
        for start in range(0, len(values), BATCH):
            stream.append(ALERTS, [Message("host", value) for value in values[start : start + BATCH]])

    spent = cpu(fill)
    stream.close()
    return spent


def bare_read(servers: list[str], count: int) -> float:
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, max_partition_fetch_bytes=4 << 20)
    consumer.assign([TopicPartition("bare.alerts", 0)])
    consumer.seek(TopicPartition("bare.alerts", 0), 0)

    def drain() -> None:
        left = count
        while left > 0:
            for records in consumer.poll(timeout_ms=200, max_records=2000).values():
                left -= len(records)

    spent = cpu(drain)
    consumer.close()
    return spent


def our_read(servers: list[str], count: int, group: str) -> float:
    stream = KafkaStream(servers, prefix="bare")
    while not stream.read(ALERTS, group, 1, 0.2).gained:
        pass

    def drain() -> None:
        left = count
        while left > 0:
            left -= len(stream.read(ALERTS, group, 2000, 0.2).messages)

    spent = cpu(drain)
    stream.close()
    return spent


def report(name: str, count: int, bare: list[float], ours: list[float]) -> None:
    ratios = [b / o for b, o in zip(bare, ours, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs"
    print(f"{name}: {statistics.median(ratios):.2f} x bare kafka-python ({spread}; floor 0.7, aim 0.9)")
    print(f"        {count / statistics.median(ours):,.0f} records per CPU-second")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    values = [(f'{{"event.sequence":{n},' + '"x":"y",' * 80 + '"z":1}').encode() for n in range(count)]
    print(f"{platform.machine()}, Python {platform.python_version()}, records of {len(values[0])} bytes")
    with tempfile.TemporaryDirectory() as folder:
        broker = Kafka(Path(folder))
        try:
            our_append(broker.servers, values[:1])
            written = [(bare_append(broker.servers, values), our_append(broker.servers, values)) for _ in range(pairs)]
            read = [(bare_read(broker.servers, count), our_read(broker.servers, count, f"g{n}")) for n in range(pairs)]
        finally:
            broker.stop()
    report("append", count, *map(list, zip(*written, strict=True)))
    report("read  ", count, *map(list, zip(*read, strict=True)))


if __name__ == "__main__":
    main()
