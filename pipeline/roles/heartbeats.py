"""Heartbeats that a loaded rule waits for, on their way to the correlator: no more of them than it takes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from pipeline.streams import Stored
from rules.event import Fields, instant
from rules.match import Verdict
from rules.matcher import Hit, key_values

EVERY: Final = timedelta(seconds=10)  # of a key's time: further heartbeats within it say nothing new


def there(
    hits: Sequence[Hit], fields: Fields, message: Stored, passed: MutableMapping[tuple[str, str], str]
) -> Iterator[Verdict]:
    """Yield what heartbeats say of the keys of rules that ask for absence. `passed` is what was said before.

    A heartbeat has no id of its own. It goes by its key and the ten seconds that it falls in, so that the same one
    stands for them whoever passes it on, and whichever of several sources it came from.
    """
    up_to = instant(str(fields["@timestamp"]))
    span = int(up_to.timestamp() // EVERY.total_seconds())
    for hit in hits:
        if hit.state != "there":
            continue
        about, key = hit.rule.about, key_values(hit.rule.alerting.key, fields)
        name = msgspec.json.encode(key).decode()
        place = about.id, f"{name} {fields.get('tocsin.source')}"
        if passed.get(place) == str(span):
            continue
        passed[place] = str(span)
        identity = f"heartbeat {name} {span}"
        shown = {one: fields[one] for one in ("host.id", "tocsin.source", "@timestamp") if one in fields}
        yield Verdict(about.id, about.meaning, "there", key, identity, up_to, message.time, message.time, shown)
