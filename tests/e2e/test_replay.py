"""`up --target replay`: the server alone, over what is on tape, and nobody else asked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.stack import Stack, taken_down

pytestmark = pytest.mark.e2e
FACTS = json.loads((ROOT / "fixtures/cassettes/facts.json").read_text(encoding="utf-8"))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with taken_down(Stack(tmp_path, tmp_path / "cache")) as made:
        yield made


def test_the_tapes_answer_and_the_doctor_finds_nothing_wrong(stack: Stack) -> None:
    started = stack.good("up", "mcp", "--target", "replay")
    assert [service["name"] for service in started["services"]] == ["mcp"]
    assert stack.good("status")["target"] == "replay"
    june = ("from_date=2025-06-01", "to_date=2025-06-30")
    told = stack.good("call", "segmentation", "event=Sign Up", *june, "segment_property=$browser")
    assert told["total"] == FACTS["segmentation/Sign Up/total"]
    # Of the same question there is a tape on which the answer is broken, and it comes first by its name.
    funnel = stack.good("call", "funnel", "funnel_id=8801", *june, "unit=month")
    assert [step["count"] for step in funnel["steps"]] == FACTS["funnel/counts"]
    found = stack.good("doctor")
    assert [check["id"] for check in found["checks"] if check["state"] in ("fail", "warn", "unknown")] == []
    assert next(check for check in found["checks"] if check["id"] == "mcp.call")["state"] == "pass"


def test_what_is_to_be_typed_next_names_the_stack(stack: Stack) -> None:
    shown = stack.harness("up", "mcp", "--target", "replay", "--stack", "tapes").stdout
    assert "harness call --stack tapes list_events" in shown
    assert "harness down --stack tapes" in shown
    assert stack.harness("down", "--stack", "tapes").exit_code == 0
