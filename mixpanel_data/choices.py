"""The words that arguments may take: for type checkers as aliases, for checks at run time as tuples."""

from __future__ import annotations

from typing import Literal, get_args

CountType = Literal["general", "unique", "average"]
"""general counts events, unique the users of each bucket, average is events per user."""

TimeUnit = Literal["day", "week", "month"]
HourDayUnit = Literal["hour", "day"]
BucketUnit = Literal["minute", "hour", "day", "week", "month"]
TableType = Literal["events", "profiles"]
EntityType = Literal["event", "profile"]

BookmarkType = Literal["insights", "funnels", "retention", "flows", "launch-analysis"]
"""The kinds of saved report, as lists of them say it."""

SavedReportType = Literal["insights", "retention", "funnel"]
"""The kinds of saved report that can be computed, as `SavedReportResult` says it."""

COUNT_TYPES: tuple[str, ...] = get_args(CountType)
TIME_UNITS: tuple[str, ...] = get_args(TimeUnit)
HOUR_DAY_UNITS: tuple[str, ...] = get_args(HourDayUnit)
BUCKET_UNITS: tuple[str, ...] = get_args(BucketUnit)
ENTITY_TYPES: tuple[str, ...] = get_args(EntityType)
BOOKMARK_TYPES: tuple[str, ...] = get_args(BookmarkType)
