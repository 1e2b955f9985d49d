"""Integrity: the witness's cost for each event beside what detect does anyway, and verify's records a second.

Usage: integrity.py [--events N]

One process, GC as shipped. Detect's part is the shipped library over the same records, decoded as it decodes them. The
archive is the embedded index in a temporary folder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from collectors.chain import Chain, Key
from pipeline import rulesets
from pipeline.enrolled import Enrolment
from pipeline.indexes import Document
from pipeline.indexes.sqlite import SqliteIndex
from pipeline.seals import Seals
from pipeline.verify.conclude import Known, conclude
from pipeline.verify.gather import Gathered, documents
from pipeline.verify.spool import Spool
from pipeline.witness import WITNESSED, Witness
from rules.event import Value, rfc3339
from rules.matcher import Matcher
from rules.ruleset import load

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = bytes(range(32))
ENROLMENT = Enrolment("5f0c8d3e-0000-4000-8000-000000000000", "db-7", SECRET.hex(), rfc3339(BEGAN))


def sealed(count: int) -> list[bytes]:
    """Return `count` sealed failed logins of one host, a key each minute, 200 a second."""
    chain = Chain(f"{ENROLMENT.id}/collect", Key(0, SECRET), "00112233aabbccdd")
    out = []
    for number in range(count):
        if number % 12_000 == 11_999:
            chain.ratchet()
        out.append(chain.seal("first/auth", _event(number)))
    return out


def _event(number: int) -> dict[str, Value]:
    stamp = rfc3339(BEGAN + timedelta(milliseconds=5 * number))
    said = f"Failed password for invalid user u{number % 97} from 203.0.113.{number % 250} port {number % 60000} ssh2"
    return {
        "@timestamp": stamp,
        "event.created": stamp,
        "event.id": f"{number:032x}",
        "event.kind": "event",
        "event.module": "sshd",
        "event.dataset": "system.auth",
        "event.category": ["authentication"],
        "event.action": "ssh_login",
        "event.outcome": "failure",
        "user.name": f"u{number % 97}",
        "source.ip": f"203.0.113.{number % 250}",
        "source.port": number % 60000,
        "process.name": "sshd",
        "process.pid": 4242,
        "message": said,
        "event.original": f"Nov 22 02:14:00 db-7 sshd[4242]: {said}",
        "log.file.path": "/var/log/auth.log",
        "log.offset": number * 120,
        "host.id": ENROLMENT.id,
        "host.name": "db-7",
        "service.environment": "production",
        "tocsin.schema": 1,
        "tocsin.record": "event",
        "tocsin.class": "auth",
        "tocsin.source": "file:/var/log/auth.log",
    }


def seals() -> Seals:
    return Seals(lambda host, role: ENROLMENT if (host, role) == (ENROLMENT.id, "collect") else None)


def matching(records: Sequence[bytes], also: Sequence[str]) -> float:
    """Return CPU seconds of decoding and matching alone."""
    matcher = Matcher(load(rulesets.sources(["builtin"], []), {}), also)
    start = time.process_time()
    for value in records:
        matcher.match_read(matcher.read(value), value)
    return time.process_time() - start


def witnessing(records: Sequence[bytes]) -> float:
    """Return CPU seconds of the same with every seal and number checked."""
    matcher = Matcher(load(rulesets.sources(["builtin"], []), {}), WITNESSED)
    said, check, witness = matcher.wanted(WITNESSED), seals().check, Witness()
    start = time.process_time()
    for value in records:
        event = matcher.read(value)
        of = said(event)
        assert check(value, str(of[0]), str(of[1]), of[2], BEGAN) is None
        assert not witness.saw(of, value)
        matcher.match_read(event, value)
    return time.process_time() - start


def verifying(records: Sequence[bytes], folder: Path) -> float:
    """Return CPU seconds of verifying the archive of these records; storing them is not counted."""
    index, spool = SqliteIndex(folder), Spool()
    for at in range(0, len(records), 2_000):
        batch = enumerate(records[at : at + 2_000], at)
        index.put([Document(f"{n:032x}", "auth", BEGAN + timedelta(milliseconds=5 * n), value) for n, value in batch])
    start = time.process_time()
    gathered = Gathered(spool, seals(), BEGAN + timedelta(days=1))
    for _ in documents(index.scan(None, None), gathered):
        pass
    spool.sort()
    (one,) = conclude(gathered, Known({}))
    took = time.process_time() - start
    assert (one.judgement.records, one.judgement.findings) == (len(records), [])
    spool.close()
    index.close()
    return took


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--events", type=int, default=100_000)
    asked.add_argument("--rounds", type=int, default=3)
    options = asked.parse_args()
    records = sealed(options.events)
    each = 1e6 / options.events
    rounds = [(matching(records, ()), matching(records, WITNESSED), witnessing(records)) for _ in range(options.rounds)]
    plain, decoded, whole = (min(column) * each for column in zip(*rounds, strict=True))
    print(f"records of {len(records[0])} bytes; best of {options.rounds}, CPU microseconds an event")
    print(f"match alone {plain:.2f}; with the witness's fields decoded {decoded:.2f}; with the witness {whole:.2f}")
    share = 100 * (whole / plain - 1)
    print(f"the witness: {whole - decoded:.2f} beside decoding, {whole - plain:.2f} in all: {share:.0f} %")
    with tempfile.TemporaryDirectory() as folder:
        took = verifying(records, Path(folder))
    print(f"verify: {options.events / took:,.0f} records/s of CPU")


if __name__ == "__main__":
    main()
