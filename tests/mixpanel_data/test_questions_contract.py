"""The questions of the public contract: names, parameters, defaults, and the keys of what they return."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_args

import pytest

import mixpanel_data
from mixpanel_data import Workspace, types

REQUIRED = inspect.Parameter.empty
DAYS = {"from_date": REQUIRED, "to_date": REQUIRED}

# Positional parameters, then those by keyword only.
METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "events": ({}, {}),
    "properties": ({"event": REQUIRED}, {}),
    "property_values": ({"property_name": REQUIRED}, {"event": None, "limit": 100}),
    "funnels": ({}, {}),
    "cohorts": ({}, {}),
    "list_bookmarks": ({"bookmark_type": None}, {}),
    "top_events": ({}, {"type": "general", "limit": None}),
    "lexicon_schemas": ({}, {"entity_type": None}),
    "lexicon_schema": ({"entity_type": REQUIRED, "name": REQUIRED}, {}),
    "clear_discovery_cache": ({}, {}),
    "segmentation": ({"event": REQUIRED}, {**DAYS, "on": None, "unit": "day", "where": None}),
    "funnel": ({"funnel_id": REQUIRED}, {**DAYS, "unit": None, "on": None}),
    "retention": (
        {},
        {
            "born_event": REQUIRED, "return_event": REQUIRED, **DAYS, "born_where": None, "return_where": None,
            "interval": 1, "interval_count": 10, "unit": "day",
        },
    ),
    "jql": ({"script": REQUIRED, "params": None}, {}),
    "event_counts": ({"events": REQUIRED}, {**DAYS, "type": "general", "unit": "day"}),
    "property_counts": (
        {"event": REQUIRED, "property_name": REQUIRED},
        {**DAYS, "type": "general", "unit": "day", "values": None, "limit": None},
    ),
    "activity_feed": ({"distinct_ids": REQUIRED}, {"from_date": None, "to_date": None}),
    "query_saved_report": ({"bookmark_id": REQUIRED}, {}),
    "query_flows": ({"bookmark_id": REQUIRED}, {}),
    "frequency": ({}, {**DAYS, "unit": "day", "addiction_unit": "hour", "event": None, "where": None}),
    "segmentation_numeric": (
        {"event": REQUIRED},
        {**DAYS, "on": REQUIRED, "unit": "day", "where": None, "type": "general"},
    ),
    "segmentation_sum": ({"event": REQUIRED}, {**DAYS, "on": REQUIRED, "unit": "day", "where": None}),
    "segmentation_average": ({"event": REQUIRED}, {**DAYS, "on": REQUIRED, "unit": "day", "where": None}),
    "property_distribution": ({"event": REQUIRED, "property": REQUIRED}, {**DAYS, "limit": 20}),
    "numeric_summary": ({"event": REQUIRED, "property": REQUIRED}, {**DAYS, "percentiles": None}),
    "daily_counts": ({}, {**DAYS, "events": None}),
    "engagement_distribution": ({}, {**DAYS, "events": None, "buckets": None}),
    "property_coverage": ({"event": REQUIRED, "properties": REQUIRED}, DAYS),
}  # fmt: skip

FIELDS = {
    "SegmentationResult": "event from_date to_date unit segment_property total series",
    "FunnelStep": "event count conversion_rate",
    "FunnelResult": "funnel_id funnel_name from_date to_date conversion_rate steps segments",
    "CohortInfo": "date size retention",
    "RetentionResult": "born_event return_event from_date to_date unit cohorts",
    "JQLResult": "raw",
    "EventCountsResult": "events from_date to_date unit type series",
    "PropertyCountsResult": "event property_name from_date to_date unit type series",
    "UserEvent": "event time properties",
    "ActivityFeedResult": "distinct_ids from_date to_date events",
    "SavedReportResult": "bookmark_id computed_at from_date to_date headers series report_type",
    "FlowsResult": "bookmark_id computed_at steps breakdowns overall_conversion_rate metadata",
    "FrequencyResult": "event from_date to_date unit addiction_unit data",
    "NumericBucketResult": "event from_date to_date property_expr unit series",
    "NumericSumResult": "event from_date to_date property_expr unit results computed_at",
    "NumericAverageResult": "event from_date to_date property_expr unit results",
    "FunnelInfo": "funnel_id name",
    "SavedCohort": "id name count description created is_visible",
    "BookmarkInfo": (
        "id name type project_id created modified workspace_id dashboard_id description creator_id creator_name"
    ),
    "TopEvent": "event count percent_change",
    "LexiconSchema": "entity_type name schema_json",
    "LexiconDefinition": "properties description metadata",
    "LexiconProperty": "type description metadata",
    "LexiconMetadata": "source display_name tags hidden dropped contacts team_contacts",
    "PropertyDistributionResult": "event property_name from_date to_date total_count values",
    "PropertyValueCount": "value count percentage",
    "NumericPropertySummaryResult": ("event property_name from_date to_date count min max sum avg stddev percentiles"),
    "DailyCountsResult": "from_date to_date events counts",
    "DailyCount": "date event count",
    "EngagementDistributionResult": "from_date to_date events total_users buckets",
    "EngagementBucket": "bucket_min bucket_label user_count percentage",
    "PropertyCoverageResult": "event from_date to_date total_events coverage",
    "PropertyCoverage": "property defined_count null_count coverage_percentage",
}

ALIASES = {
    "CountType": ("general", "unique", "average"),
    "HourDayUnit": ("hour", "day"),
    "TableType": ("events", "profiles"),
    "TimeUnit": ("day", "week", "month"),
    "EntityType": ("event", "profile"),
    "BookmarkType": ("insights", "funnels", "retention", "flows", "launch-analysis"),
    "SavedReportType": ("insights", "retention", "funnel"),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_what_the_contract_says_and_explains_it(name: str) -> None:
    method = getattr(Workspace, name)
    positional, by_keyword = METHODS[name]
    taken = list(inspect.signature(method).parameters.values())[1:]
    assert [(one.name, one.default, one.kind) for one in taken] == [
        *((key, default, inspect.Parameter.POSITIONAL_OR_KEYWORD) for key, default in positional.items()),
        *((key, default, inspect.Parameter.KEYWORD_ONLY) for key, default in by_keyword.items()),
    ]
    explained = inspect.getdoc(method) or ""
    assert [key for key in (*positional, *by_keyword) if key not in explained.partition("Raises:")[0]] == []
    if name != "clear_discovery_cache":
        assert "Raises:" in explained
        assert "Source: reference/mixpanel-api.md, section" in explained


@pytest.mark.parametrize("name", FIELDS)
def test_a_result_has_the_contracts_fields_and_stays_as_it_is(name: str) -> None:
    result = getattr(mixpanel_data, name)
    assert [field.name for field in fields(result)] == FIELDS[name].split()
    assert result.__dataclass_params__.frozen
    assert inspect.getdoc(result)
    assert getattr(types, name) is result


@pytest.mark.parametrize("name", ALIASES)
def test_an_alias_names_the_contracts_words(name: str) -> None:
    assert get_args(getattr(mixpanel_data, name)) == ALIASES[name]


def test_the_module_of_types_has_the_results_and_nothing_that_works_or_fails() -> None:
    assert set(FIELDS) | set(ALIASES) <= set(types.__all__)
    assert not {"Workspace", "APIError", "MixpanelAPIClient", "Credentials"} & set(types.__all__)
    with pytest.raises(AttributeError, match="Workspace"):
        _ = types.Workspace
