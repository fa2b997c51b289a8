"""RESOURCES: what a client may read without calling a tool, one row each. All of it is JSON text.

Nothing here is kept: what is read is asked for anew, so that a local table shows as it is now.
"""

import inspect
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
from fastmcp import FastMCP
from fastmcp.exceptions import ResourceError
from fastmcp.resources import Resource, ResourceResult, ResourceTemplate
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ReadResourceRequestParams
from pydantic_core import to_json

from mixpanel_data import clock, interrupts
from mp_mcp_server import recipes
from mp_mcp_server.docstrings import take_apart
from mp_mcp_server.errors import Failure, explain
from mp_mcp_server.loopside import in_thread
from mp_mcp_server.names import check_events
from mp_mcp_server.results import PAGE_ROWS, Page, Results
from mp_mcp_server.tools import discovery, local
from mp_mcp_server.workspaces import Workspaces

if TYPE_CHECKING:  # a server that nobody has called loads none
    from mixpanel_data import Workspace

_MIME = "application/json"
_AT_ONCE = 6

_WEEKS = 12
_JOURNEY_DAYS = 90
_MOST_JOURNEY_EVENTS = 100
_MOST_DAYS, _DAYS_BELOW_ONE, _DAYS_UNREADABLE = 365, 7, 30


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """One resource, or one template of many.

    uri: with {names} in it, of a template
    read: takes a Workspace or the server's Results if its first parameter is called so, then the names; its docstring
        is what a client shows
    needs_credentials: whether it asks Mixpanel, and not the local store alone
    """

    uri: str
    read: Callable[..., Any]
    needs_credentials: bool = True

    @property
    def name(self) -> str:
        """The resource's name: that of its function."""
        return self.read.__name__

    @property
    def is_template(self) -> bool:
        """Whether it is many resources."""
        return "{" in self.uri

    @property
    def source(self) -> Literal["workspace", "results"] | None:
        """What it reads from, besides the clock."""
        first = next(iter(inspect.signature(self.read).parameters), None)
        return first if first in ("workspace", "results") else None  # type: ignore[return-value]  # one of both

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in the URI of a template."""
        return tuple(inspect.signature(self.read).parameters)[1:]


def workspace_details(workspace: "Workspace") -> dict[str, Any]:
    """The connected project and the local store: where it is, how large, which tables."""
    info = workspace.info()
    return {
        "project_id": info.project_id,
        "region": info.region,
        "account": info.account,
        "path": info.path,
        "size_mb": info.size_mb,
        "created_at": None if info.created_at is None else info.created_at.isoformat(),
        "tables": local.list_tables(workspace),
    }


def local_tables(workspace: "Workspace") -> list[Any]:
    """The tables of the local store, with their number of rows."""
    return list(local.list_tables(workspace))


def event_names(workspace: "Workspace") -> list[str]:
    """The project's event names, in alphabetical order."""
    return workspace.events()


def saved_funnels(workspace: "Workspace") -> list[Any]:
    """The project's saved funnels: id and name."""
    return [{"funnel_id": one.funnel_id, "name": one.name} for one in workspace.funnels()]


def saved_cohorts(workspace: "Workspace") -> list[Any]:
    """The project's saved cohorts, with their sizes."""
    return [one.to_dict() for one in workspace.cohorts()]


def saved_reports(workspace: "Workspace") -> dict[str, Any]:
    """The reports that people saved in the project; truncated says whether there are more than these."""
    return dict(discovery.list_bookmarks(workspace, limit=500))


def weekly_review() -> dict[str, Any]:
    """How to review the last week: its days, a checklist of tools, a form for the report."""
    return recipes.weekly_review(clock.today())


def churn_investigation() -> dict[str, Any]:
    """How to find out who leaves and why: days, phases with tools, benchmarks."""
    return recipes.churn_investigation(clock.today())


def weekly_retention(workspace: "Workspace", event: str) -> dict[str, Any]:
    """Who comes back after an event and does it again, by week over the last 12 weeks.

    Args:
        event: event name

    Raises:
        EventNotFoundError: nobody did it, and there is no such event.
    """
    last = clock.today()
    first = last - timedelta(weeks=_WEEKS) + timedelta(days=1)
    result = workspace.retention(
        born_event=event,
        return_event=event,
        from_date=first.isoformat(),
        to_date=last.isoformat(),
        unit="week",
        interval_count=_WEEKS,
    )
    if not any(cohort.size for cohort in result.cohorts):
        check_events(workspace, [event])
    return {
        "event": event,
        "period": "weekly",
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "weeks": _WEEKS,
        "data": result.to_dict(),
    }


def daily_trend(workspace: "Workspace", event: str, days: str) -> dict[str, Any]:
    """How often an event happened on each of the last days, today included.

    Args:
        event: event name
        days: 1 to 365; 30 where it is no number

    Raises:
        EventNotFoundError: it never happened, and there is no such event.
    """
    number = _clamped(days)
    last = clock.today()
    first = last - timedelta(days=number - 1)
    result = workspace.segmentation(event, from_date=first.isoformat(), to_date=last.isoformat(), unit="day")
    if not result.total:
        check_events(workspace, [event])
    return {
        "event": event,
        "days": number,
        "from_date": first.isoformat(),
        "to_date": last.isoformat(),
        "unit": "day",
        "data": result.to_dict(),
    }


def user_journey(workspace: "Workspace", user_id: str) -> dict[str, Any]:
    """What one user did in the last 90 days: how often what, and the latest 100 events.

    Args:
        user_id: the user's distinct_id
    """
    last = clock.today()
    first = last - timedelta(days=_JOURNEY_DAYS - 1)
    events = workspace.activity_feed([user_id], from_date=first.isoformat(), to_date=last.isoformat()).to_dict()[
        "events"
    ]
    how_often = Counter(event["event"] for event in events)
    return {
        "distinct_id": user_id,
        "period": {"from_date": first.isoformat(), "to_date": last.isoformat()},
        "summary": {
            "total_events": len(events),
            "unique_events": len(how_often),
            "event_breakdown": dict(how_often.most_common()),
        },
        "events": events[-_MOST_JOURNEY_EVENTS:],
        "truncated": len(events) > _MOST_JOURNEY_EVENTS,
    }


def kept_result(results: Results, result_id: str, offset: str = "0", limit: str = str(PAGE_ROWS)) -> Page:
    """A piece of a full result that was too large to answer with; a tool's answer names it as full_result.

    Args:
        result_id: from full_result
        offset: the first row
        limit: at most so many rows

    Raises:
        ResultNotFoundError: there is none of that id, or it was too old.
    """
    return results.page(result_id, _number(offset, 0), _number(limit, PAGE_ROWS))


RESOURCES: tuple[ResourceSpec, ...] = (
    ResourceSpec("workspace://info", workspace_details, needs_credentials=False),
    ResourceSpec("workspace://tables", local_tables, needs_credentials=False),
    ResourceSpec("schema://events", event_names),
    ResourceSpec("schema://funnels", saved_funnels),
    ResourceSpec("schema://cohorts", saved_cohorts),
    ResourceSpec("schema://bookmarks", saved_reports),
    ResourceSpec("recipes://weekly-review", weekly_review, needs_credentials=False),
    ResourceSpec("recipes://churn-investigation", churn_investigation, needs_credentials=False),
    ResourceSpec("analysis://retention/{event}/weekly", weekly_retention),
    ResourceSpec("analysis://trends/{event}/{days}", daily_trend),
    ResourceSpec("users://{user_id}/journey", user_journey),
    ResourceSpec("result://{result_id}{?offset,limit}", kept_result, needs_credentials=False),
)


def add_resources(server: FastMCP, workspaces: Workspaces, results: Results) -> None:
    """Register every resource and template.

    Args:
        workspaces: where a reading finds its Workspace
        results: what kept_result reads
    """
    threads = anyio.CapacityLimiter(_AT_ONCE)
    server.add_middleware(_AnswerReadingErrors())

    async def read(spec: ResourceSpec, names: Mapping[str, str]) -> str:
        ending = interrupts.Ending()

        def body() -> str:
            try:
                source: tuple[Any, ...] = ()
                if spec.source is not None:
                    source = (workspaces.serving(spec) if spec.source == "workspace" else results,)
                with interrupts.endable(ending):
                    return to_json(spec.read(*source, **names), inf_nan_mode="null").decode()
            except Exception as error:  # noqa: BLE001 - the rim: whatever leaves a reading becomes one answer
                failure = explain(error, tool=spec.name, mask=workspaces.mask)
            # raised outside of the handler: what lies behind it may hold what the failure no longer does
            raise _ReadingError(failure)

        return await in_thread(body, threads, ending)

    for spec in RESOURCES:
        shown: dict[str, Any] = {"name": spec.name, "description": take_apart(spec.read).opening, "mime_type": _MIME}
        if spec.is_template:
            # what stands in these URIs never becomes a path, and users and events may be called as paths are
            names = {"type": "object", "properties": {name: {"type": "string"} for name in spec.names}}
            server.add_template(
                _Template(uri_template=spec.uri, parameters=names, security=None, spec=spec, run=read, **shown)
            )
        else:
            server.add_resource(Resource.from_function(partial(read, spec, {}), spec.uri, **shown))


class _ReadingError(ResourceError):
    """A reading that failed."""

    def __init__(self, failure: Failure) -> None:
        # an answer, not a fault of the server: fastmcp would log it with a traceback
        super().__init__(failure.cause, log_level=logging.DEBUG)
        self.failure = failure


class _AnswerReadingErrors(Middleware):
    """Answer a reading that failed with MCP's internal error and the failure as its data."""

    async def on_read_resource(
        self,
        context: MiddlewareContext[ReadResourceRequestParams],
        call_next: CallNext[ReadResourceRequestParams, ResourceResult],
    ) -> ResourceResult:
        try:
            return await call_next(context)
        except _ReadingError as error:
            failure = error.failure
        told = {**failure.report, "fix": failure.fix, "retry_after_s": failure.retry_after_s}
        raise MCPError(INTERNAL_ERROR, failure.cause, json.loads(json.dumps(told, default=str)))


class _Template(ResourceTemplate):
    """Reads a row of RESOURCES with the names of a URI."""

    spec: ResourceSpec
    run: Callable[[ResourceSpec, Mapping[str, str]], Awaitable[str]]

    async def create_resource(self, uri: str, params: dict[str, Any]) -> Resource:
        """The one resource of that URI."""
        read = partial(self.run, self.spec, params)
        return Resource.from_function(read, uri, name=self.name, mime_type=self.mime_type)


def _clamped(days: str) -> int:
    number = _number(days, _DAYS_UNREADABLE)
    return _DAYS_BELOW_ONE if number < 1 else min(number, _MOST_DAYS)


def _number(text: str, otherwise: int) -> int:
    # a number of thousands of digits is refused by int() itself
    try:
        return int(text) if text.isascii() else otherwise
    except ValueError:
        return otherwise
