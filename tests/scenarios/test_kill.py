"""kill -9 at random moments of the day, on both engines: nothing is lost, and nobody is paged twice unmarked."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.installation import Heard, Install, Installation, until
from tests.services.postgres import Postgres
from tests.services.sshd import Sshd

pytestmark = pytest.mark.slow

KILLS = 20
MARK = "possible repeat"
QUIET_SECONDS = 3


def _settings(sshd: Sshd, postgres: Postgres) -> dict[str, object]:
    return {
        "sources": [
            {"kind": "file", "paths": [str(sshd.log)], "format": "syslog"},
            {"kind": "file", "paths": [str(postgres.log)], "format": "postgresql", "prefix": postgres.log_line_prefix},
        ],
        "rules": {"paths": ["builtin"], "lists": {"dbas": ["postgres", "dba"]}},
        "incidents": {"storm": 1000},
        "environments": [{"match": {"db.namespace": "*_production"}, "is": "production"}],
    }


@pytest.mark.parametrize("seed", [20261122])
def test_killed_at_random_moments_it_tells_everything_once(
    install: Install, heard: Heard, sshd: Sshd, postgres: Postgres, seed: int
) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    installation = install(_settings(sshd, postgres))
    until(
        lambda: installation.call("status", "--format", "ndjson").stdout.count('"source"') == 2, "start", installation
    )
    addresses = [f"127.0.0.{10 + n}" for n in range(KILLS)]
    acting = ThreadPoolExecutor(1)
    for n, address in enumerate(addresses):
        done = acting.submit(_act, n, address, sshd, postgres)
        time.sleep(chance.uniform(0.0, 1.2))
        victim = chance.choice(list(installation.roles))
        installation.kill(victim)
        installation.start(victim)
        done.result()

    until(lambda: not _untold(heard, addresses), "every login told", installation, 180)
    until(lambda: heard.everywhere("acme_production"), "the changed tables told", installation)
    until(lambda: len(_logins(installation)) >= KILLS, "every login in the index", installation)
    _nothing_more_comes(heard, installation)

    sources = Counter(str(login["source.ip"]) for login in _logins(installation))
    assert sources == Counter(addresses)
    for address in addresses:
        for texts in (heard.mails(f"from {address} "), [one for one in _posts(heard) if f"from {address} " in one]):
            _told_once([text for text in texts if "OLD NEWS" not in text])  # what stood there before the start


def _act(n: int, address: str, sshd: Sshd, postgres: Postgres) -> None:
    assert sshd.login("root", source=address).returncode == 0
    if n % 5 == 0:
        table = f"made_{uuid.uuid4().hex}"
        postgres.execute("developer", "acme_staging", f"CREATE TABLE {table} ()")
        postgres.execute("developer", "acme_production", f"CREATE TABLE {table} ()")


def _logins(installation: Installation) -> list[dict[str, object]]:
    """Return the logins of this test; what stood in the log before is another's."""
    hits = installation.search("user.name:root AND event.outcome:success AND event.action:ssh_login")
    own = [hit for hit in hits if hit["event.kind"] == "event" and not hit.get("tocsin.backlog")]
    return [hit for hit in own if hit["source.ip"] != "127.0.0.1"]


def _posts(heard: Heard) -> list[str]:
    """Return every message that was posted (edits of an older one are no page)."""
    requests = [request for request in heard.workspace.requests if request.method == "chat.postMessage"]
    return [str(request.arguments.get("text", "")) for request in requests]


def _untold(heard: Heard, addresses: Sequence[str]) -> list[str]:
    posts = _posts(heard)
    return [one for one in addresses if not heard.mails(f"from {one} ") or not any(f"from {one} " in p for p in posts)]


def _told_once(texts: Sequence[str]) -> None:
    """Once for certain; what stood between send and record may come again, and then says so."""
    unmarked = [text for text in texts if MARK not in text.lower()]
    assert texts
    assert len(unmarked) <= 1, texts


def _nothing_more_comes(heard: Heard, installation: Installation) -> None:
    """Wait until neither inbox has heard anything for a while."""
    quiet, seen = time.monotonic(), -1

    def silent() -> bool:
        nonlocal quiet, seen
        count = len(heard.workspace.requests) + heard.mailbox.attempts
        if count != seen:
            quiet, seen = time.monotonic(), count
        return time.monotonic() - quiet > QUIET_SECONDS

    until(silent, "silence", installation, 180)
