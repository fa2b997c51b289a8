"""What is said of a side of the product."""

import pytest

from mp_mcp_server.findings import ladders


@pytest.mark.parametrize(
    ("daily", "said"),
    [
        ([10, 10, 15, 10], "25.0 % more at the end of the period than before"),
        ([15, 10, 10, 10], "20.0 % less at the end of the period than before"),
        ([10, 10, 10, 10], "the end of the period is like its beginning"),
        ([1000, 1000, 1000, 1009], "the end of the period is like its beginning"),
        ([0, 0, 5, 5], "none before, only at the end of the period"),
        ([0, 0, 0, 0], "the end of the period is like its beginning"),
    ],
)
def test_a_change_is_told_with_its_direction(daily: list[float], said: str) -> None:
    assert ladders._change(daily) == said
