"""Bytes and edits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.nginx.splice import Edit, splice


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, list[Edit], bytes]:
    """A source, edits in any order, and the result put together piece by piece."""
    source = after = b""
    edits = []
    for _ in range(draw(st.integers(0, 5))):
        kept = draw(st.binary(max_size=6))
        source, after = source + kept, after + kept
        if draw(st.booleans()):
            old, new = draw(st.binary(min_size=1, max_size=4)), draw(st.binary(max_size=6))
            edits.append(Edit(len(source), old, new))
            source, after = source + old, after + new
    return source, draw(st.permutations(edits)), after


@given(edited())
def test_only_the_edits_bytes_change(made: tuple[bytes, list[Edit], bytes]) -> None:
    source, edits, after = made
    assert splice(source, edits) == after


def test_an_edit_that_expects_other_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at byte 1 stands something else"):
        splice(b"abc", [Edit(1, b"x", b"y")])


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap at byte 1"):
        splice(b"abc", [Edit(0, b"ab", b"y"), Edit(1, b"b", b"")])
