"""A real PostgreSQL with pgaudit: do the thing, find the event, with who, where and what right, in both of its logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.services.parsed import Events, having, parsed, wait_for
from tests.services.postgres import Postgres

pytestmark = pytest.mark.server
HERE = "127.0.0.1"


def logs(postgres: Postgres, mark: str) -> Iterator[Events]:
    """Yield the events of the text log and of jsonlog, once the last, which says `mark`, stands in both."""
    postgres.execute("dba", "acme_staging", f"COMMENT ON TABLE customer IS '{mark}'")
    for log in (postgres.log, postgres.json_log):
        wait_for(postgres.process, log, mark)
    yield parsed(postgres.log, "postgresql", "--prefix", postgres.log_line_prefix)
    yield parsed(postgres.json_log, "postgresql-json")


def audited(events: Events, **wanted: object) -> dict[str, object]:
    """Return the last audit event that is so."""
    *_, event = [one for one in having(events, user__name="dba", **wanted) if "pgaudit.class" in one]
    return event


@pytest.mark.parametrize(
    ("statement", "kind", "what", "more"),
    [
        ("SELECT * FROM customer", "read", "customer", {"db.operation.name": "SELECT"}),
        ("DELETE FROM customer", "write", "customer", {"tocsin.db.unbounded": True}),
        ("WITH gone AS (DELETE FROM customer RETURNING *) SELECT * FROM gone", "write", "customer", {}),
        ("GRANT SELECT ON customer TO developer", "privilege", None, {"db.operation.name": "GRANT"}),
        ("ALTER ROLE developer CREATEDB", "privilege", None, {"db.operation.name": "ALTER ROLE"}),
        ("COPY customer TO '/dev/null'", "read", "customer", {"db.operation.name": "COPY"}),
        ("TRUNCATE customer", "write", None, {"tocsin.db.unbounded": True}),
        ("CREATE INDEX by_name ON customer (name)", "ddl", "public.by_name", {}),
        ("DO $$ BEGIN EXECUTE 'DROP TABLE IF EXISTS of_a_block'; CREATE TABLE of_a_block (a int); END $$", "ddl",
         "public.of_a_block", {}),
        ("CREATE DATABASE other_production", "ddl", None, {"tocsin.db.target": "other_production"}),
        ("DROP DATABASE other_production", "ddl", None, {"tocsin.db.target": "other_production"}),
    ],
)  # fmt: skip
def test_a_statement_says_who_did_what_to_which_object(
    postgres: Postgres, statement: str, kind: str, what: str | None, more: dict[str, object]
) -> None:
    postgres.execute("dba", "acme_production", statement)
    for events in logs(postgres, f"after {statement[:30]}".replace("'", "")):
        event = audited(events, db__namespace="acme_production", tocsin__db__kind=kind)
        wanted = {"source.ip": HERE, "event.outcome": "success", **more}
        assert {name: event.get(name) for name in wanted} == wanted
        if what is not None:
            assert event["tocsin.db.object"] == what


def test_an_audited_object_says_so(postgres: Postgres) -> None:
    for statement in ("CREATE ROLE auditor", "GRANT SELECT ON customer TO auditor", "SET pgaudit.role = 'auditor'"):
        postgres.execute("dba", "acme_staging", statement)
    with postgres.connect("dba", "acme_staging") as connection:
        connection.execute("SET pgaudit.role = 'auditor'")
        connection.execute("SELECT name FROM customer WHERE id = 1")
    postgres.execute("dba", "acme_staging", "DROP OWNED BY auditor")
    postgres.execute("dba", "acme_staging", "DROP ROLE auditor")
    for events in logs(postgres, "after the object"):
        event = audited(events, pgaudit__type="OBJECT")
        assert (event["tocsin.db.kind"], event["db.collection.name"]) == ("read", "public.customer")


def test_a_refused_login_says_who_from_where_and_to_what(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError):
        postgres.connect("developer", "acme_production", password="wrong")
    for events in logs(postgres, "after the refusal"):
        *_, event = having(events, event__action="connection-refused", user__name="developer")
        assert (event["event.outcome"], event["db.namespace"], event["source.ip"]) == (
            "failure",
            "acme_production",
            HERE,
        )


def test_a_statement_that_fails_is_a_failure(postgres: Postgres) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.execute("developer", "acme_production", "DROP ROLE dba")
    for events in logs(postgres, "after the failure"):
        assert having(events, user__name="developer", event__outcome="failure", tocsin__db__kind="privilege")


def test_a_name_with_all_that_a_parser_could_fall_for_stays_one_name(postgres: Postgres) -> None:
    table = 'a, "b" (c) LOG:  DROP TABLE x; -- é'
    quoted = '"' + table.replace('"', '""') + '"'
    postgres.execute("dba", "acme_staging", f"CREATE TABLE {quoted} (id int)")
    postgres.execute("dba", "acme_staging", f"DROP TABLE {quoted}")
    for events in logs(postgres, "after the name"):
        event = audited(events, db__operation__name="DROP TABLE", db__namespace="acme_staging")
        assert table in str(event["tocsin.db.object"]).replace('""', '"')


def test_pg_dump_is_a_backup_and_pg_restore_a_restore(postgres: Postgres, tmp_path: Path) -> None:
    archive = postgres.dump("dba", "acme_staging", tmp_path / "staging.dump")
    postgres.restore("dba", "acme_staging", archive)
    for events in logs(postgres, "after the restore"):
        saved = audited(events, tocsin__db__kind="backup", db__namespace="acme_staging")
        assert (saved["db.operation.name"], saved["db.collection.name"]) == ("COPY", "public.customer")
        back = audited(events, tocsin__db__kind="restore", db__namespace="acme_staging")
        assert back["postgresql.log.application_name"] == "pg_restore"


def test_every_record_of_the_real_logs_is_understood(postgres: Postgres) -> None:
    for events in logs(postgres, "after all"):
        assert [event["event.original"] for event in events if "tocsin.parse_error" in event] == []
        assert [event for event in events if "@timestamp" not in event] == []
