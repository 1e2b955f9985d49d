"""Whom a record of the stream is from: what the centre makes of seals, right, wrong and missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from collectors.chain import Chain, Key
from pipeline.enrolled import Earlier, Enrolment, EnrolmentFault
from pipeline.keycache import KeyCache
from pipeline.seals import Seals
from rules.event import Value, rfc3339

SINCE = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
NOW = SINCE + timedelta(minutes=14)
FIRST, SECOND, STRANGER = bytes(range(32)), bytes(range(1, 33)), bytes(32)
DB7 = Enrolment("h1", "db-7", FIRST.hex(), rfc3339(SINCE))
ROOT: dict[str, Value] = {"@timestamp": rfc3339(NOW), "user.name": "root", "host.id": "h1", "tocsin.class": "auth"}


def sealed(secret: bytes, *, host: str = "h1", ratchets: int = 0) -> bytes:
    key = Key(0, secret)
    for _ in range(ratchets):
        key = key.ratcheted()
    return Chain(f"{host}/collect", key, "00112233aabbccdd").seal("first/auth", dict(ROOT))


def kind(seals: Seals, value: bytes, host: str = "h1", *, taken: datetime = NOW) -> str | None:
    fields = msgspec.json.decode(value)
    doubt = seals.check(value, host, fields.get("tocsin.writer", ""), fields.get("tocsin.chain.key"), taken)
    return doubt.kind if doubt else None


def of(*enrolments: Enrolment, role: str = "collect") -> Seals:
    known = {(one.id, role): one for one in enrolments}
    return Seals(lambda host, role: known.get((host, role)))


@pytest.mark.parametrize("ratchets", [0, 1, 14, 100, 1400])
def test_what_an_enrolled_host_sealed_is_taken(ratchets: int) -> None:
    assert kind(of(DB7), sealed(FIRST, ratchets=ratchets)) is None


def test_records_of_two_keys_may_take_turns() -> None:
    seals = of(DB7)
    for ratchets in (3, 1, 90, 2, 1200, 0):
        assert kind(seals, sealed(FIRST, ratchets=ratchets)) is None


@pytest.mark.parametrize("at", [0, 10, 40, -60, -40, -5, -1])
def test_an_altered_record_is_forged(at: int) -> None:
    value = bytearray(sealed(FIRST))
    value[at] ^= 1
    seals = of(DB7)
    assert seals.check(bytes(value), "h1", "h1/collect/first/auth", 0, NOW) is not None


def test_a_record_under_another_hosts_name_is_forged() -> None:
    web = Enrolment("h2", "web-1", SECOND.hex(), rfc3339(SINCE))
    seals = of(DB7, web)
    assert kind(seals, sealed(SECOND, host="h2"), "h1") == "forged"  # the writer is not of that host
    assert kind(seals, sealed(SECOND, host="h1"), "h1") == "forged"  # the key is not
    assert kind(seals, sealed(STRANGER), "h1") == "forged"


def test_a_record_without_a_seal_is_forged_where_the_host_is_enrolled() -> None:
    bare = msgspec.json.encode(ROOT)
    assert kind(of(DB7), bare) == "forged"
    assert kind(of(DB7), msgspec.json.encode(ROOT | {"tocsin.writer": "h1/collect/first/auth"})) == "forged"
    assert kind(of(), bare) == "unenrolled"


@pytest.mark.parametrize("index", [None, "0", 0.0, True, -1, 2**70, [0], 1455])
def test_a_key_number_that_no_honest_host_can_have_is_forged(index: object) -> None:
    doubt = of(DB7).check(sealed(FIRST), "h1", "h1/collect/first/auth", index, NOW)
    assert doubt is not None
    assert doubt.kind == "forged"


def test_what_was_taken_before_the_host_was_revoked_stays() -> None:
    revoked = Enrolment("h1", "db-7", DB7.key, DB7.enrolled, revoked=rfc3339(NOW))
    assert kind(of(revoked), sealed(FIRST), taken=NOW - timedelta(seconds=1)) is None
    assert kind(of(revoked), sealed(FIRST), taken=NOW) == "revoked"


def test_a_replaced_key_is_good_for_what_the_stream_took_before() -> None:
    anew = Enrolment("h1", "db-7", SECOND.hex(), rfc3339(NOW), earlier=(Earlier(DB7.key, DB7.enrolled, rfc3339(NOW)),))
    seals = of(anew)
    assert kind(seals, sealed(FIRST, ratchets=3), taken=NOW - timedelta(seconds=1)) is None
    assert kind(seals, sealed(FIRST, ratchets=3), taken=NOW) == "forged"
    assert kind(seals, sealed(SECOND), taken=NOW) is None


def test_another_role_of_an_enrolled_host_is_told_apart() -> None:
    value = Chain("h1/detect", Key(0, FIRST), "00112233aabbccdd").seal("first/tocsin", dict(ROOT))
    assert kind(of(DB7), value) == "unsealed"
    assert kind(of(DB7, role="detect"), value) is None


def test_a_damaged_enrolment_is_said_and_costs_no_stage() -> None:
    def damaged(host: str, role: str) -> Enrolment | None:
        raise EnrolmentFault("enrolled/h1.json: damaged; restore the file from a backup")

    doubt = Seals(damaged).check(sealed(FIRST), "h1", "h1/collect/first/auth", 0, NOW)
    assert doubt is not None
    assert (doubt.kind, doubt.reason) == ("unchecked", "enrolled/h1.json: damaged; restore the file from a backup")


def test_an_enrolment_that_changed_counts_from_the_next_round() -> None:
    known: dict[str, Enrolment] = {}
    seals = Seals(lambda host, role: known.get(host))
    assert kind(seals, sealed(STRANGER)) == "unenrolled"
    known["h1"] = DB7
    seals.renew()
    assert kind(seals, sealed(STRANGER)) == "forged"
    assert kind(seals, sealed(FIRST)) is None


def test_what_a_stranger_says_is_escaped_and_cut() -> None:
    doubt = of(DB7).check(msgspec.json.encode(ROOT), "h1", "h1\x1b[31m" + "x" * 9999, 0, NOW)
    assert doubt is not None
    assert "\x1b" not in doubt.reason
    assert len(doubt.reason) < 400


def test_a_key_that_was_reached_saves_the_way_from_the_first() -> None:
    key = Key(0, FIRST)
    while key.index < 2048:
        key = key.ratcheted()
    late = NOW + timedelta(days=3)
    seals = of(DB7)
    assert kind(seals, sealed(FIRST, ratchets=2100), taken=late) is None
    assert seals.reached == {DB7.key: key}
    elsewhere = Enrolment("h1", "db-7", STRANGER.hex(), DB7.enrolled)  # from its first key none would be found
    again = Seals(lambda host, role: elsewhere, reached={elsewhere.key: key})
    assert kind(again, sealed(FIRST, ratchets=2100), taken=late) is None


def test_what_was_reached_is_kept_in_a_file_and_damage_costs_nothing(tmp_path: Path) -> None:
    cache, reached = KeyCache(tmp_path / "reached.json"), {DB7.key: Key(1024, SECOND)}
    for _ in range(600):
        cache.keep(reached)
    assert KeyCache(tmp_path / "reached.json").read() == reached
    assert (tmp_path / "reached.json").stat().st_mode & 0o077 == 0
    for text in ('{"x":[1,"zz"]}', "{", '{"x":[1025,"00"]}'):
        (tmp_path / "reached.json").write_text(text)
        assert KeyCache(tmp_path / "reached.json").read() == {}
