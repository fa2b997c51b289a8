"""Where the databases of cases are: a directory of a host's own, with nothing in it of a host that was killed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

LEFT = "attempts"
"""The file in there that counts who tried to leave the machine."""


@contextlib.contextmanager
def emptied(place: Path | None) -> Iterator[Path]:
    """A directory for cases, gone afterwards; what a host that was killed left there is removed first."""
    if place is None:
        with tempfile.TemporaryDirectory(prefix="harness-case-") as made:
            yield Path(made)
        return
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(place)
    try:
        yield place
    finally:
        _clear(place)
        with contextlib.suppress(OSError):
            place.rmdir()


def _clear(place: Path) -> None:
    (place / LEFT).unlink(missing_ok=True)
    # Cases are numbered; whatever else is there is none of a host's.
    for left in place.iterdir():
        if left.name.isdecimal():
            shutil.rmtree(left)
