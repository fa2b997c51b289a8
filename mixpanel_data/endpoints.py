"""Every operation of Mixpanel's API that the library uses: one row each, and nothing about it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["query", "export", "app"]

HOSTS: dict[Family, str] = {
    "query": "{prefix}mixpanel.com",
    "export": "data{suffix}.mixpanel.com",
    "app": "{prefix}mixpanel.com",
}
PREFIXES: dict[Family, str] = {"query": "/api/query", "export": "/api/2.0", "app": "/api/app"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation.

    family: which of Mixpanel's hosts serves it, and under which prefix (reference/mixpanel-api.md, section 1)
    parameters: every parameter that the library may send; project_id comes by itself
    rate: which budget a call spends
    source: the section of the API reference that it rests on
    """

    name: str
    method: Literal["GET", "POST"]
    family: Family
    path: str
    parameters: tuple[str, ...]
    rate: Literal["query", "export", "app"]
    source: str

    def url(self, region: str, base_url: str | None = None) -> str:
        """Where it is: at Mixpanel's host for the region, or under the base URL that stands in for all of them."""
        if base_url is not None:
            return base_url.replace("{region}", region) + PREFIXES[self.family] + self.path
        elsewhere = region != "us"
        host = HOSTS[self.family].format(
            prefix=f"{region}." if elsewhere else "", suffix=f"-{region}" if elsewhere else ""
        )
        return f"https://{host}{PREFIXES[self.family]}{self.path}"


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
