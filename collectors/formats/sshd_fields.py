"""The fields that every event of sshd has."""

from __future__ import annotations

import re
from typing import Final

from rules.event import Scalar, Value

Fields = dict[str, Value]
AUTH: Final[list[Scalar]] = ["authentication"]
NETWORK: Final[list[Scalar]] = ["network"]
LAST_FROM: Final = re.compile(r"(.*) from (\S*)(?: port (\d{1,5}))?( \[preauth\])?$", re.ASCII | re.DOTALL)


def base(action: str, outcome: str, category: list[Scalar], event: str) -> Fields:
    """Return an event's fields but for who and where from."""
    return {
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": list(category),
        "event.type": ["info"] if category is AUTH else ["connection"],
        "event.action": action,
        "event.outcome": outcome,
        "system.auth.ssh.event": event,
    }
