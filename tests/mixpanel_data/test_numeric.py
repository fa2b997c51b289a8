"""Ranges, sums and means against every event counted by hand."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from mixpanel_data import InvalidArgumentError, MixpanelAPIClient, Workspace
from mixpanel_data.numeric import segmentation_average, segmentation_numeric, segmentation_sum
from tests.fixtures.emulator import brute
from tests.support import crafted
from tests.support.scripted_http import Reply, ScriptedServer

RANGE: dict[str, Any] = {"from_date": crafted.FIRST.isoformat(), "to_date": crafted.LAST.isoformat()}
DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-03", "on": "price"}
ORDERS = [
    row
    for row in brute.within(brute.visible(crafted.rows(), 2**60), crafted.FIRST, crafted.LAST, crafted.ZONE)
    if row.event == "Order"
]


def price(row: Any) -> float | None:
    found = row.values.get("price")
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def buckets(unit: str) -> list[str]:
    return brute.keys(crafted.FIRST, crafted.LAST, unit, crafted.ZONE)


def by_bucket(rows: list[Any], unit: str) -> dict[str, list[Any]]:
    piles: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        piles[brute.key(brute.local(row.time_ms, crafted.ZONE), unit)].append(row)
    return dict(sorted(piles.items()))


@pytest.mark.parametrize("unit", ["hour", "day"])
def test_sums_and_means(crafted_workspace: Workspace, unit: Any) -> None:
    piles = by_bucket(ORDERS, unit)
    sums = crafted_workspace.segmentation_sum("Order", on="price", unit=unit, **RANGE)
    assert list(sums.results) == buckets(unit)
    assert sums.results == pytest.approx(
        {bucket: sum(price(row) or 0 for row in piles.get(bucket, [])) for bucket in buckets(unit)}
    )
    assert sum(map(abs, sums.results.values())) > 1000
    means = crafted_workspace.segmentation_average("Order", on="price", unit=unit, **RANGE)
    assert list(means.results) == list(piles)
    assert means.results == pytest.approx(
        {bucket: sum(price(row) or 0 for row in rows) / len(rows) for bucket, rows in piles.items()}
    )
    assert means.to_table_dict()[0] == {"date": min(piles), "average": means.results[min(piles)]}
    assert (sums.property_expr, means.property_expr) == ("price", "price")


def test_a_sum_may_calculate_and_choose(crafted_workspace: Workspace) -> None:
    got = crafted_workspace.segmentation_sum(
        "Order", on='properties["price"] * 2 + 1', where='properties["price"] >= 0', **RANGE
    )
    want = sum(2 * found + 1 for row in ORDERS if (found := price(row)) is not None and found >= 0)
    assert sum(got.results.values()) == pytest.approx(want)
    assert got.property_expr == 'properties["price"] * 2 + 1'
    assert got.computed_at is not None
    assert got.computed_at.startswith("2025-06-30T")


@pytest.mark.parametrize("kind", ["general", "unique"])
def test_every_number_lies_in_one_range(crafted_workspace: Workspace, kind: Any) -> None:
    got = crafted_workspace.segmentation_numeric("Order", on="price", type=kind, **RANGE)
    for label, cells in got.series.items():
        low, high = (Decimal(text.replace(",", "")) for text in label.split(" - "))
        inside = [row for row in ORDERS if (found := price(row)) is not None and low <= Decimal(repr(found)) < high]
        want = {bucket: brute.count(rows, kind) for bucket, rows in by_bucket(inside, "day").items()}
        assert cells == {bucket: want.get(bucket, 0) for bucket in buckets("day")}
    if kind == "general":
        total = sum(sum(cells.values()) for cells in got.series.values())
        assert total == sum(price(row) is not None for row in ORDERS) > 50
    assert list(got.df.columns) == ["date", "bucket", "count"]


def test_sums_come_in_order_and_days_without_one_are_zero(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    server.say(Reply(body=b'{"status": "ok", "results": {"2025-03-03": 2, "2025-03-01": 1.5}}'))
    got = segmentation_sum(client, "a", **DAYS)
    assert list(got.results.items()) == [("2025-03-01", 1.5), ("2025-03-02", 0), ("2025-03-03", 2)]
    assert "computed_at" not in got.to_dict()
    assert list(got.to_dict()) == ["event", "from_date", "to_date", "property_expr", "unit", "results"]
    mean = segmentation_average(client, "a", **DAYS)
    assert list(mean.results.items()) == [("2025-03-01", 1.5), ("2025-03-03", 2)]
    assert list(mean.to_dict()) == ["event", "from_date", "to_date", "property_expr", "unit", "results"]
    assert server.received[0].parameters["on"] == 'properties["price"]'
    hourly = segmentation_sum(client, "a", unit="hour", **DAYS)
    assert list(hourly.results) == ["2025-03-01", "2025-03-03"]
    server.say(Reply(body=b'{"status": "ok", "computed_at": "2025-03-04T00:00:00", "results": {}}'))
    empty = segmentation_sum(client, "a", unit="hour", **DAYS)
    assert empty.to_dict()["computed_at"] == "2025-03-04T00:00:00"
    assert list(empty.df.columns) == ["date", "sum"]


def test_ranges_without_zeros_become_dense(client: MixpanelAPIClient, server: ScriptedServer) -> None:
    data = {"series": ["2025-03-02", "2025-03-01"], "values": {"1,000 - 1,100": {"2025-03-02": 4}}}
    server.say(Reply(body=json.dumps({"legend_size": 1, "data": data}).encode()))
    got = segmentation_numeric(client, "a", **DAYS)
    assert got.series == {"1,000 - 1,100": {"2025-03-01": 0, "2025-03-02": 4, "2025-03-03": 0}}
    assert json.dumps(got.to_dict())


@pytest.mark.parametrize("ask", [segmentation_numeric, segmentation_sum, segmentation_average])
@pytest.mark.parametrize(
    ("wrong", "argument"), [({"unit": "week"}, "unit"), ({"on": ""}, "on"), ({"to_date": "x"}, "to_date")]
)
def test_wrong_arguments(
    client: MixpanelAPIClient, server: ScriptedServer, ask: Any, wrong: dict[str, str], argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ask(client, "a", **{**DAYS, **wrong})
    assert caught.value.details["argument"] == argument
    assert not server.received
