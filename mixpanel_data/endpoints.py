"""Every operation of Mixpanel's API that the library uses: one row each, and nothing about it elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Family = Literal["query", "export", "engage", "app"]
Rate = Literal["query", "jql", "export", "lexicon", "app"]

HOSTS: dict[Family, str] = {
    "query": "{prefix}mixpanel.com",
    "export": "data{suffix}.mixpanel.com",
    "engage": "{prefix}mixpanel.com",
    "app": "{prefix}mixpanel.com",
}
PREFIXES: dict[Family, str] = {
    "query": "/api/query",
    "export": "/api/2.0",
    "engage": "/api/2.0/engage",
    "app": "/api/app",
}
_PLACE = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation.

    family: which of Mixpanel's hosts serves it, and under which prefix (reference/mixpanel-api.md, section 1)
    path: behind the prefix; `{name}` stands for a path argument, percent-encoded when it is put in. `{project_id}`
        comes by itself, and then is not in the query string, where every other operation carries it
    parameters: every parameter that the library may send, project_id aside
    rate: which budget a call spends; a call of jql spends that of query too
    source: the section of the API reference that it rests on
    sends: where the parameters travel. Lists and objects are JSON text in all three: `query` and `form` hold nothing
        but text, and inside its `json` body /engage wants them so too (numbers and booleans stay what they are)
    of_project: whether it is about one project; else it carries no `project_id` at all
    """

    name: str
    method: Literal["GET", "POST"]
    family: Family
    path: str
    parameters: tuple[str, ...]
    rate: Rate
    source: str
    sends: Literal["query", "form", "json"] = "query"
    of_project: bool = True

    @property
    def path_arguments(self) -> tuple[str, ...]:
        """The names of what the path leaves open."""
        return tuple(_PLACE.findall(self.path))

    def url(self, region: str, base_url: str | None = None, path_arguments: Mapping[str, object] | None = None) -> str:
        """Where it is: at Mixpanel's host for the region, or under the base URL that stands in for all of them.

        Args:
            path_arguments: a value for each place of the path; None leaves the places open
        """
        path = self.path
        if path_arguments is not None:
            if set(path_arguments) != set(self.path_arguments):
                raise TypeError(f"{self.name} takes the path arguments {self.path_arguments}")
            path = _PLACE.sub(lambda place: quote(str(path_arguments[place[1]]), safe=""), path)
        if base_url is not None:
            return base_url.replace("{region}", region) + PREFIXES[self.family] + path
        elsewhere = region != "us"
        host = HOSTS[self.family].format(
            prefix=f"{region}." if elsewhere else "", suffix=f"-{region}" if elsewhere else ""
        )
        return f"https://{host}{PREFIXES[self.family]}{path}"


def rate_of(path: str) -> Rate:
    """Which budget a call of that path spends, for a call that has no row."""
    parts = path.rstrip("/").split("/")
    if "app" in parts:
        return "lexicon" if "schemas" in parts else "app"
    if parts[-1] == "export":
        return "export"
    if parts[-1] == "jql":
        return "jql"
    return "query" if {"query", "2.0"} & set(parts) else "app"


ENDPOINTS: dict[str, Endpoint] = {
    row.name: row
    for row in (
        Endpoint(
            name="event_names",
            method="GET",
            family="query",
            path="/events/names",
            parameters=("type", "limit", "from_date", "to_date"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.1",
        ),
        Endpoint(
            name="event_counts",
            method="GET",
            family="query",
            path="/events",
            parameters=("event", "type", "unit", "from_date", "to_date"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.5",
        ),
        Endpoint(
            name="segmentation",
            method="GET",
            family="query",
            path="/segmentation",
            parameters=("event", "from_date", "to_date", "on", "unit", "where"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.7",
        ),
        Endpoint(
            name="property_names",
            method="GET",
            family="query",
            path="/events/properties/top",
            parameters=("event", "limit"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.2",
        ),
        Endpoint(
            name="property_values",
            method="GET",
            family="query",
            path="/events/properties/values",
            parameters=("name", "event", "limit"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.3",
        ),
        Endpoint(
            name="top_events",
            method="GET",
            family="query",
            path="/events/top",
            parameters=("type", "limit"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.4",
        ),
        Endpoint(
            name="property_counts",
            method="GET",
            family="query",
            path="/events/properties",
            parameters=("event", "name", "values", "type", "unit", "from_date", "to_date", "limit"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.6",
        ),
        Endpoint(
            name="segmentation_numeric",
            method="GET",
            family="query",
            path="/segmentation/numeric",
            parameters=("event", "from_date", "to_date", "on", "unit", "where", "type"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.8",
        ),
        Endpoint(
            name="segmentation_sum",
            method="GET",
            family="query",
            path="/segmentation/sum",
            parameters=("event", "from_date", "to_date", "on", "unit", "where"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.9",
        ),
        Endpoint(
            name="segmentation_average",
            method="GET",
            family="query",
            path="/segmentation/average",
            parameters=("event", "from_date", "to_date", "on", "unit", "where"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.10",
        ),
        Endpoint(
            name="funnels",
            method="GET",
            family="query",
            path="/funnels/list",
            parameters=(),
            rate="query",
            source="reference/mixpanel-api.md, section 7.11",
        ),
        Endpoint(
            name="funnel",
            method="GET",
            family="query",
            path="/funnels",
            parameters=("funnel_id", "from_date", "to_date", "unit", "on"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.12",
        ),
        Endpoint(
            name="retention",
            method="GET",
            family="query",
            path="/retention",
            parameters=(
                "from_date",
                "to_date",
                "born_event",
                "event",
                "born_where",
                "where",
                "interval",
                "interval_count",
                "unit",
            ),
            rate="query",
            source="reference/mixpanel-api.md, section 7.13",
        ),
        Endpoint(
            name="frequency",
            method="GET",
            family="query",
            path="/retention/addiction",
            parameters=("from_date", "to_date", "unit", "addiction_unit", "event", "where"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.14",
        ),
        Endpoint(
            name="activity_feed",
            method="GET",
            family="query",
            path="/stream/query",
            parameters=("distinct_ids", "from_date", "to_date"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.15",
        ),
        Endpoint(
            name="profiles",
            method="POST",
            family="engage",
            path="",
            parameters=(
                "page",
                "session_id",
                "where",
                "distinct_id",
                "distinct_ids",
                "filter_by_cohort",
                "include_all_users",
                "output_properties",
                "data_group_id",
                "behaviors",
                "as_of_timestamp",
            ),
            rate="query",
            source="reference/mixpanel-api.md, section 7.16",
            sends="json",
        ),
        Endpoint(
            name="cohorts",
            method="POST",
            family="query",
            path="/cohorts/list",
            parameters=(),
            rate="query",
            source="reference/mixpanel-api.md, section 7.19",
            sends="form",
        ),
        Endpoint(
            name="saved_report",
            method="GET",
            family="query",
            path="/insights",
            parameters=("bookmark_id",),
            rate="query",
            source="reference/mixpanel-api.md, section 7.20",
        ),
        Endpoint(
            name="saved_flow",
            method="GET",
            family="query",
            path="/arb_funnels",
            parameters=("bookmark_id", "query_type"),
            rate="query",
            source="reference/mixpanel-api.md, section 7.21",
        ),
        Endpoint(
            name="jql",
            method="POST",
            family="query",
            path="/jql",
            parameters=("script", "params"),
            rate="jql",
            source="reference/mixpanel-api.md, section 10.2",
            sends="form",
        ),
        Endpoint(
            name="account",
            method="GET",
            family="app",
            path="/me",
            parameters=(),
            rate="app",
            source="reference/mixpanel-api.md, section 9.1",
            of_project=False,
        ),
        Endpoint(
            name="bookmarks",
            method="GET",
            family="app",
            path="/projects/{project_id}/bookmarks",
            parameters=("v", "type", "cursor"),
            rate="app",
            source="reference/mixpanel-api.md, section 9.3",
        ),
        Endpoint(
            name="lexicon_schemas",
            method="GET",
            family="app",
            path="/projects/{project_id}/schemas",
            parameters=(),
            rate="lexicon",
            source="reference/mixpanel-api.md, section 9.4",
        ),
        Endpoint(
            name="lexicon_schemas_of_kind",
            method="GET",
            family="app",
            path="/projects/{project_id}/schemas/{entity_type}",
            parameters=("entity_name",),
            rate="lexicon",
            source="reference/mixpanel-api.md, section 9.4",
        ),
        Endpoint(
            name="export",
            method="GET",
            family="export",
            path="/export",
            parameters=("from_date", "to_date", "event", "where", "limit", "time_in_ms"),
            rate="export",
            source="reference/mixpanel-api.md, section 8",
        ),
    )
}
