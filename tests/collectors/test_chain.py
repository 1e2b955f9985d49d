"""The chain: a record is sealed under a key that is gone by the time anybody could want to change it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.chain import BLOCK, Chain, Key, Link, Ring, opened, sealed_bytes
from rules.event import Value

SECRET = bytes(range(32))
EPOCH = "00112233aabbccdd"


def chain() -> Chain:
    return Chain("h1/collect", Key(0, SECRET), EPOCH)


def event(text: str) -> dict[str, Value]:
    return {"user.name": text, "@timestamp": "2026-11-22T02:14:00.000000Z"}


def test_a_record_says_where_it_stands_in_its_chain() -> None:
    sealing = chain()
    sealing.seal("first/auth", event("root"))
    fields = msgspec.json.decode(sealing.seal("first/auth", event("ada")))
    assert fields["event.sequence"] == 2
    assert fields["tocsin.writer"] == "h1/collect/first/auth"
    assert (fields["tocsin.chain.epoch"], fields["tocsin.chain.key"]) == (EPOCH, 0)


def test_each_chain_counts_on_its_own() -> None:
    sealing = chain()
    sealing.seal("first/auth", event("root"))
    assert msgspec.json.decode(sealing.seal("last/metrics", event("")))["event.sequence"] == 1


@given(
    st.dictionaries(
        st.text(),
        st.none()
        | st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
    )
)
def test_the_seal_can_be_checked_from_the_bytes_and_from_the_fields(fields: dict[str, Value]) -> None:
    value = chain().seal("first/auth", fields)
    found = opened(value)
    assert found is not None
    body, mac = found
    assert Key(0, SECRET).seal(body) == mac
    assert sealed_bytes(msgspec.json.decode(value)) == body


@given(st.integers(min_value=0), st.integers(1, 255))
def test_any_changed_byte_breaks_the_seal(where: int, change: int) -> None:
    value = bytearray(chain().seal("first/auth", event("root")))
    value[where % len(value)] ^= change
    found = opened(bytes(value))
    assert found is None or Key(0, SECRET).seal(found[0]) != found[1]


def test_a_ratcheted_key_seals_differently_and_the_centre_finds_it_by_its_number() -> None:
    sealing = chain()
    before = sealing.seal("first/auth", event("root"))
    sealing.ratchet()
    after = opened(sealing.seal("first/auth", event("root")))
    assert after is not None
    ring = Ring(Key(0, SECRET))
    key = ring.key(1, furthest=10)
    assert key is not None
    assert key.seal(after[0]) == after[1]
    assert opened(before) is not None


@pytest.mark.parametrize("order", [(5000, 3, 1024, 1023, 4999), (0, 1, 2048, 2047)])
def test_keys_are_found_in_any_order(order: tuple[int, ...]) -> None:
    ring, key = Ring(Key(0, SECRET)), Key(0, SECRET)
    expected = {0: key}
    while key.index < max(order):
        key = key.ratcheted()
        expected[key.index] = key
    for index in order:
        assert ring.key(index, furthest=10_000) == expected[index]


@pytest.mark.parametrize("index", [-1, 11, 2**63])
def test_a_number_beyond_what_a_host_can_have_reached_costs_nothing(index: int) -> None:
    assert Ring(Key(0, SECRET)).key(index, furthest=10) is None


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=3 * BLOCK), st.integers(min_value=0))
def test_the_head_depends_on_every_seal_and_on_their_order(seals: list[bytes], at: int) -> None:
    def head(of: list[bytes]) -> bytes:
        link = Link(EPOCH)
        for mac in of:
            link.add(mac)
        return link.head

    whole = head(seals)
    assert head(list(seals)) == whole
    if seals:
        place = at % len(seals)
        assert head(seals[:place] + seals[place + 1 :]) != whole
        swapped = [*seals[:place], bytes(16) if seals[place] != bytes(16) else bytes(15) + b"1", *seals[place + 1 :]]
        assert head(swapped) != whole


@pytest.mark.parametrize(
    "value", [b"", b"{}", b'{"a":1}', b'{"tocsin.chain.mac":"zz"}', b'x,"tocsin.chain.mac":"' + b"g" * 32 + b'"}']
)
def test_what_bears_no_seal_is_known_by_it(value: bytes) -> None:
    assert opened(value) is None
