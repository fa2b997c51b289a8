"""Waiting for the project's rate budget, on the event loop, before a call takes a thread.

The library counts, once for all tools and for every request of them (`mixpanel_data.budget`); there is no second count
here. `RateLimitConfig` is the public way to say what the library shall count: `rate_limits` makes MP_RATE_LIMITS of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import anyio
import anyio.to_thread
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp_types import CallToolRequestParams

from mixpanel_data import clock
from mp_mcp_server.catalogue import ToolSpec

Spends = Literal["query", "jql", "export"]

# What the library itself waits for at most; a longer wait it refuses, and says how long it would be.
LONGEST_WAIT_S = 120.0
_LOOK_AGAIN_S = 5.0

# By operation, those that spend nothing of the query budget.
_OTHERWISE: Mapping[str, Spends] = {"export": "export", "jql": "jql"}
_FREE = frozenset({"bookmarks", "lexicon_schemas", "lexicon_schemas_of_kind", "lexicon_schema"})


@dataclass(frozen=True, slots=True)
class RateLimitConfig:
    """How often a project may be asked one kind of question.

    hourly_limit: within any hour
    concurrent_limit: at the same time
    per_second_limit: within any second; None for any number
    """

    hourly_limit: int = 60
    concurrent_limit: int = 5
    per_second_limit: int | None = None

    @property
    def spec(self) -> str:
        """As MP_RATE_LIMITS says it."""
        parts = [f"{self.hourly_limit}/hour"]
        if self.per_second_limit is not None:
            parts.append(f"{self.per_second_limit}/second")
        return ";".join([*parts, f"{self.concurrent_limit} at once"])


def create_query_rate_limiter(hourly_limit: int = 60, concurrent_limit: int = 5) -> RateLimitConfig:
    """What Mixpanel documents for queries, or something else."""
    return RateLimitConfig(hourly_limit, concurrent_limit)


def create_export_rate_limiter(
    hourly_limit: int = 60, concurrent_limit: int = 100, per_second_limit: int | None = 3
) -> RateLimitConfig:
    """What Mixpanel documents for exports, or something else."""
    return RateLimitConfig(hourly_limit, concurrent_limit, per_second_limit)


def rate_limits(query_config: RateLimitConfig | None = None, export_config: RateLimitConfig | None = None) -> str:
    """The value for MP_RATE_LIMITS; with nothing given, what Mixpanel documents."""
    query, export = query_config or create_query_rate_limiter(), export_config or create_export_rate_limiter()
    return f"query={query.spec}, jql={query.spec}, export={export.spec}"


class MixpanelRateLimitMiddleware(Middleware):
    """Let a call wait here until the budget that its first question spends has room.

    Args:
        specs: the tools
        wait_s: asks the library how long a question of a kind would have to wait now; may take a while itself
    """

    def __init__(self, specs: Sequence[ToolSpec], wait_s: Callable[[Spends], float]) -> None:
        self._spends: Mapping[str, Spends] = {spec.name: spends for spec in specs if (spends := _first_spent(spec))}
        self._wait_s = wait_s

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Pass the call on when there is room, or when waiting is not worth it: then the library refuses it."""
        spends = self._spends.get(context.message.name)
        if spends is not None:
            deadline = clock.monotonic() + LONGEST_WAIT_S
            while 0 < (seconds := await self._look(spends)) <= deadline - clock.monotonic():
                await _tell(context, f"waiting {seconds:.0f} s for the project's budget of {spends} calls")
                await anyio.sleep(min(seconds, _LOOK_AGAIN_S))
        return await call_next(context)

    async def _look(self, spends: Spends) -> float:
        return await anyio.to_thread.run_sync(partial(self._wait_s, spends))


def _first_spent(spec: ToolSpec) -> Spends | None:
    """What the first operation of a tool spends: others may spend something else, and the library makes them wait."""
    first = spec.endpoints[0] if spec.endpoints else None
    if first is None or first in _FREE:
        return None
    return _OTHERWISE.get(first, "query")


async def _tell(context: MiddlewareContext[CallToolRequestParams], message: str) -> None:
    called = context.fastmcp_context
    if called is not None and called.request_context is not None:
        await called.session.report_progress(0, None, message)
