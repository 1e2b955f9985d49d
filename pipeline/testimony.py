"""What the witness tells: own events, at once for what is new and then summed up each minute. Pure.

An attacker can have a million records refused; the dead letters hold each, and people are told a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from collectors.assemble import Host
from collectors.own import own_event
from pipeline.seals import Doubt
from pipeline.witness import Clone, Finding, Gap, Late, Lost
from rules.event import Value, rfc3339

AGAIN_AFTER: Final = timedelta(minutes=1)
_KEPT: Final = 5_000  # subjects that are summed up; what strangers make up beyond them is one more


@dataclass(frozen=True, slots=True)
class Subject:
    """What is told of, once a minute at most."""

    action: str
    host: str = ""
    detail: str = ""  # a writer, or a source


@dataclass(slots=True)
class _Tally:
    count: int = 0
    reason: str = ""
    told: datetime | None = None


class Testimony:
    """Sums up what was found, and says what is to be told now. `name_of` gives an enrolled host's name, or ""."""

    def __init__(self, centre: Host, name_of: Callable[[str], str]) -> None:
        self._centre = centre
        self._name_of = name_of
        self._tallies: dict[Subject, _Tally] = {}
        self._told = 0

    def doubted(self, host: str, doubt: Doubt) -> None:
        self._add(Subject(f"chain-{doubt.kind}", host), 1, doubt.reason)

    def found(self, finding: Finding) -> None:
        match finding:
            case Gap():
                reason = f"the first numbers {finding.first} to {finding.last} of epoch {finding.epoch}"
                self._add(Subject("chain-gap", finding.host, finding.writer), finding.last - finding.first + 1, reason)
            case Lost():
                self._add(Subject("loss-gap", finding.host, finding.source), finding.records, "")
            case Late():
                reason = f"number {finding.number} of epoch {finding.epoch}"
                self._add(Subject("chain-reordered", finding.host, finding.writer), 1, reason)
            case Clone():
                reason = f"{finding.reason} (number {finding.sequence} of epoch {finding.epoch})"
                self._add(Subject("chain-clone", finding.host, finding.writer), 1, reason)

    def set_aside(self, count: int) -> None:
        """There are so many more dead letters."""
        self._add(Subject("deadletter-grew"), count, "")

    def due(self, now: datetime) -> Iterator[dict[str, Value]]:
        """Yield the events that are to be written now."""
        for subject, tally in list(self._tallies.items()):
            if tally.told is not None and now - tally.told < AGAIN_AFTER:
                continue
            if not tally.count:  # nothing more within a minute: it would be new again
                if subject.action not in ("chain-unenrolled", "chain-unchecked"):
                    del self._tallies[subject]
                continue
            if tally.told is None or subject.action not in ("chain-unenrolled", "chain-unchecked"):
                yield self._event(subject, tally, now)
            tally.told, tally.count = now, 0

    def _add(self, subject: Subject, count: int, reason: str) -> None:
        tally = self._tallies.get(subject)
        if tally is None:
            if len(self._tallies) >= _KEPT:
                subject = Subject(subject.action)
            tally = self._tallies.setdefault(subject, _Tally())
        if not tally.count:
            tally.reason = reason
        tally.count += count

    def _event(self, subject: Subject, tally: _Tally, now: datetime) -> dict[str, Value]:
        name = self._name_of(subject.host) if subject.host else ""
        who = f"{name} ({subject.host})" if name else subject.host or "further hosts"
        fields: dict[str, Value] = {
            "tocsin.about.host": subject.host,
            "tocsin.about.name": name or None,
            "tocsin.about.count": tally.count,
            "tocsin.about.reason": tally.reason or None,
            "related.hosts": [one for one in (subject.host, name) if one],
        }
        if subject.action == "loss-gap":
            fields |= {"tocsin.source": subject.detail, "tocsin.lost.records": tally.count}
        elif subject.detail:
            fields["tocsin.about.writer"] = subject.detail
        self._told += 1
        said = _said(subject, tally, who)
        origin = f"{subject.host}\0{subject.detail}\0{rfc3339(now)}\0{self._told}".encode()
        known = {name: value for name, value in fields.items() if value not in (None, "", [])}
        return own_event(subject.action, said, self._centre, now, origin=origin, fields=known)


def _said(subject: Subject, tally: _Tally, who: str) -> str:
    """Return the one line that a person reads."""
    records = f"{tally.count} record" + ("s" if tally.count != 1 else "")
    match subject.action:
        case "chain-forged" | "chain-revoked" | "chain-unsealed":
            kept = "`tocsin deadletter list` shows them"
            return f"{records} in the name of {who} refused: {tally.reason}; {kept}"
        case "deadletter-grew":
            return f"{records} set aside: `tocsin deadletter list` says why"
        case "chain-unenrolled":
            return f"{who} is not enrolled: nobody can say whether its records are its own; see `tocsin enrol --help`"
        case "chain-unchecked":
            return f"records of {who} cannot be checked: {tally.reason}"
        case "chain-gap":
            return f"{records} of {who} never arrived: {tally.reason} of {subject.detail}"
        case "chain-reordered":
            return f"{records} of {who} came after later ones: the first is {tally.reason} of {subject.detail}"
        case "loss-gap":
            return f"{records} that {who} wrote of {subject.detail} never arrived"
    return f"two machines, or two states of one, speak as {who}: {tally.reason} of {subject.detail}"
