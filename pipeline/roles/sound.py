"""Whether a record may be archived: the witness's decision, for whoever tells nobody of it."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from pipeline.seals import Doubt, Seals
from pipeline.streams import Stored

_NAMES = ("host.id", "tocsin.writer", "tocsin.chain.key", "tocsin.class")
_DETECT = "detect"
_said = attrgetter("host", "writer", "key", "kind")
_read = msgspec.json.Decoder(
    msgspec.defstruct(
        "Said",
        [(attribute, Any, None) for attribute in ("host", "writer", "key", "kind")],
        rename=dict(zip(("host", "writer", "key", "kind"), _NAMES, strict=True)),
        gc=False,
    )
).decode


class Sound:
    """Says of each event whether it is taken. `refuse` are the kinds of doubt for which it is not."""

    def __init__(self, seals: Seals, *, refuse: frozenset[str]) -> None:
        self._seals = seals
        self._refuse = refuse

    def renew(self) -> None:
        """Look at the enrolments again."""
        self._seals.renew()

    def __call__(self, message: Stored) -> bool:
        """Raises msgspec.MsgspecError for what is no JSON object."""
        host, writer, key, class_ = _said(_read(message.value))
        host, writer = (one if type(one) is str else "" for one in (host, writer))
        doubt = self._seals.check(message.value, host, writer, key, message.time)
        return doubt is None or not refuses(self._refuse, doubt, (host, writer, class_))


def refuses(kinds: frozenset[str], doubt: Doubt, said: tuple[object, object, object]) -> bool:
    """Whether a record is not taken; `said` are host, writer and class.

    A role that is not enrolled is nobody's, but for one: the detection of a centre with another escrow.
    """
    host, writer, class_ = said
    other = class_ == "tocsin" and str(writer).startswith(f"{host}/{_DETECT}/")
    return doubt.kind in kinds and not (doubt.kind == "unsealed" and other)
