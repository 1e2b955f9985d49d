"""Sigma's logsource -> which events a rule sees. Documented in docs/rules.md from this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from rules.event import Fields, classify


@dataclass(frozen=True, slots=True)
class Logsource:
    """Where a rule's events come from. A word that is absent leaves that side open."""

    product: str | None = None
    category: str | None = None
    service: str | None = None

    def covers(self, other: Logsource) -> bool:
        """Whether every event of the other is one of this."""
        pairs = ((self.product, other.product), (self.category, other.category), (self.service, other.service))
        return all(mine is None or mine == theirs for mine, theirs in pairs)


@dataclass(frozen=True, slots=True)
class Origin:
    """What of an event decides who sees it. Events have few distinct origins, so decisions are kept by them."""

    module: str
    dataset: str
    kind: str  # auth, db, system, metrics or tocsin
    database: str  # db.system.name
    categories: tuple[str, ...]
    cron: bool


ORIGIN_FIELDS: Final = (
    "event.module",
    "event.dataset",
    "event.kind",
    "event.category",
    "tocsin.class",
    "db.system.name",
    "process.name",
    "tocsin.record",
)  # what `origin` reads

Sees: TypeAlias = Callable[[Origin], bool]

_SAME_DATABASE: Final[Mapping[str, frozenset[str]]] = {
    "postgresql": frozenset(("postgresql",)),
    "mysql": frozenset(("mysql", "mariadb")),
    "mariadb": frozenset(("mariadb", "mysql")),
    "mssql": frozenset(("mssql", "microsoft.sql_server")),
    "mongodb": frozenset(("mongodb",)),
}

PRODUCTS: Final[Mapping[str, Sees]] = {
    "linux": lambda origin: origin.kind in ("auth", "system", "metrics") and origin.module != "windows",
    "sql": lambda origin: origin.kind == "db",
    "windows": lambda origin: origin.module == "windows",
}
CATEGORIES: Final[Mapping[str, Sees]] = {
    "authentication": lambda origin: origin.kind == "auth",
    "database": lambda origin: origin.kind == "db",
    "host_metrics": lambda origin: origin.kind == "metrics",
    "process_creation": lambda origin: "process" in origin.categories,
    "file_event": lambda origin: "file" in origin.categories,
    "file_access": lambda origin: "file" in origin.categories,
    "file_change": lambda origin: "file" in origin.categories,
    "file_delete": lambda origin: "file" in origin.categories,
    "network_connection": lambda origin: "network" in origin.categories,
    "application": lambda origin: True,
}
SERVICES: Final[Mapping[str, Sees]] = {
    "auth": lambda origin: origin.kind == "auth",
    "syslog": lambda origin: origin.kind in ("auth", "system") and origin.module != "auditd",
    "cron": lambda origin: origin.module == "cron" or origin.cron,
    "filesystem": lambda origin: origin.dataset == "system.filesystem",
    "memory": lambda origin: origin.dataset == "system.memory",
}


def origin(fields: Fields) -> Origin:
    """Return what of an event decides who sees it. Heartbeats and ticks are Tocsin's own: `service: heartbeat`."""
    record = fields.get("tocsin.record")
    if record in ("heartbeat", "tick"):
        return Origin(_word(record), "", "tocsin", "", (), cron=False)
    categories = fields.get("event.category")
    named = categories if isinstance(categories, list) else [categories]
    kind = fields.get("tocsin.class")
    return Origin(
        _word(fields.get("event.module")),
        _word(fields.get("event.dataset")),
        kind if isinstance(kind, str) else classify(fields),
        _word(fields.get("db.system.name")),
        tuple(one for one in named if isinstance(one, str)),
        _word(fields.get("process.name")).lower() in ("cron", "crond"),
    )


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def sees(logsource: Logsource) -> Sees:
    """Return the decision whether a rule of this logsource sees an event of an origin.

    Tocsin's own events are seen by the rules that name product tocsin, and by no others. A word that the tables
    do not hold must be the event's module, its database, or the first part of its dataset.
    """
    own = logsource.product == "tocsin"
    words = ((logsource.product, PRODUCTS), (logsource.category, CATEGORIES), (logsource.service, SERVICES))
    parts = [_part(word, table) for word, table in words if word is not None and word != "tocsin"]
    return lambda origin: (origin.kind == "tocsin") is own and all(part(origin) for part in parts)


def _part(word: str, table: Mapping[str, Sees]) -> Sees:
    if word in table:
        return table[word]
    databases = _SAME_DATABASE.get(word)
    if databases is not None:
        return lambda origin: origin.database in databases or origin.module in databases
    return lambda origin: word in (origin.module, origin.database, origin.dataset.split(".")[0])
