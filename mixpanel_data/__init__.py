"""Mixpanel in, Python values and DuckDB tables out.

    from mixpanel_data import Workspace

    with Workspace() as workspace:
        workspace.fetch_events(from_date="2025-06-01", to_date="2025-06-30")
        print(workspace.sql("select event_name, count(*) from events group by all"))

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixpanel_data.activity import ActivityFeedResult, UserEvent
    from mixpanel_data.api_client import MixpanelAPIClient
    from mixpanel_data.choices import (
        BookmarkType,
        CountType,
        EntityType,
        HourDayUnit,
        SavedReportType,
        TableType,
        TimeUnit,
    )
    from mixpanel_data.credentials import Credentials
    from mixpanel_data.discovery import SavedCohort, TopEvent
    from mixpanel_data.errors import (
        AccountExistsError,
        AccountNotFoundError,
        APIError,
        AuthenticationError,
        ConfigError,
        DatabaseLockedError,
        DatabaseNotFoundError,
        DateRangeTooLargeError,
        EventNotFoundError,
        IncompleteExportError,
        InvalidArgumentError,
        JQLSyntaxError,
        MixpanelDataError,
        QueryError,
        RateLimitError,
        ServerError,
        StorageError,
        TableExistsError,
        TableNotFoundError,
    )
    from mixpanel_data.expressions import normalize_on_expression
    from mixpanel_data.fetch import FetchResult
    from mixpanel_data.frequency import FrequencyResult
    from mixpanel_data.funnels import FunnelInfo, FunnelResult, FunnelStep
    from mixpanel_data.jql import JQLResult
    from mixpanel_data.lexicon import LexiconDefinition, LexiconMetadata, LexiconProperty, LexiconSchema
    from mixpanel_data.live import EventCountsResult, PropertyCountsResult, SegmentationResult
    from mixpanel_data.local.columns import ColumnStatsResult
    from mixpanel_data.local.engine import StorageEngine, TableMetadata
    from mixpanel_data.local.introspection import (
        ColumnInfo,
        ColumnSummary,
        EventBreakdownResult,
        EventStats,
        SummaryResult,
        TableSchema,
    )
    from mixpanel_data.local.query import SQLResult
    from mixpanel_data.local.schema import TableInfo
    from mixpanel_data.numeric import NumericAverageResult, NumericBucketResult, NumericSumResult
    from mixpanel_data.parallel import BatchProgress, BatchResult, FetchProgress, ParallelFetchResult, RateLimiter
    from mixpanel_data.pieces import split_date_range
    from mixpanel_data.profile_fetch import ParallelProfileResult, ProfileProgress
    from mixpanel_data.profiles import ProfilePageResult, transform_profile
    from mixpanel_data.reports import BookmarkInfo, FlowsResult, SavedReportResult
    from mixpanel_data.retention import CohortInfo, RetentionResult
    from mixpanel_data.scripted import (
        DailyCount,
        DailyCountsResult,
        EngagementBucket,
        EngagementDistributionResult,
        NumericPropertySummaryResult,
        PropertyCoverage,
        PropertyCoverageResult,
        PropertyDistributionResult,
        PropertyValueCount,
    )
    from mixpanel_data.stream import transform_event
    from mixpanel_data.workspace import Workspace, WorkspaceInfo

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "AccountExistsError",
    "AccountNotFoundError",
    "ActivityFeedResult",
    "AuthenticationError",
    "BatchProgress",
    "BatchResult",
    "BookmarkInfo",
    "BookmarkType",
    "CohortInfo",
    "ColumnInfo",
    "ColumnStatsResult",
    "ColumnSummary",
    "ConfigError",
    "CountType",
    "Credentials",
    "DailyCount",
    "DailyCountsResult",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DateRangeTooLargeError",
    "EngagementBucket",
    "EngagementDistributionResult",
    "EntityType",
    "EventBreakdownResult",
    "EventCountsResult",
    "EventNotFoundError",
    "EventStats",
    "FetchProgress",
    "FetchResult",
    "FlowsResult",
    "FrequencyResult",
    "FunnelInfo",
    "FunnelResult",
    "FunnelStep",
    "HourDayUnit",
    "IncompleteExportError",
    "InvalidArgumentError",
    "JQLResult",
    "JQLSyntaxError",
    "LexiconDefinition",
    "LexiconMetadata",
    "LexiconProperty",
    "LexiconSchema",
    "MixpanelAPIClient",
    "MixpanelDataError",
    "NumericAverageResult",
    "NumericBucketResult",
    "NumericPropertySummaryResult",
    "NumericSumResult",
    "ParallelFetchResult",
    "ParallelProfileResult",
    "ProfilePageResult",
    "ProfileProgress",
    "PropertyCountsResult",
    "PropertyCoverage",
    "PropertyCoverageResult",
    "PropertyDistributionResult",
    "PropertyValueCount",
    "QueryError",
    "RateLimitError",
    "RateLimiter",
    "RetentionResult",
    "SQLResult",
    "SavedCohort",
    "SavedReportResult",
    "SavedReportType",
    "SegmentationResult",
    "ServerError",
    "StorageEngine",
    "StorageError",
    "SummaryResult",
    "TableExistsError",
    "TableInfo",
    "TableMetadata",
    "TableNotFoundError",
    "TableSchema",
    "TableType",
    "TimeUnit",
    "TopEvent",
    "UserEvent",
    "Workspace",
    "WorkspaceInfo",
    "__version__",
    "normalize_on_expression",
    "split_date_range",
    "transform_event",
    "transform_profile",
]

_HOMES = {
    "ActivityFeedResult": "activity",
    "BatchProgress": "parallel",
    "BatchResult": "parallel",
    "BookmarkInfo": "reports",
    "BookmarkType": "choices",
    "CohortInfo": "retention",
    "ColumnInfo": "local.introspection",
    "ColumnStatsResult": "local.columns",
    "ColumnSummary": "local.introspection",
    "CountType": "choices",
    "Credentials": "credentials",
    "DailyCount": "scripted",
    "DailyCountsResult": "scripted",
    "EngagementBucket": "scripted",
    "EngagementDistributionResult": "scripted",
    "EntityType": "choices",
    "EventBreakdownResult": "local.introspection",
    "EventCountsResult": "live",
    "EventStats": "local.introspection",
    "FetchProgress": "parallel",
    "FetchResult": "fetch",
    "FlowsResult": "reports",
    "FrequencyResult": "frequency",
    "FunnelInfo": "funnels",
    "FunnelResult": "funnels",
    "FunnelStep": "funnels",
    "HourDayUnit": "choices",
    "JQLResult": "jql",
    "LexiconDefinition": "lexicon",
    "LexiconMetadata": "lexicon",
    "LexiconProperty": "lexicon",
    "LexiconSchema": "lexicon",
    "MixpanelAPIClient": "api_client",
    "NumericAverageResult": "numeric",
    "NumericBucketResult": "numeric",
    "NumericPropertySummaryResult": "scripted",
    "NumericSumResult": "numeric",
    "ParallelFetchResult": "parallel",
    "ParallelProfileResult": "profile_fetch",
    "ProfilePageResult": "profiles",
    "ProfileProgress": "profile_fetch",
    "PropertyCountsResult": "live",
    "PropertyCoverage": "scripted",
    "PropertyCoverageResult": "scripted",
    "PropertyDistributionResult": "scripted",
    "PropertyValueCount": "scripted",
    "RateLimiter": "parallel",
    "RetentionResult": "retention",
    "SQLResult": "local.query",
    "SavedCohort": "discovery",
    "SavedReportResult": "reports",
    "SavedReportType": "choices",
    "SegmentationResult": "live",
    "StorageEngine": "local.engine",
    "SummaryResult": "local.introspection",
    "TableInfo": "local.schema",
    "TableMetadata": "local.engine",
    "TableSchema": "local.introspection",
    "TableType": "choices",
    "TimeUnit": "choices",
    "TopEvent": "discovery",
    "UserEvent": "activity",
    "Workspace": "workspace",
    "WorkspaceInfo": "workspace",
    "normalize_on_expression": "expressions",
    "split_date_range": "pieces",
    "transform_event": "stream",
    "transform_profile": "profiles",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "errors")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
