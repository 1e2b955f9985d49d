"""One day, with real servers on both engines: a root login, wrong passwords, a dropped table, a full disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.installation import Heard, Install, Installation, until
from tests.services.postgres import Postgres
from tests.services.sshd import Sshd

pytestmark = pytest.mark.slow


def _settings(sshd: Sshd, postgres: Postgres, disk: Path) -> dict[str, object]:
    return {
        "sources": [
            {"kind": "file", "paths": [str(sshd.log)], "format": "syslog"},
            {
                "kind": "file",
                "paths": [str(postgres.log)],
                "format": "postgresql",
                "prefix": postgres.log_line_prefix,
            },
            {"kind": "host_metrics", "every": "1s", "mounts": [str(disk)]},
        ],
        "rules": {"paths": ["builtin"], "lists": {"dbas": ["postgres", "dba"]}},
        "environments": [
            {"match": {"db.namespace": "*_production"}, "is": "production"},
            {"match": {"db.namespace": "*_staging"}, "is": "staging"},
        ],
    }


def _watching(installation: Installation) -> None:
    """Wait until every source has been looked at for the first time: what comes now is news."""
    until(lambda: _sources(installation) == 3, "the first look at every source", installation)


def _sources(installation: Installation) -> int:
    return installation.call("status", "--format", "ndjson").stdout.count('"source"')


def test_the_day(install: Install, heard: Heard, sshd: Sshd, postgres: Postgres, disk: Path, tmp_path: Path) -> None:
    for database in ("acme_staging", "acme_production"):  # the day before dropped it
        postgres.execute("dba", database, "CREATE TABLE IF NOT EXISTS customer (id integer)")
        postgres.execute("dba", database, "ALTER TABLE customer OWNER TO developer")
    installation = install(_settings(sshd, postgres, disk))
    _watching(installation)

    assert sshd.login("root").returncode == 0
    until(lambda: heard.everywhere("root", "127.0.0.1"), "the page of the root login", installation)

    for _ in range(3):
        assert sshd.login_with_password(sshd.user, "wrong").returncode == 255

    postgres.execute("developer", "acme_staging", "DROP TABLE customer")
    postgres.execute("developer", "acme_production", "DROP TABLE customer")
    until(lambda: heard.everywhere("developer", "acme_production"), "the page of the dropped table", installation)
    about = [text.splitlines()[0] for text in (*heard.pages(), *heard.mails())]  # not what came before
    assert not [line for line in about if "acme_staging" in line]

    (disk / "filler").write_bytes(b"x" * (15 * 2**20))
    until(lambda: heard.everywhere(str(disk)), "the page of the full disk", installation)
    (disk / "filler").unlink()
    until(lambda: heard.mails(str(disk), "esolved"), "the end of the full disk by mail", installation)
    until(lambda: heard.pages(str(disk), "esolved"), "the end of the full disk on Slack", installation)

    until(lambda: _logins(installation), "the login in the index", installation)
    (login,) = _logins(installation)
    assert login["source.ip"] == "127.0.0.1"
    until(
        lambda: len(installation.search(f"user.name:{sshd.user} AND event.outcome:failure AND event.module:sshd")) >= 3,
        "three failures in the index",
        installation,
    )
    assert len([one for one in heard.mailbox.subjects() if one.startswith("Root login over SSH")]) == 1


def _logins(installation: Installation) -> list[dict[str, object]]:
    """Return what the search finds of this day; what stood in the log before is another's."""
    hits = installation.search("user.name:root AND event.outcome:success")
    return [hit for hit in hits if not hit.get("tocsin.backlog")]
