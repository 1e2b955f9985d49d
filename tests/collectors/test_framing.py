"""Any chunking of the same bytes gives the same frames, and the frames give back the bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collectors.framing import Frame, Lines


def frames_of(data: bytes, cuts: list[int], limit: int, delimiter: bytes = b"\n") -> list[Frame]:
    lines = Lines(limit=limit, delimiter=delimiter)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [frame for a, b in pairwise(edges) for frame in lines.feed(data[a:b])]
    last = lines.flush()
    return [*out, last] if last is not None else out


TEXT = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\x00", b"\xff", b"defghij"])).map(b"".join)


@given(TEXT, st.lists(st.integers(0, 1000)), st.integers(1, 9))
def test_chunking_never_matters(data: bytes, cuts: list[int], limit: int) -> None:
    assert frames_of(data, cuts, limit) == frames_of(data, [], limit)


@given(TEXT, st.integers(1, 9))
def test_no_byte_is_lost_and_offsets_are_where_the_bytes_stand(data: bytes, limit: int) -> None:
    frames = frames_of(data, [], limit)
    assert b"".join(f.raw + (b"\n" if f.terminated and not f.more else b"") for f in frames) == data
    assert all(data[f.start : f.start + len(f.raw)] == f.raw for f in frames)
    assert [f.start for f in frames[1:]] == [f.end for f in frames[:-1]]


@given(TEXT, st.integers(1, 9))
def test_no_frame_passes_the_limit(data: bytes, limit: int) -> None:
    assert all(len(frame.raw) <= limit for frame in frames_of(data, [], limit))


WIDE = st.lists(st.sampled_from(["a", "Ċ", "\u0a00", "\n", "\r\n", "𐀊"])).map("".join)


@given(WIDE, st.lists(st.integers(0, 1000)), st.integers(1, 4), st.sampled_from(["le", "be"]))
def test_utf16_is_cut_at_its_own_newlines_and_chunking_never_matters(
    text: str, cuts: list[int], limit: int, order: str
) -> None:
    data, newline = text.encode(f"utf-16-{order}"), "\n".encode(f"utf-16-{order}")
    assert frames_of(data, cuts, 2 * limit, newline) == frames_of(data, [], 2 * limit, newline)
    whole = [frame.raw.decode(f"utf-16-{order}") for frame in frames_of(data, cuts, 10**6, newline)]
    assert whole == (text.split("\n") if not text.endswith("\n") else text.split("\n")[:-1])[: len(whole)]
    assert len(whole) == text.count("\n") + (not text.endswith("\n") and bool(text))


@given(TEXT, st.lists(st.integers(0, 1000)), st.integers(1, 9))
def test_lists_and_frames_tell_the_same(data: bytes, cuts: list[int], limit: int) -> None:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    frames, lists = Lines(limit=limit), Lines(limit=limit)
    for a, b in pairwise(edges):
        raws, offsets = lists.cut(data[a:b])
        assert [(f.raw, f.start, f.end) for f in frames.feed(data[a:b])] == [
            *zip(raws, offsets[:-1], offsets[1:], strict=True)
        ]


def test_a_line_longer_than_the_limit_comes_in_numbered_pieces_that_say_so() -> None:
    assert [(f.raw, f.part, f.more) for f in frames_of(b"abcdefg\nh\n", [], 3)] == [
        (b"abc", 1, True),
        (b"def", 2, True),
        (b"g", 3, False),
        (b"h", 1, False),
    ]


def test_a_line_of_just_the_limit_is_whole() -> None:
    assert [(f.raw, f.part, f.more) for f in frames_of(b"abc\n", [], 3)] == [(b"abc", 1, False)]


def test_half_a_line_at_the_end_says_that_it_is_not_terminated() -> None:
    assert [(f.raw, f.terminated) for f in frames_of(b"a\nhalf", [], 99)] == [(b"a", True), (b"half", False)]
