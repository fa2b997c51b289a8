"""Reports that somebody saved in Mixpanel: which there are, and what they say now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, choices
from mixpanel_data.answers import Answer
from mixpanel_data.choices import SavedReportType
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.results import FramedResult, Result, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_data.api_client import MixpanelAPIClient

LAYOUT_OF_LISTS = 2
_OPTIONAL = ("workspace_id", "dashboard_id", "description", "creator_id", "creator_name")


@dataclass(frozen=True)
class BookmarkInfo(Result):
    """A saved report; `query_saved_report` and `query_flows` take its id.

    type: insights, funnels, retention, flows or launch-analysis
    created, modified: ISO 8601, as Mixpanel writes them
    the others: None where the report has none
    """

    id: int
    name: str
    type: str
    project_id: int
    created: str
    modified: str
    workspace_id: int | None = None
    dashboard_id: int | None = None
    description: str | None = None
    creator_id: int | None = None
    creator_name: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields, JSON-ready; of the optional ones those that are set."""
        return {name: value for name, value in super().to_dict().items() if name not in _OPTIONAL or value is not None}


@dataclass(frozen=True)
class SavedReportResult(FramedResult):
    """What a saved report of insights, of retention or of a funnel says now.

    computed_at, from_date, to_date: ISO 8601, as Mixpanel writes them, from_date and to_date with the project's
        offset; empty where the answer does not have them
    headers: a name for each level of the series
    series: as Mixpanel answers it: of insights {metric: {bucket: count}}, or broken down {metric: {segment: …}}, with
        a `$overall` at each level; of the others as section 7.20 describes
    report_type: insights, retention or funnel
    """

    bookmark_id: int
    computed_at: str
    from_date: str
    to_date: str
    headers: list[str]
    series: dict[str, Any]
    report_type: SavedReportType

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        if self.report_type != "insights":
            return ["series"], [(self.series,)]
        return ["date", "event", "count"], [
            cell for metric, inner in self.series.items() for cell in _cells(metric, inner)
        ]


@dataclass(frozen=True)
class FlowsResult(FramedResult):
    """What a saved flow says now; Mixpanel documents neither its steps nor its breakdowns.

    computed_at: ISO 8601, empty where the answer does not have it
    overall_conversion_rate: 0 to 1
    """

    bookmark_id: int
    computed_at: str
    steps: list[dict[str, Any]]
    breakdowns: list[dict[str, Any]]
    overall_conversion_rate: float
    metadata: dict[str, Any]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return table_of(self.steps)


def bookmarks(client: MixpanelAPIClient, bookmark_type: str | None = None) -> list[BookmarkInfo]:
    """Source: reference/mixpanel-api.md, sections 9 and 9.3"""
    if bookmark_type is not None:
        arguments.one_of("bookmark_type", bookmark_type, choices.BOOKMARK_TYPES)
    asked: dict[str, Any] = {"v": LAYOUT_OF_LISTS, "type": bookmark_type}
    found: list[BookmarkInfo] = []
    cursors: set[str] = set()
    while True:
        answer = Answer("bookmarks", client.call(ENDPOINTS["bookmarks"], asked))
        rows = answer.at("results")
        if rows.has("results"):
            rows = rows.at("results")
        found += [_bookmark(row, client.project_id) for row in rows.elements()]
        paging = answer.at("pagination")
        cursor = paging.at("next_cursor").text("") if paging.is_there else ""
        # A cursor that comes again would lead round in a circle.
        if not cursor or cursor in cursors:
            return found
        cursors.add(cursor)
        asked = {**asked, "cursor": cursor}


def saved_report(client: MixpanelAPIClient, bookmark_id: int) -> SavedReportResult:
    """Source: reference/mixpanel-api.md, section 7.20"""
    arguments.whole("bookmark_id", bookmark_id, 0)
    answer = Answer("insights", client.call(ENDPOINTS["saved_report"], {"bookmark_id": bookmark_id}))
    # Some reports are answered by an empty object.
    headers = answer.at("headers").texts() if answer.at("headers").is_there else []
    dates = answer.at("date_range")
    told = dates.is_there
    series = answer.at("series")
    return SavedReportResult(
        bookmark_id=bookmark_id,
        computed_at=answer.at("computed_at").text(""),
        from_date=dates.at("from_date").text("") if told else "",
        to_date=dates.at("to_date").text("") if told else "",
        headers=headers,
        series=series.free_object() if series.is_there else {},
        report_type=_kind(headers),
    )


def flows(client: MixpanelAPIClient, bookmark_id: int) -> FlowsResult:
    """Source: reference/mixpanel-api.md, section 7.21"""
    arguments.whole("bookmark_id", bookmark_id, 0)
    answer = Answer(
        "arb_funnels",
        client.call(ENDPOINTS["saved_flow"], {"bookmark_id": bookmark_id, "query_type": "flows_sankey"}),
    )
    metadata = answer.at("metadata")
    rate = answer.at("overallConversionRate")
    return FlowsResult(
        bookmark_id=bookmark_id,
        computed_at=answer.at("computed_at").text(""),
        steps=answer.at("steps").free_objects(),
        breakdowns=answer.at("breakdowns").free_objects() if answer.at("breakdowns").is_there else [],
        overall_conversion_rate=float(rate.number()) if rate.is_there else 0.0,
        metadata=metadata.free_object() if metadata.is_there else {},
    )


def _bookmark(row: Answer, project_id: str) -> BookmarkInfo:
    def number(key: str) -> int | None:
        return row.at(key).whole() if row.at(key).is_there else None

    return BookmarkInfo(
        id=row.at("id").whole(),
        name=row.at("name").text(""),
        type=row.at("type").text(),
        project_id=row.at("project_id").whole(int(project_id)),
        created=row.at("created").text(""),
        modified=row.at("modified").text(""),
        workspace_id=number("workspace_id"),
        dashboard_id=number("dashboard_id"),
        description=row.at("description").text("") or None,
        creator_id=number("creator_id"),
        creator_name=row.at("creator_name").text("") or None,
    )


def _kind(headers: list[str]) -> SavedReportType:
    together = " ".join(headers)
    if "$retention" in together:
        return "retention"
    return "funnel" if "$funnel" in together else "insights"


def _cells(event: str, inner: Any) -> Iterator[tuple[str | None, str, Any]]:
    """(bucket, metric, count); the segments of a breakdown are named behind the metric."""
    if not isinstance(inner, dict):
        yield None, event, inner
        return
    for key, value in inner.items():
        if isinstance(value, dict):
            yield from _cells(f"{event} / {key}", value)
        else:
            yield key, event, value
