"""Keys that hosts have reached, kept beside the escrow: without them a start ratchets every host's key from the first.

Whoever reads the file can forge what those hosts say from then on; it belongs to the centre's user, as the escrow does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from collectors.chain import Key, Ring
from pipeline.state import write_whole

_EVERY: Final = 600  # calls of `keep` for one look: it is called about once a second
_log = logging.getLogger(__name__)


class KeyCache:
    """One file. What is damaged or missing costs time, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Key] = {}
        self._calls = 0

    def read(self) -> dict[str, Key]:
        """Return, for each first key (hex), one that was reached later."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=dict[str, tuple[int, str]])
            known = {first: Key(index, bytes.fromhex(secret)) for first, (index, secret) in found.items()}
        except (OSError, msgspec.MsgspecError, ValueError):
            return {}
        self._kept = {first: key for first, key in known.items() if key.index % Ring.STEP == 0}
        return dict(self._kept)

    def keep(self, reached: Mapping[str, Key]) -> None:
        """Write what was reached, now and then, if there is more."""
        self._calls += 1
        if self._calls % _EVERY or self._kept == reached:
            return
        self._kept = dict(reached)
        data = {first: (key.index, key.secret.hex()) for first, key in reached.items()}
        try:
            write_whole(self._path, msgspec.json.encode(data))
        except OSError as error:
            _log.warning("%s: %s; the next start takes longer", self._path, error.strerror)
