"""MongoDB: what is dropped, written whole or written out, whose tool it was, and the audit's rarer actions."""

# ruff: noqa: E501  log lines are as long as they are

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from collectors.decode import understand
from collectors.formats import Context
from collectors.formats.registry import FORMATS
from rules.event import Fields, Value

CTX = Context(received=datetime(2026, 11, 22, 12, tzinfo=UTC))
STAMP = {"$date": "2026-11-22T11:00:00.000+00:00"}


def logged(message: str, number: int = 51803, **attr: object) -> Fields:
    text = json.dumps(
        {"t": STAMP, "s": "I", "c": "COMMAND", "id": number, "ctx": "conn8", "msg": message, "attr": attr}
    )
    return understand(text, FORMATS["mongodb"], CTX).fields


@pytest.mark.parametrize(
    ("attr", "wanted"),
    [
        ({"type": "remove", "ns": "shop.card", "command": {"q": {}, "limit": 0}}, {"db.operation.name": "delete", "tocsin.db.kind": "write", "tocsin.db.unbounded": True}),
        ({"type": "remove", "ns": "shop.card", "command": {"q": {"a": 1}, "limit": 0}}, {"tocsin.db.unbounded": None}),
        ({"type": "remove", "ns": "shop.card", "command": {"q": {}, "limit": 1}}, {"tocsin.db.unbounded": None}),
        ({"type": "update", "ns": "shop.card", "command": {"q": {}, "u": {"$set": {"a": 1}}, "multi": True}}, {"db.operation.name": "update", "tocsin.db.unbounded": True}),
        ({"type": "update", "ns": "shop.card", "command": {"q": {}, "u": {"$set": {"a": 1}}, "multi": False}}, {"tocsin.db.unbounded": None}),
        ({"type": "command", "ns": "shop.$cmd", "command": {"update": "card", "updates": [{"q": {}, "u": {}, "multi": True}]}}, {"db.collection.name": "card", "tocsin.db.unbounded": True}),
        ({"type": "command", "ns": "shop.card", "command": {"aggregate": "card", "pipeline": [{"$match": {}}, {"$out": "x"}]}, "nreturned": 3}, {"tocsin.db.kind": "write", "db.response.returned_rows": 3}),
        ({"type": "command", "ns": "shop.card", "appName": "mongodump", "command": {"find": "card"}}, {"tocsin.db.kind": "backup"}),
        ({"type": "command", "ns": "shop.card", "appName": "mongorestore", "command": {"insert": "card"}}, {"tocsin.db.kind": "restore"}),
    ],
)  # fmt: skip
def test_a_slow_query_says_what_it_did(attr: dict[str, object], wanted: dict[str, Value]) -> None:
    found = logged("Slow query", **attr)
    assert {name: found.get(name) for name in wanted} == wanted


def test_a_database_that_is_dropped_is_named() -> None:
    found = logged("dropDatabase", 20336, db="shop", numCollectionsDropped=3)
    assert (found["tocsin.db.kind"], found["db.namespace"], found["tocsin.db.object_type"]) == (
        "ddl",
        "shop",
        "database",
    )
    assert logged("CMD: drop", 518070, namespace="shop.card")["db.collection.name"] == "card"
    refused = logged("Checking authorization failed", 20436, error={"code": 13})
    assert (refused["event.action"], refused["event.category"]) == ("authorization", ["database"])


def audited(action: str, **param: object) -> Fields:
    text = json.dumps(
        {
            "atype": action,
            "ts": STAMP,
            "remote": {"ip": "10.0.0.9", "port": 1},
            "users": [{"user": "ann", "db": "admin"}],
            "roles": [],
            "param": param,
            "result": 0,
        }
    )
    return understand(text, FORMATS["mongodb-audit"], CTX).fields


@pytest.mark.parametrize(
    ("action", "param", "wanted"),
    [
        ("renameCollection", {"old": "shop.a", "new": "shop.b"}, {"db.namespace": "shop", "db.collection.name": "a", "tocsin.db.kind": "ddl"}),
        ("directAuthMutation", {"document": {}, "ns": "admin.system.users", "operation": "insert"}, {"event.category": ["database", "iam"], "tocsin.db.kind": "privilege", "db.collection.name": "system.users"}),
        ("auditConfigure", {"config": {}}, {"event.category": ["database", "configuration"], "event.type": ["change"]}),
        ("shutdown", {}, {"event.category": ["database", "process"], "event.type": ["end"]}),
        ("grantRolesToUser", {"user": "eve", "db": "shop", "roles": [{"role": "dbOwner", "db": "shop"}]}, {"user.target.name": "eve", "tocsin.db.object": "dbOwner@shop", "user.name": "ann"}),
        ("authCheck", {"command": "delete", "ns": "shop.card", "args": {"delete": "card", "deletes": [{"q": {}, "limit": 0}]}}, {"tocsin.db.unbounded": True}),
    ],
)  # fmt: skip
def test_an_audited_action_says_what_it_was(action: str, param: dict[str, object], wanted: dict[str, Value]) -> None:
    found = audited(action, **param)
    assert {name: found.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("I COMMAND  [conn7] CMD: drop shop.card", {"tocsin.db.kind": "ddl", "db.namespace": "shop", "db.collection.name": "card"}),
        ("I COMMAND  [conn7] dropDatabase shop starting", {"tocsin.db.kind": "ddl", "tocsin.db.object": "shop"}),
        ("I WRITE    [conn7] remove shop.card command: { q: {}, limit: 0 } planSummary: COLLSCAN 120ms", {"tocsin.db.kind": "write", "tocsin.db.unbounded": True}),
        ("I WRITE    [conn7] remove shop.card command: { q: { a: 1.0 }, limit: 0 } planSummary: COLLSCAN 120ms", {"tocsin.db.unbounded": None}),
    ],
)  # fmt: skip
def test_the_text_log_says_so_too(message: str, wanted: dict[str, Value]) -> None:
    found = understand(f"2026-11-22T11:00:00.000+0000 {message}", FORMATS["mongodb-text"], CTX).fields
    assert {name: found.get(name) for name in wanted} == wanted
