"""Things that go wrong in a running emulator, for the length of a test."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.emulator import DEADLINE_S, Emulator


def _send(emulator: Emulator, method: str, rule: dict[str, Any] | None = None) -> None:
    request = urllib.request.Request(  # noqa: S310  # the emulator's own loopback URL
        f"{emulator.url}/_emulator/faults",
        method=method,
        data=None if rule is None else json.dumps(rule).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310  # as above
        answer.read()


def patience_s(test: pytest.FixtureRequest) -> float:
    """How long a client of this test waits for a byte: not for long where its `kind` of fault is that none comes."""
    told = getattr(test.node, "callspec", None)
    return 3.0 if told and told.params.get("kind") == "stall" else DEADLINE_S


@contextmanager
def going_wrong(emulator: Emulator, *rules: dict[str, Any]) -> Iterator[None]:
    """With these rules in force, none before and none after."""
    _send(emulator, "DELETE")
    try:
        for rule in rules:
            _send(emulator, "POST", rule)
        yield
    finally:
        _send(emulator, "DELETE")
