"""What lies in (t - span, t] of a group's matches, and what a correlation measures of it, kept step by step."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import TypeVar

from rules.correlation_rule import SEEN_LIMIT, Correlating
from rules.predicate import And, Field, Not, Or, Predicate

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """One match, as a correlation sees it. Ordered by event time, then id: never by when it was read."""

    time: datetime
    id: str  # the event's, or an inner correlation's alert
    places: tuple[int, ...] = ()  # which of the referred rules, by place in the list
    values: tuple[str | None, ...] = ()  # of the condition's fields, as text
    number: float | None = None  # of the first of them
    events: tuple[str, ...] = ()  # the events behind an inner correlation; else the id is the event
    appended: datetime | None = field(default=None, compare=False)  # when the stream took it
    provisional: bool = field(default=False, compare=False)  # an inner correlation's firing that may yet change

    @property
    def arrived(self) -> datetime:
        return self.appended or self.time


@dataclass(slots=True)
class Order:
    """How many rules were seen one after the other in the listed order, kept step by step; one event is one step.

    For each length of such a run and each rule that it may end with: where the latest of them begins. A run lies in
    the window if its beginning does, so nothing has to be looked at again when matches leave it.
    """

    starts: dict[tuple[int, int], Seen] = field(default_factory=dict)  # (length, last rule's place) -> where it begins
    _before: dict[tuple[int, int], Seen] = field(default_factory=dict)  # as of before the newest event
    _newest: str = ""

    def push(self, one: Seen) -> None:
        """Take the next match, which is not before the last."""
        if one.id != self._newest:
            self._newest, self._before = one.id, self.starts.copy()
        for place in one.places:
            self._starts(1, place, one)
            for (length, last), start in self._before.items():
                if last < place:
                    self._starts(length + 1, place, start)

    def _starts(self, length: int, place: int, start: Seen) -> None:
        known = self.starts.get((length, place))
        if known is None or known < start:
            self.starts[length, place] = start

    def longest(self, oldest: Seen) -> int:
        """Return the length of the longest run that begins no earlier than this match."""
        return max((length for (length, _), start in self.starts.items() if start >= oldest), default=0)

    def copy(self) -> Order:
        return Order(self.starts.copy(), self._before.copy(), self._newest)


@dataclass(slots=True)
class Window:
    """The matches within the span, with the counts that make a step cheap."""

    asks: Correlating
    seen: deque[Seen] = field(default_factory=deque)
    evicted: int = 0  # matches let go before their time, for want of room
    _ids: dict[str, int] = field(default_factory=dict)  # an event that several rules matched counts once
    _distinct: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    _rules: dict[int, int] = field(default_factory=dict)
    _numbers: list[float] = field(default_factory=list)
    _total: Fraction = Fraction(0)
    _order: Order = field(default_factory=Order)

    def push(self, one: Seen) -> None:
        """Take the next match, which is not before the last, and let go what is out of the span."""
        self.advance(one.time)
        if len(self.seen) >= SEEN_LIMIT:
            self._drop(self.seen.popleft())
            self.evicted += 1
        self.seen.append(one)
        if self.asks.type == "temporal_ordered":
            self._order.push(one)
        for place in one.places:
            _more(self._rules, place)
        if _more(self._ids, one.id) > 1:
            return
        if self.asks.type == "value_count" and None not in one.values:
            _more(self._distinct, one.values)
        if one.number is not None:
            self._total += Fraction(one.number)
            insort(self._numbers, one.number)

    def copy(self) -> Window:
        return Window(
            self.asks,
            self.seen.copy(),
            self.evicted,
            self._ids.copy(),
            self._distinct.copy(),
            self._rules.copy(),
            self._numbers.copy(),
            self._total,
            self._order.copy(),
        )

    def advance(self, now: datetime) -> None:
        start = now - self.asks.timespan
        while self.seen and self.seen[0].time <= start:
            self._drop(self.seen.popleft())

    def _drop(self, one: Seen) -> None:
        for place in one.places:
            _less(self._rules, place)
        if _less(self._ids, one.id):
            return
        if self.asks.type == "value_count" and None not in one.values:
            _less(self._distinct, one.values)
        if one.number is not None:
            self._total -= Fraction(one.number)
            del self._numbers[bisect_left(self._numbers, one.number)]

    def value(self) -> float | None:
        """Return what the correlation measures, or None where there is nothing to measure."""
        match self.asks.type:
            case "event_count":
                return len(self._ids)
            case "value_count":
                return len(self._distinct)
            case "value_sum":
                return float(self._total)
            case "value_avg":
                return float(self._total / len(self._numbers)) if self._numbers else None
            case "value_percentile" | "value_median":
                share = self.asks.limits.percentile if self.asks.limits else 50.0
                return percentile(self._numbers, share if self.asks.type == "value_percentile" else 50.0)
            case "temporal":
                return sum(place in self._rules for place in range(len(self.asks.rules)))
            case "temporal_ordered":
                return self._order.longest(self.seen[0]) if self.seen else 0

    def holds(self) -> bool:
        """Whether the correlation's condition is true of what lies in the window."""
        value = self.value()
        if value is None:
            return False
        if self.asks.seen is not None:
            return self._boolean(self.asks.seen) and self._ordered(value)
        if self.asks.limits is None:
            return value >= len(self.asks.rules)
        return self.asks.limits.hold(value)

    def _ordered(self, in_order_count: float) -> bool:
        """A boolean condition of an ordered correlation: those rules that were seen were seen in the listed order."""
        kinds = sum(place in self._rules for place in range(len(self.asks.rules)))
        return self.asks.type == "temporal" or in_order_count >= kinds

    def _boolean(self, part: Predicate) -> bool:
        match part:
            case And(parts):
                return all(map(self._boolean, parts))
            case Or(parts):
                return any(map(self._boolean, parts))
            case Not(inner):
                return not self._boolean(inner)
            case Field(name):
                return any(place in self._rules for place, rule in enumerate(self.asks.rules) if rule == name)
        return False


def _more(counts: dict[K, int], key: K) -> int:
    counts[key] = count = counts.get(key, 0) + 1
    return count


def _less(counts: dict[K, int], key: K) -> int:
    count = counts[key] - 1
    if count:
        counts[key] = count
    else:
        del counts[key]
    return count


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the percentile by linear interpolation between the two nearest ranks; None of nothing."""
    if not ordered:
        return None
    place = (len(ordered) - 1) * share / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
