"""A receiver of webhooks that keeps every raw request, and answers as it was told beforehand."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.standins.serving import Quiet, serving


@dataclass(frozen=True)
class Said:
    """What one request is answered with. `silent`: it was taken, and nothing comes back."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False


@dataclass
class Hook:
    """What arrived: raw bodies with their headers; what was taken, as JSON."""

    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[Any] = field(default_factory=list)
    answers: deque[Said] = field(default_factory=deque)
    released: threading.Event = field(default_factory=threading.Event)

    def summaries(self) -> list[str]:
        return [one["commonAnnotations"]["summary"] for one in self.taken]


@contextmanager
def hook() -> Iterator[Hook]:
    """Serve on a free loopback port until the block ends."""
    kept = Hook()

    class Handler(Quiet):
        def do_POST(self) -> None:  # noqa: N802 http.server's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            said = kept.answers.popleft() if kept.answers else Said()
            if said.silent or 200 <= said.status < 300:
                kept.taken.append(json.loads(body))
            if said.silent:
                kept.released.wait(30)
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.end_headers()

    with serving(Handler) as url:
        kept.url = f"{url}/hook?team=1"
        try:
            yield kept
        finally:
            kept.released.set()
