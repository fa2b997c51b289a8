"""`harness up --data FILE`: the emulator over a user's own raw export."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import Stack, taken_down

pytestmark = pytest.mark.e2e

EVENTS: list[dict[str, Any]] = [
    {"event": "Visit", "properties": {"time": 1717200000, "distinct_id": "a", "$insert_id": "1", "plan": "pro"}},
    {"event": "Visit", "properties": {"time": 1717286400123, "distinct_id": "b", "plan": "Ünïcode\u2028✓"}},
    {"event": "Buy", "properties": {"time": 1717290000, "distinct_id": "b", "$insert_id": "3", "price": 9.5}},
]


@pytest.fixture
def stack(tmp_path: Path, cache_dir: Path) -> Any:
    with taken_down(Stack(tmp_path, cache_dir)) as found:
        yield found


def test_a_users_own_export_is_served_with_the_clock_at_its_end(stack: Stack, tmp_path: Path) -> None:
    export = tmp_path / "mine.jsonl.gz"
    export.write_bytes(gzip.compress(b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)))
    assert "2024-06-02" in json.dumps(stack.good("up", "--data", str(export)))
    assert stack.good("call", "list_events")["result"] == ["Buy", "Visit"]
    answer = stack.good(
        "call", "segmentation", "event=Visit", "from_date=2024-06-01", "to_date=2024-06-02", "segment_property=plan"
    )
    assert answer["series"] == {
        "pro": {"2024-06-01": 1, "2024-06-02": 0},
        "Ünïcode\u2028✓": {"2024-06-01": 0, "2024-06-02": 1},
    }
    assert stack.good("call", "fetch_events", "from_date=2024-06-01", "to_date=2024-06-02")["row_count"] == 3


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b'{"event": "Visit", "properties": {"time": 1717200000}}\nnot json\n', "line 2"),
        (b"", "holds no event"),
    ],
    ids=["a malformed line", "an empty file"],
)
def test_a_bad_export_is_refused_by_name_and_nothing_stays_up(
    stack: Stack, tmp_path: Path, content: bytes, named: str
) -> None:
    export = tmp_path / "bad.jsonl"
    export.write_bytes(content)
    refused = stack.harness("up", "--data", str(export), "--json")
    assert refused.exit_code == 2
    assert named in json.dumps(refused.error)
    assert stack.processes() == []
