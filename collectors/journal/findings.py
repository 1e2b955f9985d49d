"""What the journal found to be gone: kept beside what was set aside, until somebody has recorded it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec

from collectors.sources import Loss

DAMAGED = "damaged"  # the folder for what was set aside; people empty it


def note(folder: Path, losses: Sequence[Loss]) -> None:
    """Keep them, durably; the same loss found again, by whomever and at the same time, is the same finding."""
    place = folder / DAMAGED
    place.mkdir(exist_ok=True, mode=0o700)
    for loss in losses:
        path = _path(folder, loss)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")  # each finder's own
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(loss))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    sync_folder(place)


def noted(folder: Path) -> list[Loss]:
    """Return what is to be recorded."""
    found: list[Loss] = []
    if not (folder / DAMAGED).exists():
        return found
    for path in sorted((folder / DAMAGED).glob("finding-*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Loss))
        except (OSError, msgspec.MsgspecError):  # taken by another, or damaged itself: what it told of stands beside it
            continue
    return found


def forget(folder: Path, losses: Sequence[Loss]) -> None:
    """Remove what has been recorded."""
    for loss in losses:
        _path(folder, loss).unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Move a file to the damaged ones, under a name that none of them has."""
    place = path.parent / DAMAGED
    place.mkdir(exist_ok=True, mode=0o700)
    target, n = place / path.name, 0
    while target.exists():
        n += 1
        target = place / f"{path.name}.{n}"
    path.rename(target)
    return target


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed and removed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _path(folder: Path, loss: Loss) -> Path:
    return folder / DAMAGED / f"finding-{blake2b(loss.origin, digest_size=12).hexdigest()}.json"
