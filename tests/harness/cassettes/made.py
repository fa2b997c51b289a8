"""Small tapes for tests."""

from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import written
from harness.cassettes.tape import Answer, Asked, Exchange, Interaction, Recorded, Tape, ToolCall
from harness.errors import HarnessError

CASE = "live/segmentation--example"
URL = "https://mixpanel.com/api/query/segmentation"
CLOCK = "2025-06-30T23:59:59.999000+00:00"


def recorded(**said: Any) -> Recorded:
    """Where a tape comes from, the emulator unless told otherwise."""
    usual: dict[str, Any] = {
        "at": "2025-07-01T00:00:00+00:00",
        "target": "emulator",
        "clock": CLOCK,
        "region": "us",
        "data": {"seed": 1},
        "versions": {"vcrpy": "9"},
    }
    return Recorded(**{**usual, **said})


def asked(url: str = URL, method: str = "GET", **query: str) -> Asked:
    """A request."""
    return Asked(method, url, tuple(query.items()))


def interaction(number: int = 0, body: bytes = b'{"data":{}}') -> Interaction:
    """A request of its own number, with an answer."""
    return Interaction(asked(event=f"event {number}"), Answer(200, {"content-type": "application/json"}, body))


def tape(*interactions: Interaction, case: str = CASE, **said: Any) -> Tape:
    """A tape of these; what is said else is where it comes from."""
    calls = (Exchange(ToolCall("segmentation", {"event": "Sign Up"}), {"content": []}),)
    return Tape(case, recorded(**said), interactions, calls)


def refused(directory: Path, case: str = CASE) -> HarnessError:
    """The error of a tape that must not be read."""
    with pytest.raises(HarnessError) as error:
        written.read(directory, case)
    return error.value
