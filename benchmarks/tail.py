"""The file source: lines a CPU second with a checkpoint after each batch, and ten thousand idle files.

The peers: a bare loop that reads and splits, the same with a checkpoint (write and rename) after each block, and
rsyslog's imfile into a file, where rsyslogd is. All read the same file, in turns. Usage: tail.py [lines] [idle files]
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import machine
from collectors.sources.file import FileSource
from collectors.sources.tail import CHUNK

LINE = "Nov 22 {:02}:{:02}:{:02} web-1 sshd[{}]: Accepted password for user{} from 203.0.113.{} port {} ssh2\n"
RSYSLOG = """
global(workDirectory="{0}")
module(load="imfile" mode="inotify")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imfile" file="{1}" tag="a" ruleset="r" addMetadata="off")
ruleset(name="r" queue.type="Direct") {{
    action(type="omfile" file="{0}/out.log" template="raw" asyncWriting="off" flushOnTXEnd="on")
}}
"""


def main() -> None:
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    print(machine.line())
    with tempfile.TemporaryDirectory() as name:
        throughput(Path(name), lines)
    with tempfile.TemporaryDirectory() as name:
        idle(Path(name), files)


# lines a second


def throughput(folder: Path, count: int) -> None:
    """Print lines and bytes a CPU second of each, and ours against the peers."""
    log = folder / "auth.log"
    with log.open("w") as file:
        file.writelines(
            LINE.format(n // 3600 % 24, n // 60 % 60, n % 60, n % 32768, n % 97, n % 251, n % 60000)
            for n in range(count)
        )
    size = log.stat().st_size
    ways: dict[str, Callable[[Path], int]] = {
        "bare read and split": lambda log: bare(log, checkpoint=False),
        "the same with a checkpoint": lambda log: bare(log, checkpoint=True),
        "file source": source,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(7):
        for name, way in ways.items():
            began = time.process_time()
            assert way(log) == count
            took[name].append(time.process_time() - began)
    rate = {name: count / statistics.median(each) for name, each in took.items()}
    imfile = rsyslog(log, count)
    if imfile:
        rate["rsyslog imfile"] = imfile
    for name, each in rate.items():
        print(f"{name:28} {each:>12,.0f} lines/cpu-s {each * size / count / 1e6:>7,.0f} MB/cpu-s")
    ours = rate.pop("file source")
    print("file source: " + ", ".join(f"{ours / each:.2f} of {name}" for name, each in rate.items()))


def bare(log: Path, *, checkpoint: bool) -> int:
    rest, count, offset = b"", 0, 0
    with log.open("rb", buffering=0) as file:
        while block := file.read(CHUNK):
            *lines, rest = (rest + block).split(b"\n")
            count += len(lines)
            offset += len(block)
            if checkpoint:
                keep(log, f'{{"inode": 7, "offset": {offset}}}')
    return count


def source(log: Path) -> int:
    """Read as the collecting role does: each batch, then the position behind it, durable before the next."""
    follow, count, now = FileSource("file", [str(log)], "syslog"), 0, datetime(2026, 11, 22, tzinfo=UTC)
    follow.open(None, now)
    while records := follow.read(now, 2000).records:
        count += len(records)
        keep(log, follow.position(list({record.lane: record for record in records[-1:]}.values())))
    follow.close()
    return count


def keep(log: Path, position: str) -> None:
    place = log.parent / "state"
    place.mkdir(exist_ok=True)
    fresh = place / "position.new"
    fresh.write_text(position)
    fresh.rename(place / "position")


def rsyslog(log: Path, count: int) -> float | None:
    """Return lines a CPU second of rsyslog, read from a file into a file."""
    if shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") is None:
        print("rsyslogd is not here: apt-get install rsyslog")
        return None
    rates = []
    for n in range(3):
        place = log.parent / f"rsyslog{n}"
        place.mkdir()
        (place / "conf").write_text(RSYSLOG.format(place, log))
        command = ["/usr/sbin/rsyslogd", "-n", "-f", str(place / "conf"), "-i", str(place / "pid")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            out, began = place / "out.log", time.monotonic()
            while not out.exists() or out.stat().st_size < log.stat().st_size:
                time.sleep(0.05)
                if time.monotonic() - began > 60 or process.poll() is not None:
                    process.kill()
                    print("rsyslog did not copy the file")
                    return None
            used = psutil.Process(process.pid).cpu_times()
            process.terminate()
        rates.append(count / (used.user + used.system))
        shutil.rmtree(place)
    return statistics.median(rates)


# ten thousand idle files


def idle(folder: Path, files: int, seconds: float = 20.0) -> None:
    """Print memory, CPU, descriptors and the latency of a new line with many files on one glob."""
    for n in range(files):
        (folder / f"app-{n}.log").write_text(LINE.format(1, 2, 3, n, n, n % 250, n))
    process = psutil.Process()
    before, opened = process.memory_info().rss, process.num_fds()
    follow = FileSource("file", [str(folder / "app-*.log")], "syslog")
    began = time.process_time()
    follow.open(None, datetime.now(UTC))
    count = 0
    while records := follow.read(datetime.now(UTC), 2000).records:
        count += len(records)
        position = follow.position(list({record.lane: record for record in records}.values()))
    first = time.process_time() - began
    looks(follow, 12)  # a sweep after the last line
    began = time.process_time()
    looks(follow, seconds)
    used = time.process_time() - began
    memory, descriptors = (process.memory_info().rss - before) / 2**20, process.num_fds() - opened
    print(
        f"{files} idle files, {count} lines read at first in {first:.1f} CPU-s: {memory:.0f} MiB, {descriptors} "
        f"descriptors, {100 * used / seconds:.2f} % of a core, position {len(position) / 1024:.0f} KiB"
    )
    print(f"a new line among them: {1000 * statistics.median(latency(follow, folder, n) for n in range(20)):.0f} ms")
    follow.close()


def looks(follow: FileSource, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        follow.read(datetime.now(UTC), 2000)
        time.sleep(0.15)


def latency(follow: FileSource, folder: Path, n: int) -> float:
    """Return the seconds from a line's writing to its reading, with 0.15 s between looks as the role has it."""
    with (folder / f"app-{n * 37}.log").open("a") as file:
        file.write("new\n")
    began = time.monotonic()
    while True:
        time.sleep(0.15)
        records = follow.read(datetime.now(UTC), 2000).records
        if records:
            follow.position(records)
            return time.monotonic() - began


if __name__ == "__main__":
    main()
