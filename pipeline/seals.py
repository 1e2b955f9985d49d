"""Is a record of the stream from whom it says? Its seal, checked under the key that is enrolled for its writer. Pure.

What is doubted is said with its kind, and whoever asks decides what becomes of the record:

    forged       the host is enrolled, and this was not sealed by it
    unsealed     it names a role that is not enrolled, and is not a collector
    revoked      the host's enrolment was revoked before the stream took the record
    unenrolled   nobody enrolled the host: nothing can be said
    unchecked    the enrolment cannot be read
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

from collectors.chain import Key, Ring, fits, opened
from pipeline.enrolled import COLLECT, Enrolment, EnrolmentFault
from rules.event import instant

Kind: TypeAlias = Literal["forged", "unsealed", "revoked", "unenrolled", "unchecked"]
_SLACK: Final = 1_440  # keys beyond one a minute since the enrolment: clocks jump
_NEAR: Final = 64  # keys ahead that are reached step by step, without a ring
_WRITERS_KEPT: Final = 200_000
_RINGS_KEPT: Final = 1_000
_MOST_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a record is not taken for what it says."""

    kind: Kind
    reason: str


def _nothing() -> None:
    """What is looked up is never out of date."""


class Seals:
    """Checks seals. `look_up(host, role)` returns the enrolment or None, or raises EnrolmentFault.

    What was looked up serves until `renew`. An enrolment that did not change must come back as the same object.
    """

    def __init__(
        self,
        look_up: Callable[[str, str], Enrolment | None],
        refresh: Callable[[], None] = _nothing,
        reached: Mapping[str, Key] | None = None,
    ) -> None:
        """`refresh` is called when what was looked up may be out of date. `reached`: what `reached` was before."""
        self._look_up = look_up
        self._refresh = refresh
        self.reached = dict(
            reached or {}
        )  # first key (hex) -> a later one: finding it again takes a second for two years
        self._writers: dict[str, _Writer | _Doubted] = {}
        self._rings: OrderedDict[str, Ring] = OrderedDict()
        self._round = 0

    def renew(self) -> None:
        """Look every enrolment up again when it is needed next."""
        self._refresh()
        self._round += 1

    def check(self, value: bytes, host: str, writer: str, index: object, taken: datetime) -> Doubt | None:
        """Return None for a record that its writer sealed; `taken` is when the stream took it."""
        known = self._writers.get(writer)
        if known is None or known.round != self._round or known.host != host:
            known = self._known(host, writer)
        if isinstance(known, _Doubted):
            return known.doubt
        if known.revoked is not None and taken >= known.revoked:
            return Doubt("revoked", f"the enrolment of {shown(host)} was revoked at {known.revoked:%Y-%m-%d %H:%M:%S}")
        if type(index) is int and index == known.key.index and fits(known.sealing, value):
            return None
        found = opened(value)
        if found is None:
            return Doubt("forged", f"it bears no seal, and {shown(host)} is enrolled")
        return self._sealed(known, index, found, taken, ever=False)

    def authentic(self, body: bytes, mac: bytes, said: tuple[str, str], index: object, now: datetime) -> Doubt | None:
        """The same for what was archived up to `now`: a key that was revoked or replaced since is as good as any.

        `said` are host and writer.
        """
        host, writer = said
        known = self._writers.get(writer)
        if known is None or known.round != self._round or known.host != host:
            known = self._known(host, writer)
        if isinstance(known, _Doubted):
            return known.doubt
        return self._sealed(known, index, (body, mac), now, ever=True)

    def _sealed(
        self, known: _Writer, index: object, found: tuple[bytes, bytes], taken: datetime, *, ever: bool
    ) -> Doubt | None:
        host = known.host
        if type(index) is not int:
            return Doubt("forged", f"its key number {shown(index)} is no number")
        key = self._reached(known, index, taken)
        if key is not None and key.seal(found[0]) == found[1]:
            if key is not known.key:  # what a stranger claims moves nothing
                known.turn(key)
                self._remember(known.enrolment.key, index - index % Ring.STEP)
            return None
        if self._replaced(known, index, found, taken, ever=ever):
            return None
        if key is None:
            return Doubt("forged", f"{shown(host)} cannot have reached its key number {index}")
        return Doubt("forged", f"its seal is not one of {shown(host)}: altered, or sealed by somebody else")

    def _known(self, host: str, writer: str) -> _Writer | _Doubted:
        """Return what is known of a writer, looked up in this round."""
        before = self._writers.get(writer)
        found = self._enrolment(host, writer)
        if isinstance(before, _Writer) and before.host == host and before.enrolment is found:
            before.round = self._round
            return before
        if len(self._writers) >= _WRITERS_KEPT:
            self._writers.clear()
        fresh = _Doubted(host, self._round, found) if isinstance(found, Doubt) else _Writer(host, self._round, found)
        if not (isinstance(found, Doubt) and found.kind in ("forged", "unsealed")):  # anybody can make up writers
            self._writers[writer] = fresh
        return fresh

    def _enrolment(self, host: str, writer: str) -> Enrolment | Doubt:
        role = writer[len(host) + 1 :].partition("/")[0] if host and writer.startswith(f"{host}/") else ""
        try:
            found = self._look_up(host, role) if role else None
            collector = found or self._look_up(host, COLLECT)
        except EnrolmentFault as fault:
            return Doubt("unchecked", str(fault))
        if found is not None:
            return found
        if role not in ("", COLLECT):
            return Doubt("unsealed", f"the role {shown(role)} of {shown(host)} is not enrolled")
        if collector is None:
            return Doubt("unenrolled", f"nobody enrolled {shown(host)}")
        what = f"its writer is {shown(writer)}" if writer else "it names no writer"
        return Doubt("forged", f"{what}, and {shown(host)} is enrolled")

    def _reached(self, known: _Writer, index: int, taken: datetime) -> Key | None:
        """Return the writer's key of this number; None if it cannot have reached it."""
        key = known.key
        if index == key.index:
            return key
        furthest = _furthest(known.enrolled, taken)
        if not (index <= furthest and 0 < index - key.index <= _NEAR):
            return self._ring(known.enrolment.key).key(index, furthest)
        while key.index < index:
            key = key.ratcheted()
        return key

    def _remember(self, first: str, step: int) -> None:
        before = self.reached.get(first)
        if step > (0 if before is None else before.index):
            key = self._ring(first).key(step, step)
            assert key is not None
            self.reached[first] = key

    def _replaced(self, known: _Writer, index: int, found: tuple[bytes, bytes], taken: datetime, *, ever: bool) -> bool:
        """Whether the record was sealed with a key that was replaced, and (unless `ever`) only after it was taken."""
        for one in known.enrolment.earlier:
            if ever or taken < instant(one.until):
                key = self._ring(one.key).key(index, _furthest(instant(one.enrolled), taken))
                if key is not None and key.seal(found[0]) == found[1]:
                    return True
        return False

    def _ring(self, first: str) -> Ring:
        ring = self._rings.get(first)
        if ring is None:
            ring = self._rings[first] = Ring(Key(0, bytes.fromhex(first)), self.reached.get(first))
            if len(self._rings) > _RINGS_KEPT:
                self._rings.popitem(last=False)
        self._rings.move_to_end(first)
        return ring


class _Doubted:
    """A writer of whom nothing can be taken as it is, for one reason."""

    __slots__ = ("doubt", "host", "round")

    def __init__(self, host: str, at: int, doubt: Doubt) -> None:
        self.host, self.round, self.doubt = host, at, doubt


class _Writer:
    """One writer's chain: who may seal for it, and the key that it stands at."""

    __slots__ = ("enrolled", "enrolment", "host", "key", "revoked", "round", "sealing")

    def __init__(self, host: str, at: int, found: Enrolment) -> None:
        self.host, self.round, self.enrolment = host, at, found
        self.enrolled = instant(found.enrolled)
        self.revoked = None if found.revoked is None else instant(found.revoked)
        self.turn(Key(0, found.secret))

    def turn(self, key: Key) -> None:
        self.key = key
        self.sealing = key.sealing()


def _furthest(enrolled: datetime, taken: datetime) -> int:
    """Return the number of the last key that an honest host can have: one a minute since it was enrolled."""
    return int(max(0.0, (taken - enrolled).total_seconds()) // 60) + _SLACK


def shown(text: object) -> str:
    """Return what came from a stranger as it may stand in a message."""
    return ascii(text)[:_MOST_SHOWN]
