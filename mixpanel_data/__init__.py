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
    from mixpanel_data.api_client import MixpanelAPIClient
    from mixpanel_data.credentials import Credentials
    from mixpanel_data.errors import (
        AccountNotFoundError,
        APIError,
        AuthenticationError,
        ConfigError,
        DatabaseLockedError,
        DatabaseNotFoundError,
        DateRangeTooLargeError,
        IncompleteExportError,
        InvalidArgumentError,
        MixpanelDataError,
        QueryError,
        RateLimitError,
        ServerError,
        StorageError,
        TableExistsError,
        TableNotFoundError,
    )
    from mixpanel_data.fetch import FetchResult
    from mixpanel_data.live import EventCountsResult, SegmentationResult
    from mixpanel_data.local.query import SQLResult
    from mixpanel_data.local.schema import TableInfo
    from mixpanel_data.workspace import Workspace, WorkspaceInfo

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "AccountNotFoundError",
    "AuthenticationError",
    "ConfigError",
    "Credentials",
    "DatabaseLockedError",
    "DatabaseNotFoundError",
    "DateRangeTooLargeError",
    "EventCountsResult",
    "FetchResult",
    "IncompleteExportError",
    "InvalidArgumentError",
    "MixpanelAPIClient",
    "MixpanelDataError",
    "QueryError",
    "RateLimitError",
    "SQLResult",
    "SegmentationResult",
    "ServerError",
    "StorageError",
    "TableExistsError",
    "TableInfo",
    "TableNotFoundError",
    "Workspace",
    "WorkspaceInfo",
    "__version__",
]

_HOMES = {
    "Credentials": "credentials",
    "EventCountsResult": "live",
    "FetchResult": "fetch",
    "MixpanelAPIClient": "api_client",
    "SQLResult": "local.query",
    "SegmentationResult": "live",
    "TableInfo": "local.schema",
    "Workspace": "workspace",
    "WorkspaceInfo": "workspace",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "errors")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
