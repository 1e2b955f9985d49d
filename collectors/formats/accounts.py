"""The shadow suite, SUSE's pwdutils, util-linux and Debian's adduser: users, groups and passwords made and changed.

Sources: shadow 4.0 to 4.17 (useradd, usermod, userdel, groupadd, groupmod, groupdel, groupmems, gpasswd, passwd, chage,
chfn, chsh, newgrp, vipw), pwdutils 3 and util-linux's chfn and chsh; pam_unix's helper unix_chkpwd.
"""

# ruff: noqa: E501  a row is a message: it is read more easily whole

from __future__ import annotations

import re
from typing import Final

from collectors.formats.sayings import AUTH, Fields, Saying, reader

_T: Final = r"['`\"](?P<target>[^'`\"]*)['`\"]"
_G: Final = r"['`\"](?P<group>[^'`\"]*)['`\"]"
_CHANGED: Final = "user-changed"
_FAILED: Final = "account-change-failed"
_ADDED: Final = "group-member-added"
_REMOVED: Final = "group-member-removed"


def _user(start: str, rest: str, action: str, kind: str = "change") -> Saying:
    return Saying(start, rest, "iam", action, "success", f"user {kind}")


def _group(start: str, rest: str, action: str, kind: str = "change") -> Saying:
    return Saying(start, rest, "iam", action, "success", f"group {kind}")


def _failed(start: str, rest: str) -> Saying:
    return Saying(start, rest, "iam", _FAILED, "failure", "user change")


_USERS: Final = (
    _user("add ", rf"{_T} to (?:shadow )?group {_G}", _ADDED),
    _user("delete ", rf"{_T} from (?:shadow )?group {_G}", _REMOVED),
    _user("remove ", rf"{_T} from (?:shadow )?group {_G}", _REMOVED),
    _user("delete ", rf"admin {_T} from (?:shadow )?group {_G}", _REMOVED),
    _user("add ", rf"user {_T}(?: to .*)?", "user-created", "creation"),
    _user("delete ", rf"user {_T}.*", "user-deleted", "deletion"),
    _user("user ", rf"{_T} (?:was )?deleted", "user-deleted", "deletion"),
    _user("deleting ", rf"user {_T}", "user-deleted", "deletion"),
    _user("change ", rf"user name {_T} to ['`\"](?P<renamed>[^'`\"]*)['`\"]", "user-renamed"),
    _user("change ", rf"user {_T} password", "password-changed"),
    _user("change ", rf"user {_T} (?P<why>.*)", _CHANGED),
    _user("change ", rf"(?:admin )?{_T} to (?P<why>\S+ in (?:shadow )?group) {_G}", _CHANGED),
    _group("change ", rf"group {_G} (?P<why>to .*)", "group-changed"),
    _user("change ", rf"(?:gid|GID) for {_T}(?P<why>.*)", _CHANGED),
    _user("changed ", rf"user {_T} shell to ['`\"](?P<why>[^'`\"]*)['`\"]", "shell-changed"),
    _user("changed ", rf"user {_T}(?P<why>.*)", _CHANGED),
    _user("changed ", rf"password expiry for (?:{_T}|(?P<name>\S+))", "password-expiry-changed"),
    _user("changed ", rf"password for user {_T}", "password-changed"),
    _user("change ", r"password expiry for (?P<target>\S+)", "password-expiry-changed"),
    _user("lock ", rf"user {_T} password", "password-locked"),
    _user("unlock ", rf"user {_T} password", "password-unlocked"),
    _user("password ", rf"for {_T} changed by ['`\"](?P<user>[^'`\"]*)['`\"]", "password-changed"),
    _user("password ", r"for (?P<target>\S+) changed by (?P<user>\S+)", "password-changed"),
    _user("password ", rf"changed for (?:{_T}|(?P<name>\S+))", "password-changed"),
    Saying("incorrect ", r"password for '?(?P<user>[^']*)'?", AUTH, "authentication_failure", "failure"),
    _failed("can't view or modify password information for ", r"'?(?P<target>[^']*)'?"),
)  # fmt: skip
_GROUPS: Final = (
    _group("add ", rf"group {_G}(?: to .*)?", "group-created", "creation"),
    _group("removed ", rf"(?:shadow )?group {_G} owned by {_T}", "group-deleted", "deletion"),
    _group("group ", rf"{_G} removed(?: from (?P<path>\S+))?", "group-deleted", "deletion"),
    Saying("group ", rf"{_G} not removed because (?P<why>.*)", "iam", "group-kept", "unknown", "group info"),
    _group("remove ", rf"group {_G}", "group-deleted", "deletion"),
    _group("removed ", rf"group {_G}", "group-deleted", "deletion"),
    _group("delete ", rf"group {_G}", "group-deleted", "deletion"),
    _group("deleted ", rf"group {_G}", "group-deleted", "deletion"),
    _group("group changed in ", r"(?P<path>\S+) \((?:group )?(?P<group>[^,/() ]*)[^,]*(?:, (?P<why>.*))?\)", "group-changed"),
    _user("user ", r"(?P<target>\S+) added by (?P<user>\S+) to group (?P<group>\S+)", _ADDED),
    _user("user ", r"(?P<target>\S+) added to group (?P<group>\S+) by (?P<user>\S+)", _ADDED),
    _user("user ", r"(?P<target>\S+) removed by (?P<user>\S+) from group (?P<group>\S+)", _REMOVED),
    _user("user ", r"(?P<target>\S+) removed from group (?P<group>\S+) by (?P<user>\S+)", _REMOVED),
    _user("add ", r"member (?P<target>\S+) to group (?P<group>\S+) by (?P<user>\S+)", _ADDED),
    _user("remove ", r"member (?P<target>\S+) from group (?P<group>\S+) by (?P<user>\S+)", _REMOVED),
    _group("members ", r"of group (?P<group>\S+) set by (?P<user>\S+) to (?P<why>.*)", "group-changed"),
    _group("administrators ", r"of group (?P<group>\S+) set by (?P<user>\S+) to (?P<why>.*)", "group-changed"),
    _group("set ", r"(?P<why>members|administrators) of (?P<group>\S+) to .*", "group-changed"),
    _group("password ", r"of group (?P<group>\S+) (?P<why>changed|removed) by (?P<user>\S+)", "group-changed"),
    _group("access ", r"to group (?P<group>\S+) (?P<why>restricted) by (?P<user>\S+)", "group-changed"),
    _group("change the ", r"(?P<why>password) of group (?P<group>\S+)", "group-changed"),
    _group("remove ", r"(?P<why>password) from group (?P<group>\S+)", "group-changed"),
    _group("restrict ", r"(?P<why>access) to group (?P<group>\S+)", "group-changed"),
    Saying("user ", r"'(?P<user>[^']*)' \(login '[^']*' on (?P<tty>\S+)\) (?P<why>switched|returned) to group '(?P<group>[^']*)'", "session", "group-switched", "success"),
    Saying("Invalid ", r"password for group '(?P<group>[^']*)' from '(?P<user>.*)'", AUTH, "authentication_failure", "failure"),
    Saying("file ", r"(?P<path>\S+) edited", "iam", "account-file-edited", "success", "admin change"),
)  # fmt: skip
_FAILURES: Final = (
    _failed("failed ", r"adding (?:user )?['`\"]?(?P<target>[^'`\",]*)['`\"]?.*"),
    _failed("failed ", r"(?:deleting|removing|to remove|to delete) user ['`\"]?(?P<target>[^'`\", ]*)['`\"]? from group (?P<group>\S+)"),
    _failed("failed ", r"to add user ['`\"]?(?P<target>[^'`\", ]*)['`\"]? to group (?P<group>\S+)"),
    _failed("failed ", r"(?:to add|to remove|to delete|removing|deleting) group ['`\"]?(?P<group>[^'`\", ]*)['`\"]?.*"),
    _failed("failed ", r"to change (?P<path>/\S+) \((?:group )?(?P<group>[^,/() ]*)(?P<why>.*)\)"),
    _failed("failed ", r"[^'`\"]*(?:user|entry|for) ['`\"](?P<target>[^'`\"]*)['`\"].*"),
    _failed("failed ", r"(?:to \w+|\w+ing) (?:user )?['`\"]?(?P<target>[^'`\", ]*)['`\"]?"),
    _failed("failed ", r"(?P<why>.*)"),
)  # fmt: skip
# SUSE's pwdutils: what was done, then pairs; `by` is the number of who did it.
_BY: Final = r"(?:, .*)?, by=(?P<uid>\d+)"
_PWDUTILS: Final = (
    _user("new account added - ", rf"account=(?P<target>[^,]*){_BY}", "user-created", "creation"),
    _user("account added to group - ", rf"account=(?P<target>[^,]*), group=(?P<group>[^,]*){_BY}", _ADDED),
    _user("account removed from group - ", rf"account=(?P<target>[^,]*), group=(?P<group>[^,]*){_BY}", _REMOVED),
    _user("account deleted - ", rf"account=(?P<target>[^,]*){_BY}", "user-deleted", "deletion"),
    _user("account locked - ", rf"account=(?P<target>[^,]*){_BY}", "password-locked"),
    _user("account unlocked - ", rf"account=(?P<target>[^,]*){_BY}", "password-unlocked"),
    _user("password changed - ", rf"account=(?P<target>[^,]*){_BY}", "password-changed"),
    _user("shell changed - ", rf"account=(?P<target>[^,]*){_BY}", "shell-changed"),
    _user("default group changed - ", rf"account=(?P<target>[^,]*){_BY}", _CHANGED),
    _user("home directory created - ", rf"account=(?P<target>[^,]*){_BY}", _CHANGED),
    _group("new group added - ", rf"group=(?P<group>[^,]*){_BY}", "group-created", "creation"),
    _group("group deleted - ", rf"group=(?P<group>[^,]*){_BY}", "group-deleted", "deletion"),
)
_read: Final = reader("shadow", (*_USERS, *_GROUPS, *_FAILURES, *_PWDUTILS))
_CREATED: Final = re.compile(
    r"(?:new (user|group)|(group) added to (?:/etc/g?shadow|/etc/group)|(user) added to \S+): ?"
)
_PAIR: Final = re.compile(r"(name|UID|GID|home|shell|from)=([^,]*)(?:, |$)")
_KEYS: Final = {
    "UID": "user.id",
    "GID": "group.id",
    "home": "system.auth.useradd.home",
    "shell": "system.auth.useradd.shell",
    "from": "system.auth.useradd.from",
}
# These say no actor: their user is the one that was changed, as Elastic's integration and SIEM rules have it.
_NAMED: Final = frozenset({_ADDED, _REMOVED, "user-deleted"})


def read(message: str) -> Fields | None:
    """Return what was done to which account, or None if the message says nothing of one."""
    created = _CREATED.match(message)
    if created is not None:
        return _created(message, created)
    fields = _read(message.rstrip(" "))
    if fields is not None and fields["event.action"] in _NAMED and "user.id" not in fields:
        target = fields.get("user.target.name")
        if target is not None:
            fields.setdefault("user.name", target)
    return fields


def _created(message: str, head: re.Match[str]) -> Fields:
    """new user: name=apache, UID=48, GID=48, home=/x, shell=/y; group added to /etc/gshadow: name=fleet."""
    user = head[1] == "user" or head[3] == "user"
    fields: Fields = {
        "event.module": "shadow",
        "event.dataset": "system.auth",
        "event.category": ["iam"],
        "event.type": ["user" if user else "group", "creation"],
        "event.action": "user-created" if user else "group-created",
        "event.outcome": "success",
    }
    for found in _PAIR.finditer(message, head.end()):
        key, value = found.groups()
        if key != "name":
            fields.setdefault(_KEYS[key], value)
        elif user:
            fields["user.name"] = fields["user.target.name"] = value
        else:
            fields["group.name"] = value
    return fields


read_chkpwd: Final = reader(
    "pam",
    (
        Saying("password check failed for user ", r"\((?P<user>.*)\)", AUTH, "authentication_failure", "failure"),
        Saying("check pass; user unknown", "", AUTH, "authentication_failure", "failure"),
        Saying("could not obtain user info ", r"\((?P<user>.*)\)", AUTH, "authentication_failure", "failure"),
        Saying("password for user ", r"(?P<user>.*) (?P<why>has expired)", AUTH, "password_expired", "failure"),
        Saying("account ", r"(?P<user>\S+) has (?P<why>expired.*)", AUTH, "account_expired", "failure"),
    ),
)
