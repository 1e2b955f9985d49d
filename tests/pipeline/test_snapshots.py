"""The correlator's state outlives a crash amid a snapshot, though the log keeps a key's last record alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.roles.snapshots import PART_BYTES, Manifest, Snapshots
from pipeline.streams import STATE
from tests.pipeline.memory_stream import Log, MemoryStream

NOW = datetime(2026, 11, 22, 2, 14, tzinfo=UTC)
LONG = b'"' + b"x" * (2 * PART_BYTES) + b'"'


def compacted(log: Log) -> None:
    """Keep the last record of each key, if it has a value."""
    records = log.topic(STATE)[0]
    last = {one.key: one for one in records}
    records[:] = [one for one in records if last[one.key] is one and (one.value or one is records[-1])]


def restored(log: Log) -> dict[str, bytes]:
    log.members.clear()
    return Snapshots(MemoryStream(log)).restored()[1]


@pytest.mark.parametrize("before", [b"[1]", LONG], ids=["short", "in parts"])
@pytest.mark.parametrize("after", [b"[2]", LONG.replace(b"x", b"y"), b""], ids=["short", "in parts", "gone"])
@pytest.mark.parametrize("written", range(5))
def test_what_was_whole_stays_until_the_next_snapshot_is(before: bytes, after: bytes, written: int) -> None:
    log = Log(1, NOW)
    stream, snapshots = MemoryStream(log), Snapshots(MemoryStream(log))
    snapshots.restored()
    for epoch, state in enumerate((b"[0]", before), 1):
        stream.append(STATE, snapshots.messages(Manifest(epoch, epoch, {}), {"[k]": state, "[other]": b"[7]"}))
    fresh = snapshots.messages(Manifest(3, 3, {}), {"[k]": after})
    stream.append(STATE, fresh[:written])
    compacted(log)
    whole = {"[k]": after} if after else {}
    assert restored(log) == {"[other]": b"[7]"} | (whole if written >= len(fresh) else {"[k]": before})


@pytest.mark.parametrize("written", range(4))
def test_what_was_gone_does_not_come_back_while_its_keys_are_emptied(written: int) -> None:
    log = Log(1, NOW)
    stream, snapshots = MemoryStream(log), Snapshots(MemoryStream(log))
    snapshots.restored()
    for epoch, state in enumerate((b"[0]", b"[1]", b""), 1):
        stream.append(STATE, snapshots.messages(Manifest(epoch, epoch, {}), {"[k]": state}))
    stream.append(STATE, snapshots.messages(Manifest(4, 4, {}), {"[other]": b"[7]"})[:written])
    compacted(log)
    assert "[k]" not in restored(log)
