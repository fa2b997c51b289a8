"""Server-sent events, cut anywhere."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sse import EventStream


def read(pieces: list[bytes]) -> list[str]:
    stream = EventStream()
    return [datum for piece in pieces for datum in stream.feed(piece)] + stream.end()


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: one\n\n", ["one"]),
        (b"data:one\n\n", ["one"]),
        (b"data:  one\n\n", [" one"]),
        (b"event: message\nid: 7\ndata: one\n\n", ["one"]),
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b"data: one\r\ndata\r\ndata: three\r\n\r\n", ["one\n\nthree"]),
        (b"data: one\rdata: two\r\r", ["one\ntwo"]),
        (b": ping\n\n: ping\n\ndata: one\n\n", ["one"]),
        (b"retry: 10\n\n", []),
        (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
        (b"data: half", []),
        (b"data: whole\n\ndata: half\n", ["whole"]),
        ("data: \N{SNOWMAN} \N{LINE SEPARATOR} x\n\n".encode(), ["\N{SNOWMAN} \N{LINE SEPARATOR} x"]),
    ],
)
def test_events_are_read(raw: bytes, data: list[str]) -> None:
    assert read([raw]) == data


LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)


@given(
    events=st.lists(st.lists(LINE, min_size=1)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    cuts=st.lists(st.integers(0, 2000)),
)
def test_what_was_sent_arrives_wherever_the_stream_is_cut(events: list[list[str]], end: str, cuts: list[int]) -> None:
    raw = "".join("".join(f"data: {line}{end}" for line in lines) + f": ping{end}{end}" for lines in events).encode()
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:stop] for start, stop in itertools.pairwise(places)]
    assert read(pieces) == ["\n".join(lines) for lines in events]
