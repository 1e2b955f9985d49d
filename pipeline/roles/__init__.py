"""Roles: one short loop each, over ports that are passed in. `pipeline.app` wires and runs them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Role(Protocol):
    """One stage. Everywhere: read, decide, write, then commit."""

    name: str

    def step(self, now: datetime) -> bool:
        """Do one round (waiting at most a fraction of a second for input); return whether there was work.

        What a record does wrong costs the record: it goes to the dead letters with the reason. Raises only what
        a later retry may mend (StreamUnavailable, IndexUnavailable); the caller waits and steps again.
        """
        ...

    def close(self) -> None: ...
