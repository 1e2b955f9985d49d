"""Sessions: who it was, for logs that name the person once, where the connection begins, and not beside each statement.

MySQL's general log (by thread), PostgreSQL's stderr log whose prefix names nobody (by process, with log_connections),
MongoDB's log (by connection). What a record itself says is never changed; what is added is listed in `tocsin.joined`.
Pure, and of bounded memory: the sessions that were silent longest are forgotten first, and then their statements name
nobody, as they do for sessions that began before Tocsin looked.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collectors.formats import Parsed
from rules.event import Fields, Value

LIMIT: Final = 4096  # sessions that a source remembers
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
_STARTS: Final = ("database system is ready to accept connections", "MongoDB starting", "started with:")
_ASKS: Final = frozenset({"db.query.text", "db.operation.name", "event.outcome", "tocsin.db.kind"})
_NAMED: Final = (
    *("user.name", "source.ip", "source.port", "source.address", "source.domain"),
    *("db.namespace", "postgresql.log.application_name"),
)


@dataclass(slots=True)
class Sessions:
    """What one source's open sessions are known to be, oldest first."""

    known: dict[str, dict[str, Value]] = field(default_factory=dict)
    changed: bool = False

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
            if action in _ENDS:
                del self.known[key]
                self.changed = True

    def _begins(self, key: str, action: Value, fields: Fields) -> None:
        known = self.known.pop(key, {})
        self.changed = True
        if fields.get("event.outcome") == "failure":
            return
        found = {name: fields[name] for name in _NAMED if fields.get(name) is not None}
        if action == "authentication":  # MongoDB's names the database that the account is kept in
            found.pop("db.namespace", None)
        self.known[key] = found if action in _OPENS else {**known, **found}
        if len(self.known) > LIMIT:
            del self.known[next(iter(self.known))]

    def _goes_on(self, key: str, fields: MutableMapping[str, Value]) -> None:
        known = self.known[key] = self.known.pop(key)  # it was heard of: the others are forgotten before it
        if fields.get("db.operation.name") == "USE":
            used = fields.get("tocsin.db.target") or fields.get("db.namespace")
            self.changed |= known.get("db.namespace") != used
            known["db.namespace"] = used
        if not _ASKS.isdisjoint(fields) and fields.get("user.name") in (None, known.get("user.name")):
            _add(known, fields)

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


def _add(known: Fields, fields: MutableMapping[str, Value]) -> None:
    """Add what the record does not say; no part of another address beside one that it does say."""
    told = any(name in fields for name in ("source.ip", "source.address"))
    added = [name for name in known if fields.get(name) is None and not (told and name.startswith("source."))]
    fields.update((name, known[name]) for name in added)
    if added:
        fields["tocsin.joined"] = [*added]
