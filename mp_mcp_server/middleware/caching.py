"""Answers about what a project has, remembered for a while; nothing that shows local tables is."""

import json
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import Tool, ToolResult
from mcp_types import CallToolRequestParams, ListToolsRequest

from mixpanel_data import clock

T = TypeVar("T")

DEFAULT_DISCOVERY_TTL = 300
# Those of category discovery, without workspace_info, which shows local tables: a fetch changes it.
CACHEABLE_DISCOVERY_TOOLS = (
    "list_events",
    "list_properties",
    "list_property_values",
    "list_funnels",
    "list_cohorts",
    "list_bookmarks",
    "top_events",
)
_MOST_ANSWERS = 256


class CachingMiddleware(Middleware):
    """Answer again what was answered lately; failures are asked anew.

    Args:
        ttl_s: for how long
        tools: whose answers
    """

    def __init__(self, ttl_s: float, tools: Collection[str]) -> None:
        self._tools = frozenset(tools)
        self._answers: _Lately[ToolResult] = _Lately(ttl_s)
        self._lists: _Lately[Sequence[Tool]] = _Lately(ttl_s)

    async def on_list_tools(
        self, context: MiddlewareContext[ListToolsRequest], call_next: CallNext[ListToolsRequest, Sequence[Tool]]
    ) -> Sequence[Tool]:
        """The tools of a server do not change while it runs."""
        if (known := self._lists.get("")) is None:
            known = await call_next(context)
            self._lists.put("", known)
        return known

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Pass the call on, unless its answer is known."""
        if context.message.name not in self._tools:
            return await call_next(context)
        key = json.dumps([context.message.name, context.message.arguments or {}], sort_keys=True, default=str)
        if (known := self._answers.get(key)) is not None:
            return known
        answer = await call_next(context)
        # a kind of its own is no answer yet, but a question to the client
        if type(answer) is ToolResult and not answer.is_error:
            self._answers.put(key, answer)
        return answer


class _Lately(Generic[T]):
    """Values by key, each for a while, the oldest of too many gone."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._known: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def get(self, key: str) -> T | None:
        at, value = self._known.get(key, (float("-inf"), None))
        return value if clock.monotonic() - at < self._ttl_s else None

    def put(self, key: str, value: T) -> None:
        self._known[key] = (clock.monotonic(), value)
        self._known.move_to_end(key)
        while len(self._known) > _MOST_ANSWERS:
            self._known.popitem(last=False)


def create_caching_middleware(
    discovery_ttl: int = DEFAULT_DISCOVERY_TTL, cacheable_tools: Collection[str] | None = None
) -> CachingMiddleware:
    """A cache with this time to live for these tools, CACHEABLE_DISCOVERY_TOOLS when left out."""
    return CachingMiddleware(discovery_ttl, CACHEABLE_DISCOVERY_TOOLS if cacheable_tools is None else cacheable_tools)
