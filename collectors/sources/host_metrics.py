"""Host metrics: disk (bytes and inodes, each mount) and memory, in Metricbeat's names.

A sample belongs to its scheduled time, a multiple of the interval: that time is its identity, so that a sample
taken again after a crash is the same event.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import psutil

from collectors.sources import Batch, Loss, Record
from rules.event import Value

# Images that are full by nature, and file systems of the kernel's own.
_NOT_STORAGE = frozenset({"squashfs", "iso9660", "udf", "cramfs", "erofs", "fuse.snapfuse"})


class HostMetricsSource:
    """Samples this host every `every`, on the clock's own multiples of it."""

    format: str | None = None

    def __init__(self, name: str, every: timedelta, mounts: Sequence[str] | None = None) -> None:
        self.name = name
        self._every = every.total_seconds()
        self._mounts = mounts
        self._last = 0  # the slot last sampled, in intervals since the epoch
        self._skipped: list[int] = []  # slots that fell due while nothing could be taken: the first, and how many

    def open(self, position: str | None, now: datetime) -> None:
        self._last = int(position) if position else 0

    def read(self, now: datetime, limit: int) -> Batch:
        slot = int(now.timestamp() // self._every)
        if slot == self._last:
            return Batch(up_to=now)
        if self._skipped and slot > self._last:
            self._skipped[1] += slot - self._last - 1
        self._last = slot
        time = datetime.fromtimestamp(slot * self._every, UTC)
        troubles: list[str] = []
        samples = [memory(), *self._file_systems(troubles)]
        losses = self._lost(len(samples))
        return Batch([self._record(slot, time, sample) for sample in samples], now, troubles, losses)

    def skip(self, now: datetime) -> None:
        """Let what is due go by; the next `read` counts it."""
        slot = int(now.timestamp() // self._every)
        if slot != self._last:  # a clock that was set back samples on
            due = slot - self._last if 0 < self._last < slot else 1
            first, count = self._skipped or (slot - due + 1, 0)
            self._skipped = [first, count + due]
            self._last = slot

    def _lost(self, samples: int) -> list[Loss]:
        """Return what was skipped, with as many samples each time as there are now."""
        if not self._skipped:
            return []
        (first, count), self._skipped = self._skipped, []
        since = datetime.fromtimestamp(first * self._every, UTC)
        reason = f"{self.name}: {count} samplings from {since:%H:%M:%S} UTC on were skipped: the journal had no room"
        return [Loss(f"{self.name}:skipped:{first}".encode(), reason, records=count * samples)]

    def position(self, journalled: Sequence[Record]) -> str:
        return str(max([record.end for record in journalled], default=self._last))

    def written(self) -> int | None:
        return None

    def close(self) -> None:
        pass

    def _record(self, slot: int, time: datetime, sample: dict[str, Value]) -> Record:
        what = f"{sample['event.dataset']}:{sample.get('system.filesystem.mount_point', '')}"
        return Record(
            raw=msgspec.json.encode(sample),
            origin=f"{what}@{slot}".encode(),
            lane="",
            end=slot,
            fields=sample,
            time=time,
            whole=True,
        )

    def _file_systems(self, troubles: list[str]) -> Iterator[dict[str, Value]]:
        for mount, device, kind in mounts():
            if self._mounts is not None and mount not in self._mounts:
                continue
            try:
                yield file_system(mount, device, kind)
            except OSError as error:
                troubles.append(f"{mount}: {error.strerror}; its space is not watched")


def mounts() -> list[tuple[str, str, str]]:
    """Return (mount point, device, type) of real file systems and tmpfs; each once, bind mounts left out."""
    found: dict[tuple[str, str], tuple[str, str, str]] = {}
    for part in psutil.disk_partitions(all=True):
        storage = part.device.startswith("/dev/") or part.fstype in ("tmpfs", "zfs", "nfs", "nfs4", "cifs", "9p")
        container_root = part.fstype == "overlay" and part.mountpoint == "/"
        if (
            not (storage or container_root)
            or part.fstype in _NOT_STORAGE
            or part.mountpoint.startswith(("/proc", "/sys", "/dev/", "/run/credentials"))
        ):
            continue
        once = (part.device, part.mountpoint if part.fstype == "tmpfs" else "")
        if once not in found or len(part.mountpoint) < len(found[once][0]):
            found[once] = (part.mountpoint, part.device, part.fstype)
    return sorted(found.values())


def file_system(mount: str, device: str, kind: str) -> dict[str, Value]:
    """Return a sample of one mount. `used.pct` is what `df` says: used of what an ordinary user may use, 0 to 1."""
    stat = os.statvfs(mount)
    total, free, available = (n * stat.f_frsize for n in (stat.f_blocks, stat.f_bfree, stat.f_bavail))
    used = total - free
    sample: dict[str, Value] = {
        **_COMMON,
        "event.dataset": "system.filesystem",
        "system.filesystem.mount_point": mount,
        "system.filesystem.device_name": device,
        "system.filesystem.type": kind,
        "system.filesystem.total": total,
        "system.filesystem.free": free,
        "system.filesystem.available": available,
        "system.filesystem.used.bytes": used,
        "system.filesystem.used.pct": _share(used, used + available),
        "message": f"{mount}: {_share(used, used + available):.1%} of {total / 2**30:.1f} GiB used",
    }
    if stat.f_files:  # some file systems have no fixed number of inodes
        sample |= {
            "system.filesystem.files": stat.f_files,
            "system.filesystem.free_files": stat.f_ffree,
            "tocsin.filesystem.files.used.pct": _share(stat.f_files - stat.f_ffree, stat.f_files),
        }
    return sample


def memory() -> dict[str, Value]:
    """Return a sample of memory. `actual` counts what can be had without swapping (MemAvailable) as free."""
    main, swap = psutil.virtual_memory(), psutil.swap_memory()
    used = main.total - main.available
    return {
        **_COMMON,
        "event.dataset": "system.memory",
        "system.memory.total": main.total,
        "system.memory.free": main.free,
        "system.memory.used.bytes": main.total - main.free,
        "system.memory.used.pct": _share(main.total - main.free, main.total),
        "system.memory.actual.free": main.available,
        "system.memory.actual.used.bytes": used,
        "system.memory.actual.used.pct": _share(used, main.total),
        "system.memory.swap.total": swap.total,
        "system.memory.swap.used.bytes": swap.used,
        "system.memory.swap.used.pct": _share(swap.used, swap.total),
        "message": f"memory: {_share(used, main.total):.1%} of {main.total / 2**30:.1f} GiB used",
    }


_COMMON: dict[str, Value] = {
    "event.kind": "metric",
    "event.module": "host_metrics",
    "event.category": ["host"],
    "event.type": ["info"],
}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
