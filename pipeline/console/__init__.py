"""The console: where people answer a page, from Slack's buttons and from the links in e-mails. Only this for now.

A request is data and so is its answer; who serves HTTP knows nothing of incidents, and who knows them touches no
socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: header names in lower case, the body as it came, which is what signatures are over."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is posted elsewhere once the answer is out: Slack's answers to a button go to its response_url."""

    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer."""

    status: int
    body: str = ""
    kind: str = "text/plain"
    reply: Reply | None = None
