"""Silence: a person keeps some pages quiet for a while, with a reason, and an end. Pure.

As in Alertmanager every matcher of a silence must hold, and one that matches everything is refused. Other than
there, no silence is longer than LONGEST, alerts about Tocsin itself cannot be silenced, and the end of an incident
is told under a silence to whoever heard of its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict

from notifiers.route import Labels, Matcher, RouteError, matchers
from rules.event import Value, instant

LONGEST: Final = timedelta(days=30)


class SilenceError(ValueError):
    """The silence was refused; the message says why."""


class Silence(BaseModel):
    """Who keeps what quiet, from when to when, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    matchers: tuple[str, ...]
    starts: datetime
    ends: datetime
    person: str
    reason: str

    def tests(self) -> tuple[Matcher, ...]:
        return tuple(one for text in self.matchers for one in matchers(text))


def silence(arguments: Mapping[str, Value], person: str, now: datetime) -> Silence:
    """Return the silence that a command asks for. Raises SilenceError."""
    texts = arguments.get("matchers")
    listed = [str(one) for one in texts] if isinstance(texts, list) else [str(texts or "")]
    try:
        tests = [one for text in listed for one in matchers(text)]
        starts = instant(str(arguments["starts"])) if arguments.get("starts") else now
        ends = instant(str(arguments.get("ends") or ""))
    except (RouteError, ValueError) as error:
        raise SilenceError(str(error)) from error
    if all(test({}) for test in tests):
        raise SilenceError("these matchers match every alert; name at least one label's value")
    if ends <= max(starts, now):
        raise SilenceError("it ends before it begins")
    if ends - starts > LONGEST:
        raise SilenceError(f"it is longer than {LONGEST.days} days")
    reason = str(arguments.get("reason") or "").strip()
    if not reason:
        raise SilenceError("it needs a reason")
    name = str(arguments.get("id") or "")
    return Silence(id=name, matchers=tuple(listed), starts=starts, ends=ends, person=person, reason=reason)


class Silences:
    """The silences that are known, by id."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}

    def put(self, one: Silence) -> None:
        self._known[one.id] = (one, one.tests())

    def get(self, name: str) -> Silence | None:
        found = self._known.get(name)
        return found[0] if found else None

    def all(self) -> Sequence[Silence]:
        return [one for one, _ in self._known.values()]

    def muting(self, labels: Labels, now: datetime) -> Silence | None:
        """Return a silence that keeps these labels quiet at this moment."""
        if labels.get("product") == "tocsin":
            return None
        return next((one for one, tests in self._active(now) if all(test(labels) for test in tests)), None)

    def _active(self, now: datetime) -> Iterable[tuple[Silence, tuple[Matcher, ...]]]:
        return (pair for pair in self._known.values() if pair[0].starts <= now < pair[0].ends)
