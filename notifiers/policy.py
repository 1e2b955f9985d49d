"""Policy: what the config says about who is told what, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from notifiers.inhibit import Inhibit
from notifiers.route import Labels, Route, RouteError, taken
from notifiers.schedule import Interval
from rules.alert import Urgency

GROUP_WAIT: Final = timedelta(seconds=30)  # where a route groups and states no times, as in Alertmanager
GROUP_INTERVAL: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides, beside alerts, commands and time."""

    route: Route
    inhibit: tuple[Inhibit, ...] = ()
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    ttl: timedelta = timedelta(hours=4)  # an event's incident ends when nothing more happened for so long
    storm: int = 20  # a receiver gets no more first messages than this within a minute; the rest come in one

    merge: int = 5  # more messages than this, waiting behind one for a service that is away, become one

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what routes name and nobody defined: (place, fault)."""
        yield from _unknown(self.route, self.intervals)


def _unknown(route: Route, intervals: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, names in (("mute_time_intervals", route.mute), ("active_time_intervals", route.active)):
        for name in names:
            if name not in intervals:
                yield f"{route.path}.{key}", f"no time interval named {name!r}"
    for child in route.routes:
        yield from _unknown(child, intervals)


def checked(policy: Policy) -> Policy:
    """Return the policy, or raise RouteError for its first fault."""
    for where, fault in policy.faults():
        raise RouteError(where, fault)
    return policy


def audience(policy: Policy, labels: Labels) -> tuple[Route, ...]:
    """Return the routes by which an alert with these labels reaches people. Urgency `record` is for nobody."""
    return () if labels.get("urgency") == "record" else tuple(taken(policy.route, labels))


def by_time(policy: Policy, route: Route, now: datetime) -> str | None:
    """Name the time interval that keeps a route quiet at this moment."""
    muted = (name for name in route.mute if any(one.holds(now) for one in policy.intervals.get(name, ())))
    found = next(muted, None)
    if found:
        return f"muted by the interval {found}"
    if route.active and not any(one.holds(now) for name in route.active for one in policy.intervals.get(name, ())):
        return f"outside of {', '.join(route.active)}"
    return None


def group_wait(route: Route, urgency: Urgency) -> timedelta:
    """Return how long the first message of a group waits for others: a page does not, unless that is stated."""
    stated = route.timing.group_wait
    if stated is not None:
        return stated
    return GROUP_WAIT if route.timing.group_by and urgency != "page" else timedelta(0)


def group_interval(route: Route) -> timedelta:
    return route.timing.group_interval or GROUP_INTERVAL
