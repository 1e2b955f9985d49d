"""A real MariaDB: do the thing, find the event, with who, where and what right."""

from __future__ import annotations

import pytest

from tests.services.mariadb import Mariadb
from tests.services.parsed import Events, having, parsed, wait_for

pytestmark = pytest.mark.server
HERE = "127.0.0.1"


def audit(mariadb: Mariadb, mark: str) -> Events:
    """Return the audit's events once the last of them, which says `mark`, is written."""
    mariadb.execute("dba", "acme_staging", f"SELECT '{mark}'")
    wait_for(mariadb.process, mariadb.audit, mark)
    return parsed(mariadb.audit, "mariadb-audit")


def test_logins_good_and_bad_say_who_and_where_from(mariadb: Mariadb) -> None:
    assert mariadb.execute("developer", "acme_production", "SELECT 1").returncode == 0
    assert mariadb.execute("developer", "acme_production", "SELECT 1", password="wrong").returncode == 1
    assert mariadb.execute("root,10.0.0.1,7,0,CONNECT,mysql", "acme_production", "SELECT 1").returncode == 1
    events = audit(mariadb, "after the logins")
    good = having(events, event__action="connect", user__name="developer", db__namespace="acme_production")
    assert {(event["source.ip"], event["event.outcome"]) for event in good} == {(HERE, "success")}
    bad = having(events, event__action="failed_connect", event__outcome="failure", source__ip=HERE)
    assert {event["user.name"] for event in bad} == {"developer", "root,10.0.0.1,7,0,CONNECT,mysql"}
    assert not having(events, source__ip="10.0.0.1")


@pytest.mark.parametrize(
    ("statement", "kind", "what", "more"),
    [
        ("SELECT * FROM customer WHERE id = 1", "read", "customer", {}),
        ("INSERT INTO customer VALUES (7, 'it''s, \\'he\\'')", "write", "customer", {}),
        ("UPDATE customer SET name = 'x\\\\'", "write", "customer", {"tocsin.db.unbounded": True}),
        ("DELETE FROM customer WHERE id = 7 /* no more */", "write", "customer", {"tocsin.db.unbounded": None}),
        ("ALTER TABLE customer ADD note text", "ddl", "customer", {}),
        ("DROP TABLE acme_staging.nothing_there", "ddl", "acme_staging.nothing_there",
         {"event.outcome": "failure", "event.code": "1051", "tocsin.db.target": "acme_staging"}),
        ("GRANT SELECT ON acme_staging.* TO developer@'127.0.0.1'", "privilege", "acme_staging",
         {"tocsin.db.target": "acme_staging"}),
        ("CREATE USER IF NOT EXISTS 'eve'@'%' IDENTIFIED BY 'hers'", "privilege", "eve", {}),
    ],
)  # fmt: skip
def test_a_statement_says_who_did_what_to_which_object(
    mariadb: Mariadb, statement: str, kind: str, what: str, more: dict[str, object]
) -> None:
    mariadb.execute("dba", "acme_production", statement)
    events = audit(mariadb, f"after {statement.partition(chr(39))[0]}")
    *_, event = [
        one
        for one in having(events, event__action="query", user__name="dba", db__namespace="acme_production")
        if one["tocsin.db.kind"] == kind and one.get("tocsin.db.object") == what
    ]
    wanted: dict[str, object] = {"source.ip": HERE, "event.outcome": "success", **more}
    assert {name: event.get(name) for name in wanted} == wanted
    stated = str(event["db.query.text"])
    assert stated == statement or "*****" in stated  # the server itself hides passwords


def test_a_dump_is_a_backup(mariadb: Mariadb) -> None:
    assert "CREATE TABLE" in mariadb.dump("dba", "acme_production")
    events = audit(mariadb, "after the dump")
    (event,) = having(events, tocsin__db__kind="backup", db__namespace="acme_production")
    assert (event["user.name"], event["db.collection.name"]) == ("dba", "customer")


def test_every_line_of_the_real_logs_is_understood(mariadb: Mariadb) -> None:
    mariadb.execute("dba", "acme_production", "SELECT SLEEP(0.3)")
    wait_for(mariadb.process, mariadb.slow, "SLEEP(0.3)")
    for log, name in ((mariadb.audit, "mariadb-audit"), (mariadb.error, "mysql-error"),
                      (mariadb.general, "mysql-general"), (mariadb.slow, "mysql-slow")):  # fmt: skip
        assert [event for event in parsed(log, name) if "tocsin.parse_error" in event] == []


def test_the_error_log_says_who_was_refused(mariadb: Mariadb) -> None:
    mariadb.execute("o'hara", "acme_production", "SELECT 1", password="wrong")
    wait_for(mariadb.process, mariadb.error, "'o'hara'@'127.0.0.1'")
    events = having(parsed(mariadb.error, "mysql-error"), event__action="connection-refused", user__name="o'hara")
    assert {(event["source.ip"], event["event.outcome"]) for event in events} == {(HERE, "failure")}


def test_the_slow_log_says_who_was_slow_and_where(mariadb: Mariadb) -> None:
    mariadb.execute("developer", "acme_production", "SELECT SLEEP(0.3) FROM customer LIMIT 1")
    wait_for(mariadb.process, mariadb.slow, "FROM customer LIMIT 1")
    *_, event = having(parsed(mariadb.slow, "mysql-slow"), user__name="developer")
    assert (event["source.ip"], event["db.namespace"], event["tocsin.db.kind"]) == (HERE, "acme_production", "read")
    assert int(str(event["event.duration"])) >= 300_000_000


def test_the_general_log_says_who_connected_to_what(mariadb: Mariadb) -> None:
    mariadb.execute("developer", "acme_staging", "DROP TABLE IF EXISTS gone")
    wait_for(mariadb.process, mariadb.general, "DROP TABLE IF EXISTS gone")
    events = parsed(mariadb.general, "mysql-general")
    assert having(
        events, event__action="connect", user__name="developer", db__namespace="acme_staging", source__ip=HERE
    )
    assert having(events, event__action="query", tocsin__db__kind="ddl", tocsin__db__object="gone")


def test_a_use_stands_in_the_general_log_whether_it_was_refused_or_not(mariadb: Mariadb) -> None:
    done = mariadb.execute("developer", "acme_production", "/*!USE acme_nowhere */")
    assert "Access denied" in done.stderr
    done = mariadb.execute("developer", "acme_staging", "EXECUTE IMMEDIATE 'USE acme_production'; SELECT DATABASE()")
    assert "acme_production" in done.stdout
    wait_for(mariadb.process, mariadb.general, "SELECT DATABASE()")
    events = parsed(mariadb.general, "mysql-general")
    asked = having(events, db__operation__name="USE", tocsin__db__target="acme_nowhere")
    assert [(one["event.action"], one["event.outcome"]) for one in asked] == [
        ("query", "unknown"),
        ("init-db", "failure"),
    ]
    moved = having(events, tocsin__db__kind="session", tocsin__db__target="acme_production")
    assert {one["event.action"] for one in moved} >= {"query", "prepare", "execute"}
