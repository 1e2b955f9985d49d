"""The `alert:` block of a rule: what Sigma has no word for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar

from yaml.nodes import Node

from rules.alert import URGENCY_OF_LEVEL, Kind, Level, Urgency
from rules.document import Entry, mapping, text, texts
from rules.faults import Report
from rules.predicate import Predicate

KEYS: Final = ("kind", "key", "tell", "for", "clear", "absent", "urgency", "runbook", "incident")
DEFAULT_KEY: Final = ("host.id",)
DEFAULT_TELL: Final = ("user.name", "source.ip")

_SPAN = re.compile(r"(\d{1,9})([smhdwMy])", re.ASCII)
_SECONDS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2_629_746, "y": 31_556_952}

_KINDS: tuple[Kind, ...] = ("event", "condition")
_URGENCIES: tuple[Urgency, ...] = ("page", "notify", "record")

T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True)
class Joint:
    """An incident that several rules share: alerts with this name and the same values of these fields are one."""

    name: str
    key: tuple[str, ...]
    line: int = field(default=0, repr=False, compare=False)  # where it stands: no part of what the rule means


@dataclass(frozen=True, slots=True)
class Alerting:
    """How a rule's alert behaves. `key` is empty where the rule leaves it to its kind's default."""

    kind: Kind = "event"
    key: tuple[str, ...] = ()
    tell: tuple[str, ...] = DEFAULT_TELL
    hold: timedelta = timedelta(0)  # `for`: must hold this long
    clear: Predicate | None = None
    absent: timedelta | None = None  # holds on a key that was there once no event matched for this long
    urgency: Urgency = "notify"
    runbook: str | None = None
    incident: Joint | None = None


def timespan(value: str) -> timedelta | None:
    """Return Sigma's `number + unit` (s, m, h, d; w, M, y as pySigma has them), or None."""
    found = _SPAN.fullmatch(value)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    return timedelta(seconds=seconds) if found and seconds <= 86400 * 36525 else None


def parse(entry: Entry | None, level: Level, report: Report, selection: Callable[[Node], Predicate | None]) -> Alerting:
    """Read the block; `selection` reads `clear`, which is a detection like any other."""
    fallback = Alerting(urgency=URGENCY_OF_LEVEL[level])
    found = mapping(entry.value, report, "alert") if entry else None
    if found is None:
        return fallback
    for name in found.keys() - set(KEYS):
        report.warn(found[name].key, f"alert: {name!r} is not known; known are {', '.join(KEYS)}")
    kind: Kind = _one_of("kind", found.get("kind"), _KINDS, report) or "event"
    _fits(kind, found, report)
    return Alerting(
        kind=kind,
        key=texts(found.get("key"), report, "alert.key") or (),
        tell=(texts(found["tell"], report, "alert.tell") or ()) if "tell" in found else fallback.tell,
        hold=_duration("for", found.get("for"), report),
        clear=selection(found["clear"].value) if "clear" in found else None,
        absent=_duration("absent", found["absent"], report) if "absent" in found else None,
        urgency=_one_of("urgency", found.get("urgency"), _URGENCIES, report) or fallback.urgency,
        runbook=text(found.get("runbook"), report, "alert.runbook"),
        incident=_joint(found.get("incident"), report),
    )


def _joint(entry: Entry | None, report: Report) -> Joint | None:
    found = mapping(entry.value, report, "alert.incident") if entry else None
    if entry is None or found is None:
        return None
    name = text(found.get("name"), report, "alert.incident.name")
    key = texts(found.get("key"), report, "alert.incident.key")
    if not name or not key or found.keys() - {"name", "key"}:
        report.fault(entry.key, "alert.incident: expected {name: ..., key: [field, ...]}, the same in each rule of it")
        return None
    return Joint(name, key, entry.key.start_mark.line + 1)


def _fits(kind: Kind, found: Mapping[str, Entry], report: Report) -> None:
    if kind == "condition" and "key" not in found:
        report.fault(found["kind"].key, "alert: a condition needs a key, fields that tell one such thing from others")
    for name in ("for", "clear", "absent"):
        if kind == "event" and name in found:
            report.fault(found[name].key, f"alert: {name!r} is for 'kind: condition'")
    if kind == "condition" and "incident" in found:  # the end of one would end what others still hold
        what = "a condition's incident ends with it, so it shares none; leave 'incident' or 'kind: condition' out"
        report.fault(found["incident"].key, f"alert: {what}")
    for name in ("for", "clear"):
        if "absent" in found and name in found:
            report.fault(found[name].key, f"alert: {name!r} says nothing beside 'absent': what is there again is clear")


def _one_of(name: str, entry: Entry | None, known: tuple[T, ...], report: Report) -> T | None:
    value = text(entry, report, f"alert.{name}")
    for word in known:
        if word == value:
            return word
    if entry is not None and value is not None:
        report.fault(entry.value, f"alert.{name}: {value!r} is not one of {', '.join(known)}")
    return None


def _duration(name: str, entry: Entry | None, report: Report) -> timedelta:
    value = text(entry, report, f"alert.{name}")
    span = timespan(value) if value is not None else timedelta(0)
    if span is None and entry is not None:
        report.fault(entry.value, f"alert.{name}: {value!r} is no duration such as 30s, 5m, 2h, 1d")
    return span or timedelta(0)
