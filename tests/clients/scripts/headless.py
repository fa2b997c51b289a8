"""mixpanel-headless: what its Workspace asks of the Query API, the export and the app API."""

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

# In an environment of its own, which the type checker does not look into.
from mixpanel_headless import (  # type: ignore[import-not-found]
    CreateAnnotationParams,
    CreateAnnotationTagParams,
    Filter,
    Metric,
    UpdateAnnotationParams,
    Workspace,
)

DAYS = {"from_date": "2025-06-10", "to_date": "2025-06-29"}
IOS = 'properties["$os"] == "iOS"'


def shown(values: Iterable[Any]) -> list[Any]:
    return [value.to_dict() if hasattr(value, "to_dict") else value.model_dump(mode="json") for value in values]


def discovery(asked: Any) -> Any:
    return {
        "workspaces": [workspace.id for workspace in asked.workspaces()],
        "projects": [project.model_dump() for project in asked.projects()],
        "events": asked.events(),
        "properties": asked.properties("Purchase"),
        "values": asked.property_values("$browser", event="Purchase"),
        "subproperties": [sub.to_dict() for sub in asked.subproperties("shipping", event="Purchase")],
        "top": shown(asked.top_events(limit=5)),
        "funnels": shown(asked.funnels()),
        "cohorts": shown(asked.cohorts()),
        "bookmarks": shown(asked.list_bookmarks()),
        "bookmarks_v2": shown(asked.list_bookmarks_v2()),
        "bookmark": asked.get_bookmark(asked.list_bookmarks()[0].id).model_dump(mode="json"),
        "lexicon": shown(asked.lexicon_schemas()),
        "of_events": shown(asked.lexicon_schemas(entity_type="event")),
        "one": asked.lexicon_schema("event", "Purchase").to_dict(),
    }


def live(asked: Any) -> Any:
    funnels = {}
    for funnel in asked.funnels():
        funnels[funnel.funnel_id] = asked.funnel(funnel.funnel_id, **DAYS).to_dict()
    amount = {"event": "Purchase", "on": 'properties["amount"]', **DAYS}
    return {
        "segmentation": asked.segmentation("App Open", on="$browser", where=IOS, unit="week", **DAYS).to_dict(),
        "event_counts": asked.event_counts(["App Open", "Search"], type="unique", **DAYS).to_dict(),
        "property_counts": asked.property_counts("Search", "$os", values=["iOS", "Windows"], **DAYS).to_dict(),
        "sum": asked.segmentation_sum(**amount).to_dict(),
        "average": asked.segmentation_average(where=IOS, **amount).to_dict(),
        "numeric": asked.segmentation_numeric(**amount).to_dict(),
        "funnels": funnels,
        "retention": asked.retention(born_event="Sign Up", return_event="App Open", interval_count=5, **DAYS).to_dict(),
        "frequency": asked.frequency(event="App Open", **DAYS).to_dict(),
    }


def saved(asked: Any) -> Any:
    found = {}
    for report in asked.list_bookmarks():
        if report.type == "flows":
            found[report.name] = asked.query_saved_flows(report.id).to_dict()
        else:
            found[report.name] = asked.query_saved_report(report.id).to_dict()
    return found


def of_kinds(asked: Any) -> Any:
    """Saved reports, each asked for by its kind."""
    reports = {report.type: report.id for report in asked.list_bookmarks()}
    return {
        "insights": asked.query_saved_report(reports["insights"], bookmark_type="insights").to_dict(),
        "funnels": asked.query_saved_report(reports["funnels"], bookmark_type="funnels", **DAYS).to_dict(),
        "retention": asked.query_saved_report(reports["retention"], bookmark_type="retention").to_dict(),
        "flows": asked.query_saved_report(reports["flows"], bookmark_type="flows").to_dict(),
    }


def unsaved(asked: Any) -> Any:
    """Reports that are not saved; of some the tables that the client makes of them."""
    few = Filter.equals("$browser", ["Chrome", "Safari"])
    return {
        "counts": asked.query(["Purchase", "Search"], math="unique", unit="week", **DAYS).df.to_dict("records"),
        "sum": asked.query(
            Metric("Purchase", math="total", property="amount", filters=[Filter.greater_than("amount", 50)]),
            where=few,
            mode="total",
            **DAYS,
        ).series,
        "two_levels": asked.query("Search", group_by=["$os", "$browser"], mode="total", **DAYS).df.to_dict("records"),
        "formula": asked.query(
            [Metric("Purchase", math="unique"), Metric("App Open", math="unique")],
            formula="(A / B) * 100",
            mode="total",
            **DAYS,
        ).series,
        "rolling": asked.query("Purchase", rolling=7, **DAYS).series,
        "cohort": asked.query("Search", where=Filter.in_cohort(3003, "Spenders"), mode="total", **DAYS).series,
        "funnel": asked.query_funnel(["App Open", "Search"], conversion_window=7, where=few, **DAYS).to_dict(),
        "retention": asked.query_retention(
            "Sign Up", "App Open", retention_unit="week", unit="week", group_by="$os", **DAYS
        ).to_dict(),
        "flow": asked.query_flow("Purchase", forward=1, reverse=1, cardinality=50, **DAYS).edges_df.to_dict("records"),
        "paths": asked.query_flow("Purchase", forward=1, mode="paths", cardinality=50, **DAYS).flows,
        "tree": [
            {child.event: child.total_count for child in tree.children}
            for tree in asked.query_flow("Purchase", forward=1, mode="tree", cardinality=50, **DAYS).trees
        ],
    }


def raw(asked: Any) -> Any:
    some = {"events": ["Purchase", "Search"], "where": IOS}
    return {
        "all": list(asked.stream_events(raw=True, **DAYS)),
        "some": [[event["event_name"], event["insert_id"]] for event in asked.stream_events(**some, **DAYS)],
        "limited": len(list(asked.stream_events(limit=17, **DAYS))),
    }


def feed(asked: Any) -> Any:
    """Page by page, from the newest event on, and once more without some events."""
    limit = 7
    users = sorted({each["distinct_id"] for each in asked.stream_events(events=["Purchase"], **DAYS)} - {""})[:5]
    pages = []
    page = asked.activity_feed(users, limit=limit, **DAYS)
    while True:
        pages.append([[each.event, each.properties["$insert_id"]] for each in page.events])
        if page.sentinel_event is None:
            break
        page = asked.activity_feed(users, limit=limit, sentinel_event=page.sentinel_event, **DAYS)
    return {
        "users": users,
        "limit": limit,
        "pages": pages,
        "without": [each.event for each in asked.activity_feed(users, exclude_events=["App Open"], **DAYS).events],
        "only": [each.event for each in asked.activity_feed(users, include_events=["Search"], **DAYS).events],
    }


def profiles(asked: Any) -> Any:
    return {
        "all": list(asked.stream_profiles(raw=True)),
        "cohort": [profile["distinct_id"] for profile in asked.stream_profiles(cohort_id="3003")],
        "pro": asked.query_user(where='properties["plan"] == "pro"', mode="aggregate").to_dict(),
        "oldest": asked.query_user(
            mode="profiles",
            where='properties["plan"] == "pro"',
            properties=["plan"],
            sort_by="$created",
            sort_order="ascending",
            limit=9,
        ).to_dict()["profiles"],
        "spent": asked.query_user(
            mode="aggregate", aggregate="numeric_summary", aggregate_property="lifetime_value"
        ).to_dict(),
    }


def written(asked: Any) -> Any:
    tag = asked.create_annotation_tag(CreateAnnotationTagParams(name="release"))
    made = asked.create_annotation(CreateAnnotationParams(date="2025-06-01 12:00:00", description="v2", tags=[tag.id]))
    asked.create_annotation(CreateAnnotationParams(date="2025-07-01 12:00:00", description="later"))
    changed = asked.update_annotation(made.id, UpdateAnnotationParams(description="v2.1"))
    listed = asked.list_annotations(from_date="2025-06-01", to_date="2025-06-30")
    got = asked.get_annotation(made.id)
    asked.delete_annotation(made.id)
    left = asked.list_annotations()
    schema = {"description": "first", "properties": {"a": {"type": "string"}}}
    asked.create_schema("event", "Brand New", schema)
    registered = asked.list_schema_registry(entity_type="event")
    deleted = asked.delete_schemas(entity_type="event", entity_name="Brand New")
    return {
        "changed": shown([changed, got]),
        "listed": shown(listed),
        "left": shown(left),
        "tags": shown(asked.list_annotation_tags()),
        "registered": [entry.schema_definition for entry in registered if entry.name == "Brand New"],
        "deleted": deleted.model_dump(),
    }


PARTS: dict[str, Callable[[Any], Any]] = {
    "discovery": discovery,
    "live": live,
    "saved": saved,
    "of_kinds": of_kinds,
    "unsaved": unsaved,
    "raw": raw,
    "feed": feed,
    "profiles": profiles,
    "written": written,
}
with Workspace() as workspace:
    # To import it takes seconds: as much as is wanted of it in one run.
    sys.stdout.write(json.dumps({part: PARTS[part](workspace) for part in sys.argv[1:]}, default=str))
