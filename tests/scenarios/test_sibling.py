"""One PostgreSQL, acme_staging and acme_production, and a dump restored onto the wrong one: a page at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.installation import Heard, Installation, people, until
from tests.services.postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.server]
QUESTION = "did you mean staging?"


@pytest.fixture
def installation(postgres: Postgres, heard: Heard, tmp_path: Path) -> Installation:
    """Tocsin in one process with the shipped rules, over the server's JSON log."""
    for database in ("acme_staging", "acme_production"):
        postgres.execute("postgres", database, "CREATE TABLE IF NOT EXISTS customer (id integer, name text)")
    postgres.passwords["mallory"] = "s3cret"  # whom no other test has used
    postgres.execute("postgres", "postgres", "CREATE ROLE mallory LOGIN SUPERUSER PASSWORD 's3cret'")
    settings = {
        "sources": [{"kind": "file", "paths": [str(postgres.json_log)], "format": "postgresql-json"}],
        "rules": {"paths": ["builtin"], "lists": {"dbas": ["postgres", "dba"]}},
        "environments": [
            {"match": {"db.namespace": "*_production"}, "is": "production"},
            {"match": {"db.namespace": "*_staging"}, "is": "staging"},
        ],
    }
    return Installation(tmp_path, {}, {**people(heard, tmp_path), **settings})


def test_pg_restore_onto_production_after_staging_asks_at_once_if_staging_was_meant(
    installation: Installation, postgres: Postgres, heard: Heard, tmp_path: Path
) -> None:
    installation.start()
    try:
        until(lambda: _watched(installation, postgres), "the first look", installation)
        archive = postgres.dump("mallory", "acme_staging", tmp_path / "staging.dump")
        postgres.restore("mallory", "acme_staging", archive)
        assert not heard.pages(QUESTION, "mallory")
        postgres.restore("mallory", "acme_production", archive)  # the right archive, the wrong name
        until(lambda: heard.pages(QUESTION, "mallory"), "the page", installation)
        (page, *_) = heard.pages(QUESTION, "mallory")
        for told in ("127.0.0.1", "staging: acme_staging", "production: acme_production", "public.customer"):
            assert told in page
        until(lambda: heard.mails(QUESTION, "mallory"), "the mail", installation)
        (mail, *_) = heard.mails(QUESTION, "mallory")
        assert "staging: acme_staging" in mail
        assert "production: acme_production" in mail
        (incident, *_) = installation.search("db.namespace:acme_production AND tocsin.db.kind:restore")
        assert incident["tocsin.environment.base"] == "acme"
    finally:
        installation.stop()


def _watched(installation: Installation, postgres: Postgres) -> bool:
    """Say whether what happens now is news to Tocsin: what stood in the log before its first look is not."""
    postgres.execute("postgres", "postgres", "CREATE TABLE watched (a int); DROP TABLE watched")
    return any(not hit.get("tocsin.backlog") for hit in installation.search("db.namespace:postgres"))
