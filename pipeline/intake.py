"""The way into the journal, for whoever collects: rows by priority, with the positions they stand behind.

With Kafka the journal is the collector's own and has a topic for each priority, so that *forward* can send what
matters first. Embedded, the stream's segment is the journal, and all goes into `audit.events`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from collectors.sources import Loss
from pipeline.streams import EVENTS
from pipeline.streams.sqlite import SqliteStream

PRIORITIES = ("first", "normal", "last")
FORWARD = "forward"  # the group that drains a collector's own journal
SHARES: Mapping[str, float] = {"first": 1.0, "normal": 0.8, "last": 0.5}  # of the limit, up to which there is room
_FIRST = ("syslog", "sshd", "auditd", "windows-event", "postgresql", "pgaudit", "mariadb", "mysql", "mssql", "mongodb")
Rows = Mapping[str, Sequence[tuple[str, bytes]]]  # priority -> (key, value)


class Intake(Protocol):
    """The journal, as far as collecting needs it."""

    def append(self, rows: Rows, positions: Mapping[str, str]) -> None:
        """Return once all of it is durable, or none of it is. Raises StreamUnavailable."""
        ...

    def positions(self) -> dict[str, str]: ...

    def room(self, priority: str) -> bool:
        """Say whether records of this priority may be read now; what is not read waits where it is."""
        ...

    def judged(self) -> tuple[int, int] | None:
        """Return (how many records there are, how many of them are judged), None where others keep that order."""
        ...

    def findings(self) -> Sequence[Loss]:
        """Return what the journal lost and nobody has recorded yet."""
        ...

    def recorded(self, losses: Sequence[Loss]) -> None:
        """Forget findings whose records are durable."""
        ...


class JournalIntake:
    """An Intake into SQLite files. `topics` says where each priority goes, `judge` who judges what goes there."""

    def __init__(self, files: SqliteStream, topics: Mapping[str, str], judge: str | None) -> None:
        self._files = files
        self._topics = topics
        self._judge = judge
        self._used: float | None = None  # of the limit, when last looked at; None: something was added since

    def append(self, rows: Rows, positions: Mapping[str, str]) -> None:
        self._used = None
        by_topic: dict[str, list[tuple[str, bytes]]] = {}
        for priority in PRIORITIES:
            by_topic.setdefault(self._topics[priority], []).extend(rows.get(priority, ()))
        self._files.append_all({topic: added for topic, added in by_topic.items() if added}, positions)

    def positions(self) -> dict[str, str]:
        return self._files.positions()

    def room(self, priority: str) -> bool:
        if self._used is None or self._used >= min(SHARES.values()):  # full enough to see whether readers went on
            self._used = self._files.share_used()
        return self._used < SHARES[priority]

    def judged(self) -> tuple[int, int] | None:
        if self._judge is None:
            return None
        return self._files.ends(EVENTS)[0], self._files.committed(EVENTS, self._judge).get(0, 0)

    def findings(self) -> Sequence[Loss]:
        return self._files.journal.findings()

    def recorded(self, losses: Sequence[Loss]) -> None:
        self._files.journal.recorded(losses)


def embedded(files: SqliteStream) -> JournalIntake:
    """Return the intake of the embedded stream, judged by *detect* in the same files."""
    return JournalIntake(files, dict.fromkeys(PRIORITIES, EVENTS), "detect")


def own(files: SqliteStream) -> JournalIntake:
    """Return the intake of a collector's own journal: it keeps what *forward* has not sent, whoever starts first."""
    files.register(PRIORITIES, FORWARD)
    return JournalIntake(files, {priority: priority for priority in PRIORITIES}, None)


def by_default(kind: str, form: str | None) -> str:
    """Return the priority of a source that states none: who logged in and what databases were asked go first."""
    if kind == "host_metrics":
        return "last"
    return "first" if kind == "journald" or (form or "").startswith(_FIRST) else "normal"
