"""Config -> what checks seals: the escrow, the seals under its keys, and detect's witness."""

from __future__ import annotations

from datetime import datetime

from pipeline import state
from pipeline.enrolled import Enrolled, EnrolmentFault
from pipeline.enrolling import escrow, open_sealing
from pipeline.keycache import KeyCache
from pipeline.roles.own import OwnEvents
from pipeline.roles.sound import Sound
from pipeline.roles.witnessing import Witnessing
from pipeline.seals import Seals
from pipeline.settings import Config
from pipeline.streams import Stream
from pipeline.testimony import Testimony

_ALWAYS = frozenset(("forged", "unsealed", "revoked"))
_STRICT = frozenset(("unenrolled", "unchecked"))


def open_seals(config: Config) -> Seals:
    """Return what checks seals under the keys that are enrolled here. Raises StateError."""
    enrolled = Enrolled.of(escrow(config))
    return Seals(enrolled.get, enrolled.refresh, _cache(config).read())


def open_sound(config: Config) -> Sound:
    """Return what decides whether a record may be archived. Raises StateError."""
    return Sound(open_seals(config), refuse=refused(config))


def open_witness(config: Config, stream: Stream, now: datetime) -> Witnessing:
    """Return the witness for the calling thread, with a chain of its own. Raises StateError."""
    enrolled = Enrolled.of(escrow(config))

    def name_of(host: str) -> str:
        try:
            found = enrolled.get(host)
        except EnrolmentFault:
            return ""
        return found.name if found else ""

    centre = state.host(config)
    cache = _cache(config)

    def refresh() -> None:
        enrolled.refresh()
        cache.keep(seals.reached)

    seals = Seals(enrolled.get, refresh, cache.read())
    own = OwnEvents(centre.id, open_sealing(config, "detect", now), state.folder(config) / "detect.chain")
    return Witnessing(stream, seals, Testimony(centre, name_of), own, refuse=refused(config))


def _cache(config: Config) -> KeyCache:
    return KeyCache(state.folder(config) / "keys" / "reached.json")


def refused(config: Config) -> frozenset[str]:
    """Return the kinds of doubt for which a record is not taken."""
    return _ALWAYS | _STRICT if config.chain.unenrolled == "refuse" else _ALWAYS
