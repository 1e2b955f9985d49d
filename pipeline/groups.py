"""Names for readers of a stream."""

from __future__ import annotations

import uuid


def own_group(name: str) -> str:
    """Return a group for one reader alone: whoever needs the whole of a topic asks no other for it."""
    return f"{name}-{uuid.uuid4().hex}"
