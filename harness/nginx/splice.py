"""Bytes and edits → bytes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Other bytes in the place of some: `old` stands at `start` and becomes `new`."""

    start: int
    old: bytes
    new: bytes


def splice(source: bytes, edits: Sequence[Edit]) -> bytes:
    """Put the new bytes in the place of the old ones; all other bytes stay as they are.

    Args:
        edits: in any order; their offsets are those of `source`

    Raises:
        ValueError: an edit whose old bytes do not stand where it says, or two that overlap
    """
    pieces: list[bytes] = []
    done = 0
    for edit in sorted(edits, key=lambda each: each.start):
        if edit.start < done:
            raise ValueError(f"two edits overlap at byte {edit.start}")
        end = edit.start + len(edit.old)
        if source[edit.start : end] != edit.old:
            raise ValueError(f"at byte {edit.start} stands something else than the edit expects")
        pieces += (source[done : edit.start], edit.new)
        done = end
    return b"".join([*pieces, source[done:]])
