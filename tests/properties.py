"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> int:
    """Return the number for a property that deserves another one than Hypothesis' 100; `make check` tries a quarter."""
    return max(count * settings.default.max_examples // 100, 5)
