"""MongoDB's structured log (4.4 and newer): one object a line (docs: Log Messages)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, when
from collectors.formats.address import source
from collectors.formats.json_text import flat, object_of
from rules.event import Value

Fields = dict[str, Value]
# Commands by what they do (docs: Database Commands). What is not listed is "other".
KINDS: Final = {
    **dict.fromkeys(
        (
            "find",
            "aggregate",
            "count",
            "distinct",
            "getMore",
            "listCollections",
            "listDatabases",
            "listIndexes",
            "dbStats",
            "collStats",
        ),
        "read",
    ),
    **dict.fromkeys(
        ("insert", "update", "delete", "findAndModify", "findandmodify", "bulkWrite", "mapReduce", "applyOps"), "write"
    ),
    **dict.fromkeys(
        (
            "create",
            "createCollection",
            "drop",
            "dropCollection",
            "dropDatabase",
            "createIndexes",
            "createIndex",
            "dropIndexes",
            "dropIndex",
            "renameCollection",
            "collMod",
            "convertToCapped",
            "shardCollection",
            "createDatabase",
            "importCollection",
        ),
        "ddl",
    ),
    **dict.fromkeys(
        (
            "createUser",
            "updateUser",
            "dropUser",
            "dropAllUsersFromDatabase",
            "grantRolesToUser",
            "revokeRolesFromUser",
            "createRole",
            "updateRole",
            "dropRole",
            "dropAllRolesFromDatabase",
            "grantRolesToRole",
            "revokeRolesFromRole",
            "grantPrivilegesToRole",
            "revokePrivilegesFromRole",
        ),
        "privilege",
    ),
    **dict.fromkeys(
        (
            "authenticate",
            "saslStart",
            "saslContinue",
            "logout",
            "hello",
            "isMaster",
            "ismaster",
            "ping",
            "endSessions",
            "startSession",
            "clientMetadata",
        ),
        "session",
    ),
    **dict.fromkeys(("fsync", "backupCursor"), "backup"),
}
_LEVELS: Final = frozenset({"F", "E", "W", "I", "D", "D1", "D2", "D3", "D4", "D5"})
_PLAIN: Final = {"c": "mongodb.log.component", "ctx": "mongodb.log.context", "svc": "mongodb.log.service"}
# Log ids of the messages that say who came and went (src/mongo, logv2).
_AUTHENTICATED: Final = frozenset({20250, 5286306})
_REFUSED: Final = frozenset({20249, 5286307})
# What the server says of structure that it changes: operation, and which attribute names what it is done to.
_CHANGES: Final = {
    "dropDatabase - starting": ("dropDatabase", "db", "unknown"),
    "dropDatabase": ("dropDatabase", "db", "success"),
    "CMD: drop": ("drop", "namespace", "unknown"),
    "CMD: dropIndexes": ("dropIndexes", "namespace", "unknown"),
    "createCollection": ("create", "namespace", "success"),
    "renameCollectionForCommand": ("renameCollection", "sourceNamespace", "unknown"),
}
_LIFE: Final = {
    "Waiting for connections": ("server-started", "start"),
    "Shutting down": ("server-shutdown", "end"),
    "MongoDB starting": ("server-starting", "start"),
}
_TYPES: Final = {"remove": "delete", "query": "find", "getmore": "getMore"}
_UNBOUNDED: Final[tuple[object, ...]] = ({}, None)


def base(dataset: str) -> Fields:
    """Return the fields that every MongoDB event has."""
    return {
        "event.kind": "event",
        "event.module": "mongodb",
        "event.dataset": dataset,
        "event.category": ["database"],
        "event.type": ["info"],
        "db.system.name": "mongodb",
    }


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one line. Raises ParseError if it is no log object of MongoDB."""
    record = object_of(text)
    stamp, level, message = record.get("t"), record.get("s"), record.get("msg")
    if not isinstance(stamp, dict) or level not in _LEVELS or not isinstance(message, str):
        raise ParseError("no log of MongoDB: no t, s and msg")
    fields = base("mongodb.log")
    fields["log.level"] = str(level)
    fields["message"] = message
    for name, field in _PLAIN.items():
        if isinstance(record.get(name), str):
            fields[field] = str(record[name])
    number = record.get("id")
    if isinstance(number, int):
        fields["mongodb.log.id"] = number
        fields["event.code"] = str(number)
    if level in ("E", "F"):
        fields["event.type"] = ["error"]
    attributes = record.get("attr")
    if isinstance(attributes, dict):
        fields.update(flat(attributes, "mongodb.log.attr."))
        _understand(number if isinstance(number, int) else 0, message, attributes, fields)
    return Parsed(instant(stamp, ctx), fields)


def instant(stamp: Mapping[str, object], ctx: Context) -> datetime:
    """Return the moment of {"$date": ...}: ISO 8601, or milliseconds. Raises ParseError."""
    value = stamp.get("$date")
    if isinstance(value, dict):
        value = value.get("$numberLong")
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 16:
        return when.epoch(int(value) / 1000)
    if isinstance(value, int | float):
        return when.epoch(value / 1000)
    found = when.iso(str(value), ctx)
    if found is None:
        raise ParseError("no time of MongoDB's: no $date")
    return found[0]


def _understand(number: int, message: str, attributes: dict[str, object], fields: Fields) -> None:
    remote = attributes.get("remote") or attributes.get("client")
    if isinstance(remote, str) and remote:
        host, _, port = remote.rpartition(":")
        source(fields, (host or remote).strip("[]"), port if host else None)
    if message in ("Connection accepted", "Connection ended"):
        fields["event.category"] = ["database", "network"]
        fields["event.type"] = ["connection", "start" if message.endswith("accepted") else "end"]
        fields["event.action"] = message.lower().replace(" ", "-")
    elif number in _AUTHENTICATED or message in ("Authentication succeeded", "Successfully authenticated"):
        _login("success", attributes, fields)
    elif number in _REFUSED or message == "Authentication failed":
        _login("failure", attributes, fields)
    elif isinstance(attributes.get("command"), dict):
        _command(attributes, fields)
    elif message == "Checking authorization failed":
        fields["event.outcome"] = "failure"
        fields["event.action"] = "authorization"
    elif message in _CHANGES:
        _changed(*_CHANGES[message], attributes, fields)
    elif message in _LIFE:
        fields["event.category"] = ["database", "process"]
        fields["event.action"], fields["event.type"] = _LIFE[message][0], [_LIFE[message][1]]


def _changed(name: str, named: str, outcome: str, attributes: Mapping[str, object], fields: Fields) -> None:
    """A database or a collection that is dropped, made or renamed."""
    target = attributes.get(named)
    fields["event.action"], fields["event.outcome"] = name, outcome
    operation(name, {}, target if isinstance(target, str) else "", fields)


def _login(outcome: str, attributes: dict[str, object], fields: Fields) -> None:
    fields["event.category"] = ["database", "authentication"]
    fields["event.action"] = "authentication"
    fields["event.outcome"] = outcome
    fields["tocsin.db.kind"] = "session"
    named = attributes.get("user") or attributes.get("principalName")
    user, database = named, attributes.get("db") or attributes.get("authenticationDatabase")
    if isinstance(named, dict):
        user, database = named.get("user"), named.get("db")
    if isinstance(user, str):
        fields["user.name"] = user
    if isinstance(database, str):
        fields["db.namespace"] = database


def _command(attributes: dict[str, object], fields: Fields) -> None:
    """A slow query: its command is an object whose first key is the operation."""
    command = attributes["command"]
    if not isinstance(command, dict) or not command:
        return
    name, kind = next(iter(command)), attributes.get("type")
    if isinstance(kind, str) and kind not in ("command", "none") and name not in KINDS:
        name = _TYPES.get(kind, kind)  # a single write of a command stands without the command's name
    namespace, rows = attributes.get("ns"), attributes.get("nreturned")
    operation(name, command, str(namespace) if isinstance(namespace, str) else "", fields)
    if isinstance(rows, int) and 0 <= rows < 1 << 60:
        fields["db.response.returned_rows"] = rows
    _tool(attributes.get("appName"), fields)
    duration = attributes.get("durationMillis")
    if isinstance(duration, int) and 0 <= duration < 1 << 40:
        fields["event.duration"] = duration * 1_000_000
    fields["event.action"] = "slow-query"
    fields["event.outcome"] = "failure" if attributes.get("errCode") else "success"


def operation(name: str, command: Mapping[str, object], namespace: str, fields: Fields) -> None:
    """Add what a command does, and to which collection (`db.collection`)."""
    fields["db.operation.name"] = name
    fields["tocsin.db.kind"] = KINDS.get(name, "other")
    database, _, collection = namespace.partition(".")
    if database:
        fields["db.namespace"] = database
    target = command.get(name)
    if collection and collection != "$cmd":
        fields["db.collection.name"] = collection
    elif isinstance(target, str):
        fields["db.collection.name"] = target
    if "db.collection.name" in fields:
        fields["tocsin.db.object"] = fields["db.collection.name"]
    if fields["tocsin.db.kind"] == "read" and _writes_out(command.get("pipeline")):
        fields["tocsin.db.kind"] = "write"
    if "tocsin.db.object" not in fields and database and name == "dropDatabase":
        fields["tocsin.db.object"], fields["tocsin.db.object_type"] = database, "database"
    if name in ("delete", "update") and any(map(_is_unbounded, _parts(name, command))):
        fields["tocsin.db.unbounded"] = True


def _parts(name: str, command: Mapping[str, object]) -> list[object]:
    """Return the single writes of a delete or an update; one that stands alone is its own."""
    listed = command.get(f"{name}s")
    return listed if isinstance(listed, list) else [command] if "q" in command else []


def _is_unbounded(part: object) -> bool:
    """Say whether a write is of every document: no condition, and neither `limit: 1` nor `multi: false`."""
    if not isinstance(part, dict) or part.get("q") not in _UNBOUNDED:
        return False
    return part.get("multi") is True if "u" in part else part.get("limit") in (0, None)


def _writes_out(pipeline: object) -> bool:
    """Say whether an aggregation ends in $out or $merge."""
    last = pipeline[-1] if isinstance(pipeline, list) and pipeline else None
    return isinstance(last, dict) and ("$out" in last or "$merge" in last)


def _tool(name: object, fields: Fields) -> None:
    """Call what mongodump reads a backup, what mongorestore writes a restore: by the client's own word, which only
    makes it graver."""
    kind = fields.get("tocsin.db.kind")
    if name == "mongodump" and kind == "read":
        fields["tocsin.db.kind"] = "backup"
    elif name in ("mongorestore", "mongoimport") and kind in ("write", "ddl"):
        fields["tocsin.db.kind"] = "restore"


FORMAT = Format("mongodb", parse)
