"""MongoDB's audit log in JSON, mongo schema (docs: System Event Audit Messages): Enterprise, Atlas, Percona."""

from __future__ import annotations

from typing import Final

from collectors.formats import Context, Format, Parsed, ParseError, mongodb
from collectors.formats.address import source
from collectors.formats.json_text import flat, object_of
from rules.event import Value

Fields = dict[str, Value]
_ACCOUNTS: Final = ("User", "Role")
_AUTH: Final = frozenset({"authenticate", "logout", "clientMetadata"})
_SERVER: Final = {"shutdown": ("process", "end"), "startup": ("process", "start")}
_CONFIGURED: Final = frozenset({
    "auditConfigure", "replSetReconfig", "addShard", "removeShard", "enableSharding", "setClusterParameter",
})  # fmt: skip


def parse(text: str, ctx: Context) -> Parsed:
    """Return the event of one audit record. Raises ParseError if it is none of MongoDB's."""
    record = object_of(text)
    action, stamp = record.get("atype"), record.get("ts")
    if not isinstance(action, str) or not isinstance(stamp, dict):
        raise ParseError("no audit record of MongoDB: no atype and ts")
    fields = mongodb.base("mongodb.audit")
    fields["event.action"] = action
    fields["message"] = action
    code = record.get("result")
    if isinstance(code, int):
        fields["event.outcome"] = "success" if code == 0 else "failure"
        if code:
            fields["event.code"] = str(code)
    _peer(record, fields)
    _who(record, fields)
    param = record.get("param")
    if isinstance(param, dict):
        fields.update(flat(param, "mongodb.audit.param."))
        _what(action, param, fields)
    return Parsed(mongodb.instant(stamp, ctx), fields)


def _peer(record: dict[str, object], fields: Fields) -> None:
    for name, target in (("remote", "source"), ("local", "destination")):
        end = record.get(name)
        if not isinstance(end, dict) or not isinstance(end.get("ip"), str):
            continue
        if target == "source":
            source(fields, str(end["ip"]), str(end.get("port", "")))
        else:
            fields["destination.address"] = str(end["ip"])


def _who(record: dict[str, object], fields: Fields) -> None:
    """Take the authenticated user; their roles beside."""
    users = record.get("users")
    first = users[0] if isinstance(users, list) and users else None
    if isinstance(first, dict) and isinstance(first.get("user"), str):
        fields["user.name"] = str(first["user"])
        if isinstance(first.get("db"), str):
            fields["user.domain"] = str(first["db"])
    roles = record.get("roles")
    if isinstance(roles, list):
        fields["user.roles"] = [f"{r.get('role')}@{r.get('db')}" for r in roles[:64] if isinstance(r, dict)]


def _what(action: str, param: dict[str, object], fields: Fields) -> None:
    if action in _AUTH:
        fields["event.category"] = (
            ["database", "authentication"] if action == "authenticate" else ["database", "session"]
        )
        fields["tocsin.db.kind"] = "session"
        fields["event.type"] = ["end"] if action == "logout" else ["info"]
        if isinstance(param.get("user"), str):
            fields["user.name"] = str(param["user"])
        if isinstance(param.get("db"), str):
            fields["db.namespace"] = str(param["db"])
        return
    command = param.get("command")
    namespace = param.get("ns") or param.get("old")  # renameCollection says old and new
    name = command if action == "authCheck" and isinstance(command, str) else action
    args = param.get("args")
    mongodb.operation(
        name, args if isinstance(args, dict) else {}, namespace if isinstance(namespace, str) else "", fields
    )
    if action in _SERVER:
        fields["event.category"], fields["event.type"] = ["database", _SERVER[action][0]], [_SERVER[action][1]]
    elif action in _CONFIGURED:
        fields["event.category"], fields["event.type"] = ["database", "configuration"], ["change"]
    elif action == "directAuthMutation":  # somebody writes to system.users by hand
        fields["event.category"] = ["database", "iam"]
        fields["tocsin.db.kind"] = "privilege"
    if action.endswith(_ACCOUNTS) or "Roles" in action or "Privileges" in action:
        fields["event.category"] = ["database", "iam"]
        for key in ("user", "role"):
            if isinstance(param.get(key), str):
                fields["user.target.name" if key == "user" else "mongodb.audit.role"] = str(param[key])
        if isinstance(param.get("db"), str):
            fields["db.namespace"] = str(param["db"])
        _roles(param, fields)


def _roles(param: dict[str, object], fields: Fields) -> None:
    """Name the role that is made or changed, else those that are given or taken."""
    named, roles = param.get("role"), param.get("roles")
    if isinstance(named, str):
        fields["tocsin.db.object"], fields["tocsin.db.object_type"] = named, "role"
    elif isinstance(roles, list) and roles:
        told = [f"{r.get('role')}@{r.get('db')}" for r in roles[:16] if isinstance(r, dict)]
        fields["tocsin.db.object"], fields["tocsin.db.object_type"] = ", ".join(told), "role"


FORMAT = Format("mongodb-audit", parse)
