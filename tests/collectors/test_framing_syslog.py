"""RFC 6587: counted frames and delimited ones, on one connection; any chunking gives the same frames."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.framing import Frame, SyslogFrames

CHUNKS = st.lists(
    st.sampled_from([b"<34>1 a", b"3 abc", b"12 ", b"0 ", b"-5 x", b"7", b" ", b"\n", b"\0", b"\xff", b"9999999999 "])
).map(b"".join)


def frames_of(data: bytes, cuts: list[int], limit: int) -> list[Frame]:
    frames = SyslogFrames(limit)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [frame for a, b in pairwise(edges) for frame in frames.feed(data[a:b])]
    last = frames.flush()
    return [*out, last] if last is not None else out


def raws(data: bytes, limit: int = 100) -> list[bytes]:
    return [frame.raw for frame in frames_of(data, [], limit)]


@given(CHUNKS, st.lists(st.integers(0, 1000)), st.integers(1, 12))
def test_chunking_never_matters(data: bytes, cuts: list[int], limit: int) -> None:
    assert frames_of(data, cuts, limit) == frames_of(data, [], limit)


@given(CHUNKS, st.integers(1, 12))
def test_a_frame_is_what_stands_at_its_offset_and_no_longer_than_the_limit(data: bytes, limit: int) -> None:
    frames = frames_of(data, [], limit)
    most = max(limit, 9)  # the digits of what may be a count are held until it is known
    assert all(data[f.start : f.start + len(f.raw)] == f.raw and len(f.raw) <= most for f in frames)
    assert all(a.end <= b.start for a, b in pairwise(frames))


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=20), st.integers(40, 50))
def test_counting_carries_any_bytes(messages: list[bytes], limit: int) -> None:
    assert raws(b"".join(b"%d %s" % (len(m), m) for m in messages), limit) == messages


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"6 <34>a\n6 <34>bc", [b"<34>a\n", b"<34>bc"]),  # a line feed within a counted frame is the message's
        (b"<34>a\n<34>b\0<34>c\r\n", [b"<34>a", b"<34>b", b"<34>c\r"]),
        (b"5 <34>a<34>b\n5 <34>c", [b"<34>a", b"<34>b", b"<34>c"]),  # each frame for itself
        (b"5 <34>a\n\0\n5 <34>b", [b"<34>a", b"<34>b"]),  # senders that count and delimit too
        (b"-5 <34>a\n<34>b\n", [b"-5 <34>a", b"<34>b"]),
        (b"0 <34>a\n<34>b\n", [b"0 <34>a", b"<34>b"]),
        (b"99999999999999 <34>a\n<34>b\n", [b"99999999999999 <34>a", b"<34>b"]),
        (b"2026-11-22T12:00:00Z web-1 app: x\n", [b"2026-11-22T12:00:00Z web-1 app: x"]),
        (b"10 half", [b"half"]),
        (b"12", [b"12"]),
    ],
)
def test_what_begins_with_a_count_is_counted_and_the_rest_are_lines(data: bytes, expected: list[bytes]) -> None:
    assert raws(data) == expected


def test_a_hundred_megabytes_in_one_frame_are_held_a_limit_at_a_time() -> None:
    frames, size, held = SyslogFrames(65536), 0, 0
    chunk = b"x" * 1_000_000
    for n in range(100):
        out = frames.feed(b"100000000 " + chunk if n == 0 else chunk)
        held = max(held, frames.pending)
        size += sum(len(frame.raw) for frame in out)
        assert all(frame.more for frame in out) or n == 99
    assert (size, frames.pending) == (100_000_000, 0)
    assert held < 65536
    assert [frame.raw for frame in frames.feed(b"<34>next\n")] == [b"<34>next"]
