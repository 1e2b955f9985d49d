"""Who it was, in logs that say so only where a connection begins."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from collectors.decode import understand
from collectors.environments import EnvironmentRule, Environments
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from collectors.sessions import DATABASES, KEPT, LIMIT, Sessions
from rules.event import Fields, Value

CTX = Context(received=datetime(2026, 11, 22, 12, tzinfo=UTC))
NAMESPACE = "db.namespace"
WHEN = "2026-11-22T11:00:00.000000Z\t"


def read(sessions: Sessions, form: str, *lines: str, place: str = "general.log") -> list[Fields]:
    out = []
    for line in lines:
        parsed = understand(line, FORMATS[form], CTX)
        sessions.join(place, parsed)
        out.append(parsed.fields)
    return out


def who(fields: Fields) -> tuple[Value, Value, Value]:
    return fields.get("user.name"), fields.get("source.ip"), fields.get("db.namespace")


def general(thread: int, command: str, argument: str = "") -> str:
    return f"{WHEN}{thread:>5} {command}\t{argument}"


CONNECT = general(8, "Connect", "mallory@10.0.0.9 on shop using TCP/IP")


def test_a_statement_in_mysqls_general_log_names_who_connected_and_says_that_it_was_joined() -> None:
    _, found = read(Sessions(), "mysql-general", CONNECT, general(8, "Query", "DELETE FROM t"))
    assert who(found) == ("mallory", "10.0.0.9", "shop")
    assert found["tocsin.joined"] == ["user.name", "source.ip", "db.namespace"]


def test_another_threads_statement_and_one_after_the_end_name_nobody() -> None:
    *_, other, end, after = read(
        Sessions(), "mysql-general", CONNECT, general(9, "Query", "SELECT 1"), general(8, "Quit"),
        general(8, "Query", "SELECT 1"),
    )  # fmt: skip
    assert who(other) == who(after) == (None, None, None)
    assert who(end) == ("mallory", "10.0.0.9", "shop")


@pytest.mark.parametrize(
    ("change", "namespace"),
    [(general(8, "Init DB", "books"), "books"), (general(8, "Query", "USE books"), ["shop", "books"])],
)
def test_a_change_of_database_goes_on(change: str, namespace: Value) -> None:
    *_, found = read(Sessions(), "mysql-general", CONNECT, change, general(8, "Query", "DELETE FROM t"))
    assert who(found) == ("mallory", "10.0.0.9", namespace)


def test_a_change_of_user_is_another_person_from_the_same_place_and_a_refused_one_nobody() -> None:
    changed = general(8, "Change user", "ann@10.0.0.9 on books")
    *_, found = read(Sessions(), "mysql-general", CONNECT, changed, general(8, "Query", "SELECT 1"))
    assert who(found) == ("ann", "10.0.0.9", "books")
    refused = general(8, "Connect", "Access denied for user 'eve'@'10.0.0.7' (using password: YES)")
    *_, found = read(Sessions(), "mysql-general", CONNECT, refused, general(8, "Query", "SELECT 1"))
    assert who(found) == (None, None, None)


def test_a_server_that_starts_counts_anew_and_another_servers_numbers_mean_nothing() -> None:
    sessions = Sessions()
    began = "/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:"
    *_, found = read(sessions, "mysql-general", CONNECT, began, general(8, "Query", "SELECT 1"))
    assert who(found) == (None, None, None)
    read(sessions, "mysql-general", CONNECT)
    (found,) = read(sessions, "mysql-general", general(8, "Query", "SELECT 1"), place="other.log")
    assert who(found) == (None, None, None)


PG = "2026-11-22 11:00:00.000 UTC [7] "


def test_postgresqls_own_prefix_names_nobody_but_the_connection_did() -> None:
    *_, found = read(
        Sessions(), "postgresql",
        f"{PG}LOG:  connection received: host=10.0.0.9 port=4711",
        f"{PG}LOG:  connection authorized: user=mallory database=shop application_name=pg_restore",
        f"{PG}LOG:  statement: DROP TABLE t",
    )  # fmt: skip
    assert who(found) == ("mallory", "10.0.0.9", "shop")
    assert found["source.port"] == 4711


@pytest.mark.parametrize("kind", ["", "read-only ", "read only "])
def test_a_postgresql_that_starts_gives_process_ids_anew(kind: str) -> None:
    *_, found = read(
        Sessions(), "postgresql",
        f"{PG}LOG:  connection authorized: user=mallory database=shop",
        f"2026-11-22 11:00:01.000 UTC [1] LOG:  database system is ready to accept {kind}connections",
        f"{PG}LOG:  statement: DROP TABLE t",
    )  # fmt: skip
    assert who(found) == (None, None, None)


def test_a_prefix_that_names_the_person_gets_the_address_and_another_person_does_not() -> None:
    sessions = Sessions()
    read(sessions, "postgresql", f"{PG}[unknown]@[unknown] LOG:  connection received: host=10.0.0.9 port=4711",
         f"{PG}mallory@shop LOG:  connection authorized: user=mallory database=shop")  # fmt: skip
    same, other = read(sessions, "postgresql", f"{PG}mallory@shop LOG:  statement: SELECT 1",
                       f"{PG}ann@shop LOG:  statement: SELECT 1")  # fmt: skip
    assert who(same) == ("mallory", "10.0.0.9", "shop")
    assert who(other) == ("ann", None, "shop")


def mongo(number: int, context: str, message: str, **attr: object) -> str:
    stamp = {"$date": "2026-11-22T11:00:00.000+00:00"}
    return json.dumps({"t": stamp, "s": "I", "c": "C", "id": number, "ctx": context, "msg": message, "attr": attr})


def test_mongodbs_slow_query_is_whose_connection_it_was() -> None:
    *_, found = read(
        Sessions(), "mongodb",
        mongo(22943, "listener", "Connection accepted", remote="10.0.0.9:4711", connectionId=8),
        mongo(5286306, "conn8", "Successfully authenticated", user="mallory", db="admin", client="10.0.0.9:4711"),
        mongo(51803, "conn8", "Slow query", type="command", ns="shop.card", command={"find": "card"}, durationMillis=1),
    )  # fmt: skip
    assert who(found) == ("mallory", "10.0.0.9", "shop")


def test_memory_is_bounded_and_the_session_silent_longest_is_forgotten_first() -> None:
    sessions = Sessions()
    for thread in range(LIMIT):
        read(sessions, "mysql-general", general(thread, "Connect", "a@10.0.0.1 on d"))
    (first,) = read(sessions, "mysql-general", general(0, "Query", "SELECT 1"))  # heard of again
    read(sessions, "mysql-general", general(LIMIT, "Connect", "a@10.0.0.1 on d"))
    assert len(sessions.known) == LIMIT
    again, second = read(sessions, "mysql-general", general(0, "Query", "SELECT 1"), general(1, "Query", "SELECT 1"))
    assert (first["user.name"], again["user.name"], second.get("user.name")) == ("a", "a", None)


def test_the_last_that_were_heard_of_are_stored_and_only_when_something_changed() -> None:
    sessions = Sessions()
    assert sessions.saved() is None
    for thread in range(KEPT + 1):
        read(sessions, "mysql-general", general(thread, "Connect", "a@10.0.0.1 on d"))
    text = sessions.saved()
    assert text is not None
    assert sessions.saved() is None
    other = Sessions()
    other.restore(text)
    assert other.known == dict(list(sessions.known.items())[1:])


STAGING = general(8, "Connect", "mallory@10.0.0.9 on acme_staging using TCP/IP")
DROP = general(8, "Query", "DROP TABLE customer")
KNOWN = Environments(
    (
        EnvironmentRule.of("staging", {NAMESPACE: "*_staging"}),
        EnvironmentRule.of("production", {NAMESPACE: "*_production"}),
    ),
    "unknown",
)


@pytest.mark.parametrize(
    ("begin", "used"),
    [
        ("acme_production", ["USE acme_staging"]),  # which may be refused
        ("acme_staging", ["USE acme_production"]),
        ("acme_staging", ["USE acme_production; SELECT 1"]),
        ("acme_staging", ["SELECT 1; /*! USE `acme_production` */"]),
        ("acme_staging", ['USE "acme_production"']),  # with ANSI_QUOTES
        ("acme_staging", ["EXECUTE IMMEDIATE 'USE acme_production'"]),
        ("acme_staging", ["USE acme_production", "USE acme_staging"]),
        ("acme_staging", ["USE acme_production", "USE " + "x" * 65, *(f"USE x_{n}" for n in range(100))]),
        ("acme_staging", ["USE acme_production; " + "; ".join(f"USE x_{n}" for n in range(100))]),
    ],
)
def test_a_database_that_a_session_may_stand_in_is_hidden_by_no_other(begin: str, used: list[str]) -> None:
    sessions = Sessions(grave=KNOWN.may_be_production)
    connect = general(8, "Connect", f"mallory@10.0.0.9 on {begin} using TCP/IP")
    *_, found = read(sessions, "mysql-general", connect, *(general(8, "Query", one) for one in used), DROP)
    namespace = found[NAMESPACE]
    assert isinstance(namespace, list)
    assert "acme_production" in namespace
    assert len(namespace) <= DATABASES
    assert found["tocsin.joined"] == ["user.name", "source.ip", NAMESPACE]
    assert KNOWN.of_event(found) == ("production", "acme")


def test_what_init_db_or_another_user_begins_with_is_certain_again() -> None:
    used = general(8, "Query", "USE acme_production")
    *_, found = read(Sessions(), "mysql-general", STAGING, used, general(8, "Init DB", "books"), DROP)
    assert found[NAMESPACE] == "books"
    changed = general(8, "Change user", "ann@10.0.0.9 on ")
    *_, found = read(Sessions(), "mysql-general", STAGING, used, changed, DROP)
    assert who(found) == ("ann", "10.0.0.9", None)


@pytest.mark.parametrize(
    "denied",
    [
        "Access denied for user 'mallory'@'10.0.0.9' to database 'acme_staging'",
        "Benutzer 'mallory'@'10.0.0.9' hat keine Zugriffsberechtigung für Datenbank 'acme_staging'",  # lc_messages
        "Access denied for user 'mallory'@'10.0.0.9' to database 'x'@'10.0.0.1' to database 'acme_staging'",
    ],
)
def test_a_database_that_is_denied_moves_nobody_and_its_name_makes_nobody_another(denied: str) -> None:
    connect = general(8, "Connect", "mallory@10.0.0.9 on acme_production using TCP/IP")
    _, told, after = read(Sessions(), "mysql-general", connect, general(8, "Init DB", denied), DROP)
    assert (told["event.outcome"], told["user.name"]) == ("failure", "mallory")
    assert who(after) == ("mallory", "10.0.0.9", "acme_production")


def test_a_text_runs_where_the_session_stood_before_it_and_what_it_uses_counts_from_then_on() -> None:
    _, text, after = read(
        Sessions(), "mysql-general", STAGING, general(8, "Query", "DROP TABLE t; USE acme_production"), DROP
    )
    assert text[NAMESPACE] == "acme_staging"
    assert after[NAMESPACE] == ["acme_staging", "acme_production"]


def test_candidates_go_through_a_restart() -> None:
    sessions, other = Sessions(), Sessions()
    read(sessions, "mysql-general", STAGING, general(8, "Query", "USE acme_production"))
    other.restore(sessions.saved() or "")
    (found,) = read(other, "mysql-general", DROP)
    assert found[NAMESPACE] == ["acme_staging", "acme_production"]
    assert sessions.saved() is None
    read(sessions, "mysql-general", general(8, "Query", "USE acme_production"))
    assert sessions.saved() is None


def test_a_session_that_began_in_no_database_stands_in_the_one_that_it_uses() -> None:
    connect = general(8, "Connect", "mallory@10.0.0.9 on  using Socket")
    *_, found = read(Sessions(), "mysql-general", connect, general(8, "Query", "USE shop"), DROP)
    assert found[NAMESPACE] == "shop"


@pytest.mark.parametrize("how", ["", " using SSL/TLS"])
def test_a_proxied_connection_keeps_its_database(how: str) -> None:
    connect = general(8, "Connect", f"mallory@10.0.0.9 as admin on acme_production{how}")
    *_, found = read(Sessions(), "mysql-general", connect, DROP)
    assert who(found) == ("mallory", "10.0.0.9", "acme_production")


def test_an_anonymous_connection_names_nobody_not_even_who_was_there_before() -> None:
    *_, found = read(Sessions(), "mysql-general", general(8, "Connect", "@10.0.0.9 on shop using TCP/IP"), DROP)
    assert who(found) == (None, "10.0.0.9", "shop")
    *_, found = read(Sessions(), "mysql-general", CONNECT, general(8, "Change user", "@10.0.0.9 on shop"), DROP)
    assert who(found) == (None, "10.0.0.9", "shop")


@pytest.mark.parametrize(
    ("end", "user"),
    [
        (mongo(20698, "main", "***** SERVER RESTARTED *****"), None),
        (mongo(51803, "conn8", "Slow query", type="command", ns="admin.$cmd", command={"logout": 1}), None),
        (mongo(51803, "conn8", "Slow query", type="command", ns="admin.$cmd", command={"ping": 1}), "mallory"),
        (mongo(51803, "conn9", "Slow query", type="command", ns="admin.$cmd", command={"logout": 1}), "mallory"),
    ],
)
def test_a_mongodb_that_goes_on_in_its_log_and_a_logout_forget_who_it_was(end: str, user: str | None) -> None:
    *_, found = read(
        Sessions(), "mongodb",
        mongo(22943, "listener", "Connection accepted", remote="10.0.0.9:4711", connectionId=8),
        mongo(5286306, "conn8", "Successfully authenticated", user="mallory", db="admin", client="10.0.0.9:4711"),
        end,
        mongo(51803, "conn8", "Slow query", type="command", ns="shop.card", command={"find": "card"}),
    )  # fmt: skip
    assert found.get("user.name") == user
