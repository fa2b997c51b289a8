"""Mixpanel's own library for Node against the emulator: what it sends is there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.clients.conftest import Reader, Run
from tests.support.emulator import Emulator


@pytest.fixture
def outcomes(run_node: Run, ledger: Emulator) -> Any:
    """What became of each call."""
    return run_node(ledger, "node_library.cjs")


def test_every_call_is_taken_and_does_what_it_says(outcomes: Any, ledger: Emulator) -> None:
    assert len(outcomes) == 20
    assert set(outcomes.values()) == {"works"}
    reader, today = Reader(ledger), f"{datetime.now(UTC):%Y-%m-%d}"
    events = [each["properties"] for each in reader.exported("2020-01-01", today, "Node Tracked")]
    assert sorted(each["distinct_id"] for each in events) == ["ada", "ada", "bob", "bob", "bob"]
    assert [each["color"] for each in events if "color" in each] == ["grün 東京"]
    assert sorted(each["n"] for each in events if "n" in each) == [1, 1.5, 2, 3]
    assert {each["mp_lib"] for each in events if each["distinct_id"] == "ada"} == {"node"}
    profile = reader.profile("ada")
    assert profile is not None
    told = {name: profile.get(name) for name in ("$name", "plan", "source", "visits", "tags", "$transactions", "old")}
    assert told == {
        "$name": "Ada", "plan": "pro", "source": "friend", "visits": 3, "tags": ["y"], "$transactions": [], "old": None,
    }  # fmt: skip
    acme = reader.groups("company")["Acme"]
    assert {name: acme.get(name) for name in ("seats", "city", "tags", "old")} == {
        "seats": 5, "city": "Lyon", "tags": ["b"], "old": None,
    }  # fmt: skip
