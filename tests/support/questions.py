"""Every question to Mixpanel, once, with an answer that can be read; and what must be true of any result."""

import json
from collections.abc import Callable
from typing import Any

from mixpanel_data import Workspace
from mixpanel_data.results import FramedResult, Result

DAYS: dict[str, Any] = {"from_date": "2025-03-01", "to_date": "2025-03-02"}
STEPS = [{"count": 4, "event": "A", "goal": "A"}, {"count": 1, "event": "B", "goal": "B"}]
SERIES = {"legend_size": 1, "data": {"series": ["2025-03-01"], "values": {"a": {"2025-03-01": 4}}}}
SCHEMA = {
    "description": "x",
    "properties": {"p": {"type": "string", "metadata": {"com.mixpanel": {"displayName": "P"}}}},
    "metadata": {"com.mixpanel": {"tags": ["t"], "hidden": False}},
}
Ask = Callable[[Workspace], Any]

# What is asked, and an answer that it can read.
ASKED: dict[str, tuple[Ask, Any]] = {
    "events": (lambda ws: ws.events(), ["a", "b"]),
    "properties": (lambda ws: ws.properties("a"), {"p": {"count": 4}, "q": {}}),
    "property_values": (lambda ws: ws.property_values("p"), ["a", "b"]),
    "top_events": (
        lambda ws: ws.top_events(),
        {"events": [{"event": "a", "amount": 4, "percent_change": 0.5}], "type": "general"},
    ),
    "funnels": (lambda ws: ws.funnels(), [{"funnel_id": 4, "name": "a"}]),
    "cohorts": (
        lambda ws: ws.cohorts(),
        [{"id": 4, "name": "a", "description": "b", "count": 4, "is_visible": 1, "created": "c"}],
    ),
    "list_bookmarks": (
        lambda ws: ws.list_bookmarks(),
        {
            "status": "ok",
            "results": [{"id": 4, "name": "a", "type": "flows", "project_id": 4, "creator_id": 4, "description": "x"}],
            "pagination": {"next_cursor": None},
        },
    ),
    "lexicon_schemas": (
        lambda ws: ws.lexicon_schemas(),
        {"status": "ok", "results": [{"entityType": "event", "name": "a", "schemaJson": SCHEMA}]},
    ),
    "lexicon_schema": (lambda ws: ws.lexicon_schema("event", "a"), {"status": "ok", "results": SCHEMA}),
    "segmentation": (lambda ws: ws.segmentation("a", on="p", **DAYS), SERIES),
    "event_counts": (lambda ws: ws.event_counts(["a"], **DAYS), SERIES),
    "property_counts": (lambda ws: ws.property_counts("a", "p", **DAYS), SERIES),
    "segmentation_numeric": (lambda ws: ws.segmentation_numeric("a", on="p", **DAYS), SERIES),
    "segmentation_sum": (
        lambda ws: ws.segmentation_sum("a", on="p", **DAYS),
        {"status": "ok", "computed_at": "x", "results": {"2025-03-01": 4.5}},
    ),
    "segmentation_average": (
        lambda ws: ws.segmentation_average("a", on="p", **DAYS),
        {"status": "ok", "results": {"2025-03-01": 4.5}},
    ),
    "funnel": (
        lambda ws: ws.funnel(4, **DAYS),
        {"meta": {"dates": ["2025-03-01"]}, "data": {"2025-03-01": {"steps": STEPS}, "2025-03-02": {"steps": STEPS}}},
    ),
    "segmented funnel": (
        lambda ws: ws.funnel(4, on="p", **DAYS),
        {"data": {"2025-03-01": {"$overall": STEPS, "a": STEPS}}},
    ),
    "retention": (
        lambda ws: ws.retention(born_event="a", return_event="b", **DAYS),
        {"2025-03-01": {"first": 4, "counts": [4, 1]}, "2025-03-02": {"$overall": {"first": 0, "counts": [0]}}},
    ),
    "frequency": (lambda ws: ws.frequency(**DAYS), {"data": {"2025-03-01": [4, 1], "2025-03-02": [4]}}),
    "activity_feed": (
        lambda ws: ws.activity_feed(["u"]),
        {"status": "ok", "results": {"events": [{"event": "a", "properties": {"time": 4, "$distinct_id": 4}}]}},
    ),
    "query_saved_report": (
        lambda ws: ws.query_saved_report(4),
        {
            "computed_at": "x",
            "date_range": {"from_date": "x", "to_date": "y"},
            "headers": ["$event"],
            "series": {"a": {"$overall": {"2025-03-01": 4}, "b": {"2025-03-01": 4}}},
        },
    ),
    "query_flows": (
        lambda ws: ws.query_flows(4),
        {"computed_at": "x", "steps": [{"a": 1}], "breakdowns": [{}], "overallConversionRate": 0.5, "metadata": {}},
    ),
    "jql": (lambda ws: ws.jql("s"), [{"key": ["a"], "value": [4]}, {"key": ["b", 4], "value": [4, 5]}]),
    "property_distribution": (
        lambda ws: ws.property_distribution("a", "p", **DAYS),
        [{"total": 4, "values": [{"value": '"x"', "count": 4}, {"value": "[4]", "count": 4}]}],
    ),
    "numeric_summary": (
        lambda ws: ws.numeric_summary("a", "p", percentiles=[50], **DAYS),
        [[{"count": 4, "sum": 4, "avg": 4, "stddev": 4}, 4, 4, [{"percentile": 50, "value": 4}]]],
    ),
    "daily_counts": (lambda ws: ws.daily_counts(**DAYS), [{"key": ["2025-03-01", "a"], "value": 4}]),
    "engagement_distribution": (
        lambda ws: ws.engagement_distribution(**DAYS),
        [{"key": [2], "value": 4}, {"key": [None], "value": 4}],
    ),
    "property_coverage": (
        lambda ws: ws.property_coverage("a", ["p"], **DAYS),
        [{"total": 4, "defined": [4]}],
    ),
}


def holds(found: Any) -> None:
    """It is JSON, and where it is a table its rows have all its columns."""
    for result in found if isinstance(found, list) else [found]:
        plain = result.to_dict() if isinstance(result, Result) else result
        json.dumps(plain, allow_nan=False)
        if isinstance(result, FramedResult):
            rows = [] if is_no_table(result) else result.to_table_dict()
            assert all(len(row) == len(rows[0]) for row in rows)


def is_no_table(result: Result) -> bool:
    """A script's groups of which some have a list as value and others have not."""
    groups = [row["value"] for row in getattr(result, "raw", ()) if isinstance(row, dict) and "value" in row]
    return len({isinstance(value, list) for value in groups}) == 2
