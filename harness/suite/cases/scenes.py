"""What several cases share: days, the local table that SQL is asked about, and a store without any."""

from typing import Any

from harness.suite.case import Call
from harness.suite.expect import Equal

JUNE: dict[str, Any] = {"from_date": "2025-06-01", "to_date": "2025-06-30"}
LAST_WEEK: dict[str, Any] = {"from_date": "2025-06-24", "to_date": "2025-06-30"}
LAST_DAYS: dict[str, Any] = {"from_date": "2025-06-28", "to_date": "2025-06-30"}
LAST_DAY: dict[str, Any] = {"from_date": "2025-06-30", "to_date": "2025-06-30"}
FEW = ["Purchase", "Add to Cart"]
"""Events of which there are a few dozen in two days: what is fetched of them is a tape that can be read."""
SOME_PROFILES: dict[str, Any] = {"where": 'properties["plan"] != "free"', "output_properties": ["plan"]}
"""Somewhat more than a page of profiles, and little of each."""
BEFORE_ALL: dict[str, Any] = {"from_date": "2024-01-01", "to_date": "2024-01-07"}

TABLE = Call("fetch_events", {**LAST_DAYS, "events": ["Purchase", "Checkout"], "table": "orders"})
"""Three days of purchases and checkouts as the table `orders`: facts `table/…`."""
NOTHING = Call("fetch_events", {**BEFORE_ALL, "events": ["Purchase"], "table": "orders"})
"""The same table without a row."""
BOUGHT = Call("fetch_events", {**LAST_DAY, "events": ["Purchase"], "table": "orders"})
"""The same table with the last day's four purchases, for what is refused whatever is in it."""


def said(**values: Any) -> tuple[Equal, ...]:
    """The answer says what it is an answer to, key by key."""
    return tuple(Equal(f"/{key}", value) for key, value in values.items())
