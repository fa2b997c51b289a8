"""What is said of a goal's figures."""

import pytest

from mp_mcp_server import answering
from mp_mcp_server.analysis.health import growth
from mp_mcp_server.findings import goals


@pytest.mark.parametrize(
    ("daily", "said", "in_short"),
    [
        ([10, 10, 15, 10], "25.0 % more in the second half than in the first", True),
        ([15, 10, 10, 10], "20.0 % less in the second half than in the first", True),
        ([10, 10, 10, 10], "the second half of the period is like the first", False),
        ([0, 0, 0, 7], "none in the first half of the period, only in the second", True),
    ],
)
def test_a_change_is_told_with_its_direction(daily: list[float], said: str, in_short: bool) -> None:
    assert goals._change(growth(daily)) == said
    by_day = {f"2025-06-0{number}": count for number, count in enumerate(daily, start=1)}
    assert answering._trend({"Purchase": by_day}) == (f", {said.replace(' of the period', '')}" if in_short else "")
