"""Sessions: who it was, for logs that name the person once, where the connection begins, and not beside each statement.

MySQL's general log (by thread), PostgreSQL's stderr log whose prefix names nobody (by process, with log_connections),
MongoDB's log (by connection). What a record itself says is never changed; what is added is listed in `tocsin.joined`.
Pure, and of bounded memory: the sessions that were silent longest are forgotten first, and then their statements name
nobody, as they do for sessions that began before Tocsin looked.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collectors.formats import Parsed
from collectors.formats.sql import databases_used
from rules.event import Fields, Value

LIMIT: Final = 4096  # sessions that a source remembers
DATABASES: Final = 16  # that a session may stand in, where its log does not tell in which
_NAME: Final = 64  # characters of a database's name in MySQL: one that is longer names none
KEPT: Final = 500  # of them, the last that were heard of go through a restart
_FIELD: Final = {
    "mysql.general": "mysql.thread_id",
    "postgresql.log": "process.pid",
    "mongodb.log": "mongodb.log.context",
}
_OPENS: Final = frozenset({"connect", "connection-received", "connection-accepted"})  # a number begins anew
_NAMES: Final = frozenset({"change-user", "connection-authenticated", "connection-authorized", "authentication"})
_BEGINS: Final = _OPENS | _NAMES
_ENDS: Final = frozenset({"quit", "disconnection", "connection-ended"})
_STARTS: Final = (
    *("database system is ready to accept connections", "MongoDB starting", "started with:"),
    "***** SERVER RESTARTED *****",  # MongoDB, where it goes on in a log that is there
)
_ASKS: Final = frozenset({"db.query.text", "db.operation.name", "event.outcome", "tocsin.db.kind"})
_NAMED: Final = (
    *("user.name", "source.ip", "source.port", "source.address", "source.domain"),
    *("db.namespace", "postgresql.log.application_name"),
)


def _no_name(_: str) -> bool:
    return False


@dataclass(slots=True)
class Sessions:
    """What one source's open sessions are known to be, oldest first.

    `grave`: whether a database of this name may be production; such a name is the last that a session forgets.
    """

    known: dict[str, dict[str, Value]] = field(default_factory=dict)
    changed: bool = False
    grave: Callable[[str], bool] = _no_name

    def join(self, place: str, parsed: Parsed) -> None:
        """Learn from a record or add to it. `place` is the log that it stood in: numbers of two servers mean nothing
        to each other."""
        fields = parsed.fields
        action = fields.get("event.action")
        if not self.known and action not in _BEGINS:
            return
        number = _number(fields, action)
        if number is None or action in (None, "server-started"):
            self._started(place, fields)
        if number is None:
            return
        key = f"{place}\0{fields.get('host.hostname', '')}\0{number}"
        if action in _BEGINS:
            self._begins(key, action, fields)
        elif key in self.known:
            self._goes_on(key, fields)
            if action in _ENDS or fields.get("db.operation.name") == "logout":
                del self.known[key]
                self.changed = True

    def _begins(self, key: str, action: Value, fields: Fields) -> None:
        known = self.known.pop(key, {})
        self.changed = True
        if fields.get("event.outcome") == "failure":
            return
        found = {name: fields[name] for name in _NAMED if fields.get(name) not in (None, "")}
        if action == "authentication":  # MongoDB's names the database that the account is kept in
            found.pop("db.namespace", None)
        if action == "change-user":  # MySQL's begins anew, but for the place
            known = {name: value for name, value in known.items() if name.startswith("source.")}
        self.known[key] = found if action in _OPENS else {**known, **found}
        if len(self.known) > LIMIT:
            del self.known[next(iter(self.known))]

    def _goes_on(self, key: str, fields: MutableMapping[str, Value]) -> None:
        known = self.known[key] = self.known.pop(key)  # it was heard of: the others are forgotten before it
        if not _ASKS.isdisjoint(fields) and fields.get("user.name") in (None, known.get("user.name")):
            _add(known, fields)
        before = known.get("db.namespace")
        after = _moved(before, fields, self.grave)
        if after != before:
            known["db.namespace"] = after
            self.changed = True

    def _started(self, place: str, fields: Fields) -> None:
        """Forget the sessions of a server that starts: it counts anew."""
        began = fields.get("event.action") == "server-started"
        if began or any(word in str(fields.get("message"))[:512] for word in _STARTS):
            gone = [key for key in self.known if key.startswith(f"{place}\0")]
            for key in gone:
                del self.known[key]
            self.changed |= bool(gone)

    def saved(self) -> str | None:
        """Return what is to be stored with the records, None where that is as it was."""
        if not self.changed:
            return None
        self.changed = False
        return msgspec.json.encode(dict(list(self.known.items())[-KEPT:])).decode()

    def restore(self, text: str) -> None:
        """Go on from what was stored."""
        self.known = msgspec.json.decode(text, type=dict[str, dict[str, Value]])


def _number(fields: Fields, action: Value) -> Value:
    """Return the connection's number in its server: MongoDB's listener speaks of one that is not its own yet."""
    if action == "connection-accepted" and "mongodb.log.attr.connectionId" in fields:
        return f"conn{fields['mongodb.log.attr.connectionId']}"
    return fields.get(_FIELD.get(str(fields.get("event.dataset")), ""))


def _moved(before: Value, fields: Fields, grave: Callable[[str], bool]) -> Value:
    """Return the database that a session stands in after this record, or all that it may stand in.

    MySQL writes `Init DB` once that is done, a `USE` in a statement before it is tried: it may be refused, and so leave
    the session where it was. Neither name may hide the other.
    """
    text = fields.get("db.query.text")
    if not isinstance(text, str):
        certain = fields.get("db.operation.name") == "USE" and fields.get("event.outcome") != "failure"
        return fields.get("db.namespace") if certain else before
    used = databases_used(text, "mysql") if fields.get("event.dataset") == "mysql.general" else ()
    return _candidates(before, [name for name in used if len(name) <= _NAME], grave) if used else before


def _candidates(before: Value, used: Sequence[str], grave: Callable[[str], bool]) -> Value:
    """Return what may be, the name that was used last at the end. Of too many, the oldest that is harmless goes."""
    listed = before if isinstance(before, list) else [before]
    names = dict.fromkeys(str(one) for one in listed if one is not None)
    for name in used:
        names.pop(name, None)
        names[name] = None
        if len(names) > DATABASES:
            del names[next((one for one in names if not grave(one)), next(iter(names)))]
    return [*names] if len(names) != 1 else next(iter(names))


def _add(known: Fields, fields: MutableMapping[str, Value]) -> None:
    """Add what the record does not say; no part of another address beside one that it does say."""
    told = any(name in fields for name in ("source.ip", "source.address"))
    added = [name for name in known if fields.get(name) is None and not (told and name.startswith("source."))]
    fields.update((name, known[name]) for name in added)
    if added:
        fields["tocsin.joined"] = [*added]
