"""A role's own events, sealed in its own chain, where the role keeps no journal.

What was sealed is written to a small file, with where the chains stand, before it is appended to the stream; what may
not have been appended is appended again at the next start. It is the same bytes under the same number: nobody minds.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from pipeline.chaining import Sealing
from pipeline.state import write_whole
from pipeline.streams import Message, StreamUnavailable
from rules.event import Value

PRIORITY: Final = "first"


class _Saved(msgspec.Struct):
    positions: dict[str, str]
    pending: list[str]  # base64


class OwnEvents:
    """Seals and keeps. One instance serves one role."""

    def __init__(self, host_id: str, sealing: Sealing, path: Path) -> None:
        self._host_id = host_id
        self._sealing = sealing
        self._path = path
        self._due: list[dict[str, Value]] = []
        self._pending: list[bytes] = []  # on the disk, and perhaps not in the stream
        self._unsaved: list[bytes] = []  # sealed, and not on the disk
        self._opened = False

    def messages(self, events: Sequence[dict[str, Value]], now: datetime) -> list[Message]:
        """Return what is to be appended, once it is on the disk. Raises StreamUnavailable when there is no room, and
        keeps the events for the next call."""
        self._due += events
        again = [] if self._opened else self._open(now)
        anchor = self._sealing.anchor(now)
        self._due += [anchor] if anchor is not None else []
        if not self._due and not self._unsaved:
            self._pending += again
            return [Message(self._host_id, value) for value in again]
        self._unsaved += [*again, *(self._sealing.seal(PRIORITY, fields) for fields in self._due)]
        self._due = []
        self._write([*self._pending, *self._unsaved])
        self._sealing.committed(now)
        fresh, self._unsaved = self._unsaved, []
        self._pending += fresh
        return [Message(self._host_id, value) for value in fresh]

    def delivered(self) -> None:
        """What was returned is in the stream."""
        if self._pending:
            self._pending = []
            with suppress(StreamUnavailable):  # then it is appended again at the next start, which is no harm
                self._write(self._unsaved)

    def _open(self, now: datetime) -> list[bytes]:
        """Go on with the chain; return what the stream may lack."""
        positions, pending = self._read()
        self._due = [*self._sealing.open(positions, now), *self._due]
        self._opened = True
        return pending

    def _read(self) -> tuple[dict[str, str], list[bytes]]:
        """Without the file, or with one that is damaged, the chain begins anew, and says so."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Saved)
            return found.positions, [b64decode(value, validate=True) for value in found.pending]
        except (FileNotFoundError, msgspec.MsgspecError, ValueError):
            return {}, []
        except OSError as error:  # the chain is there, and would be forked
            raise StreamUnavailable(
                f"{self._path}: {error.strerror}; give Tocsin's user the right to read it"
            ) from error

    def _write(self, pending: Sequence[bytes]) -> None:
        saved = _Saved(self._sealing.positions(), [b64encode(value).decode() for value in pending])
        try:
            write_whole(self._path, msgspec.json.encode(saved))
        except OSError as error:
            raise StreamUnavailable(f"{self._path}: {error.strerror}; make room there") from error
