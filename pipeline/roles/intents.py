"""Intents: what the notifier wrote while its log was away, kept here until the log takes it.

A file of lines in the state folder, synced before anything is sent. Where that cannot be written either (a full
disk), they are kept in memory, and what is sent meanwhile says that it may come twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from notifiers.incident import Entry


class Intents:
    """Entries in order. `durable` says whether all of them would outlive the process."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._pending: list[Entry] = _read(path) if path else []
        self.durable = True

    def __bool__(self) -> bool:
        return bool(self._pending)

    @property
    def pending(self) -> Sequence[Entry]:
        return self._pending

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep these, on the disk if that takes them."""
        self._pending += entries
        try:
            self._write(entries)
        except OSError:
            self.durable = False

    def clear(self) -> None:
        """Forget all: the log has them. Should the file stay, the log takes them once more and drops the repeats."""
        self._pending = []
        self.durable = True
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
            except OSError:
                return

    def _write(self, entries: Sequence[Entry]) -> None:
        if self._path is None:
            raise OSError("no folder")
        lines = b"".join(one.model_dump_json(exclude_none=True).encode() + b"\n" for one in entries)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(descriptor, lines) != len(lines):
                raise OSError("cut short")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> list[Entry]:
    """Return what a process that stopped has left; a line that it did not finish was never acted on."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Entry.model_validate_json(line))
        except ValidationError:
            continue
    return found
