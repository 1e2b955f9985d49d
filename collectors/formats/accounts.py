"""The shadow suite and Debian's adduser: users, groups and passwords made, changed and removed."""

from __future__ import annotations

import re
from typing import Final

from rules.event import Value

Fields = dict[str, Value]
_PAIR: Final = re.compile(r"(name|UID|GID|home|shell|from)=([^,]*)(?:, |$)")
_KEYS: Final = {
    "UID": "user.id",
    "GID": "group.id",
    "home": "system.auth.useradd.home",
    "shell": "system.auth.useradd.shell",
    "from": "system.auth.useradd.from",
}
# A sentence, what it means (action, types), and where its names go. Names stand in quotes or are one word.
_Q: Final = r"['`\"]([^'`\"]*)['`\"]"
_SENTENCES: Final = tuple(
    (re.compile(pattern), action, types, names)
    for pattern, action, types, names in (
        (
            rf"add {_Q} to (?:shadow )?group {_Q}",
            "group-member-added",
            ("user", "change"),
            ("user.target.name", "group.name"),
        ),
        (
            rf"(?:delete|remove) {_Q} from (?:shadow )?group {_Q}",
            "group-member-removed",
            ("user", "change"),
            ("user.target.name", "group.name"),
        ),
        (rf"delete user {_Q}", "user-deleted", ("user", "deletion"), ("user.target.name",)),
        (rf"user {_Q} (?:was )?deleted", "user-deleted", ("user", "deletion"), ("user.target.name",)),
        (
            rf"removed (?:shadow )?group {_Q} owned by {_Q}",
            "group-deleted",
            ("group", "deletion"),
            ("group.name", "user.target.name"),
        ),
        (rf"group {_Q} removed(?: from (\S+))?", "group-deleted", ("group", "deletion"), ("group.name", "file.path")),
        (rf"(?:remove|delete)d? group {_Q}", "group-deleted", ("group", "deletion"), ("group.name",)),
        (
            rf"change user name {_Q} to {_Q}",
            "user-renamed",
            ("user", "change"),
            ("user.target.name", "user.changes.name"),
        ),
        (rf"change user {_Q} password", "password-changed", ("user", "change"), ("user.target.name",)),
        (rf"change user {_Q} (.*)", "user-changed", ("user", "change"), ("user.target.name", "event.reason")),
        (rf"changed user {_Q}(.*)", "user-changed", ("user", "change"), ("user.target.name", "event.reason")),
        (rf"lock user {_Q} password", "password-locked", ("user", "change"), ("user.target.name",)),
        (rf"unlock user {_Q} password", "password-unlocked", ("user", "change"), ("user.target.name",)),
        (rf"change group {_Q} to {_Q}", "group-changed", ("group", "change"), ("group.name", "event.reason")),
        (rf"change (?:gid|GID) for {_Q}.*", "user-changed", ("user", "change"), ("user.target.name",)),
        (
            rf"changed? password expiry for (\S+)|changed password expiry for {_Q}",
            "password-expiry-changed",
            ("user", "change"),
            ("user.target.name", "user.target.name"),
        ),
        (
            rf"password for {_Q} changed by {_Q}",
            "password-changed",
            ("user", "change"),
            ("user.target.name", "user.name"),
        ),
        (
            r"password for (\S+) changed by (\S+)",
            "password-changed",
            ("user", "change"),
            ("user.target.name", "user.name"),
        ),
        (r"password changed for (\S+)", "password-changed", ("user", "change"), ("user.target.name",)),
        (
            rf"changed user {_Q} shell to {_Q}",
            "shell-changed",
            ("user", "change"),
            ("user.target.name", "event.reason"),
        ),
        (rf"changed user {_Q} information", "user-changed", ("user", "change"), ("user.target.name",)),
        (
            r"user (\S+) added by (\S+) to group (\S+)",
            "group-member-added",
            ("user", "change"),
            ("user.target.name", "user.name", "group.name"),
        ),
        (
            r"user (\S+) added to group (\S+) by (\S+)",  # groupmems
            "group-member-added",
            ("user", "change"),
            ("user.target.name", "group.name", "user.name"),
        ),
        (
            r"user (\S+) removed from group (\S+) by (\S+)",
            "group-member-removed",
            ("user", "change"),
            ("user.target.name", "group.name", "user.name"),
        ),
        (
            r"user (\S+) removed by (\S+) from group (\S+)",
            "group-member-removed",
            ("user", "change"),
            ("user.target.name", "user.name", "group.name"),
        ),
        (
            r"add member (\S+) to group (\S+) by (\S+)",
            "group-member-added",
            ("user", "change"),
            ("user.target.name", "group.name", "user.name"),
        ),
        (
            r"members of group (\S+) set by (\S+) to (.*)",
            "group-changed",
            ("group", "change"),
            ("group.name", "user.name", "event.reason"),
        ),
        (
            r"administrators of group (\S+) set by (\S+) to (.*)",
            "group-changed",
            ("group", "change"),
            ("group.name", "user.name", "event.reason"),
        ),
        (
            r"password of group (\S+) (?:changed|removed) by (\S+)",
            "group-changed",
            ("group", "change"),
            ("group.name", "user.name"),
        ),
        (rf"add group {_Q}(?: to .*)?", "group-created", ("group", "creation"), ("group.name",)),
        (rf"add user {_Q}(?: to .*)?", "user-created", ("user", "creation"), ("user.target.name",)),
    )
)
_CREATED: Final = re.compile(
    r"(?:new (user|group)|(group) added to (?:/etc/g?shadow|/etc/group)|(user) added to \S+): ?"
)
_GROUP_CHANGED: Final = re.compile(r"group changed in (\S+) \((.*)\)$")
_FAILED: Final = re.compile(
    r"failed (?:adding|to add|to remove|removing|to change|to) (?:user |group )?['`\"]?([^'`\",]*)['`\"]?.*"
)
_CHKPWD: Final = re.compile(r"password check failed for user \((.*)\)$", re.DOTALL)


def read(message: str) -> Fields | None:
    """Return what was done to which account, or None if the message says nothing of one."""
    created = _CREATED.match(message)
    if created is not None:
        return _created(message, created)
    if message.startswith("group changed in "):
        found = _GROUP_CHANGED.match(message)
        fields = _base("group-changed", ("group", "change"), "success")
        if found is not None:
            fields["file.path"] = found[1]
            fields["group.name"] = found[2].partition(",")[0].removeprefix("group ").partition("/")[0]
        return fields
    for pattern, action, types, names in _SENTENCES:
        found = pattern.match(message)
        if found is not None:
            return _filled(_base(action, types, "success"), names, found.groups())
    failed = _FAILED.match(message)
    if failed is not None:
        return {**_base("account-change-failed", ("user", "change"), "failure"), "user.target.name": failed[1]}
    return None


def _base(action: str, types: tuple[str, ...], outcome: str) -> Fields:
    return {
        "event.module": "shadow",
        "event.dataset": "system.auth",
        "event.category": ["iam"],
        "event.type": [*types],
        "event.action": action,
        "event.outcome": outcome,
    }


# These say no actor: their user is the one that was changed, as Elastic's integration and SIEM rules have it.
_NAMED: Final = frozenset({"group-member-added", "group-member-removed", "user-deleted"})


def _filled(fields: Fields, names: tuple[str, ...], values: tuple[str | None, ...]) -> Fields:
    for name, value in zip(names, values, strict=False):
        if value:
            fields[name] = value.strip(" ")
    if fields["event.action"] in _NAMED and "user.target.name" in fields:
        fields.setdefault("user.name", fields["user.target.name"])
    return fields


def _created(message: str, head: re.Match[str]) -> Fields:
    """new user: name=apache, UID=48, GID=48, home=/x, shell=/y; group added to /etc/gshadow: name=fleet."""
    user = head[1] == "user" or head[3] == "user"
    fields = _base(
        *(("user-created", ("user", "creation")) if user else ("group-created", ("group", "creation"))), "success"
    )
    for found in _PAIR.finditer(message, head.end()):
        key, value = found.groups()
        if key != "name":
            fields.setdefault(_KEYS[key], value)
        elif user:
            fields["user.name"] = fields["user.target.name"] = value
        else:
            fields["group.name"] = value
    return fields


def read_chkpwd(message: str) -> Fields | None:
    """unix_chkpwd: password check failed for user (NAME)."""
    found = _CHKPWD.match(message)
    if found is None:
        return None
    return {
        "event.module": "pam",
        "event.dataset": "system.auth",
        "event.category": ["authentication"],
        "event.type": ["info"],
        "event.action": "authentication_failure",
        "event.outcome": "failure",
        "user.name": found[1],
    }
