"""Who called what, and how it went: a line when a call begins, and one when it ends, on logger mp_mcp_server.audit."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp_types import CallToolRequestParams
from pydantic_core import to_json

from mixpanel_data import clock

logger = logging.getLogger("mp_mcp_server.audit")

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """What is written.

    log_level: of all lines but those of failures, which are errors
    include_params, include_results: whether a line has them
    max_param_length, max_result_length: of their text, in characters; what is longer is cut
    """

    log_level: int = logging.INFO
    include_params: bool = True
    include_results: bool = False
    max_param_length: int = 200
    max_result_length: int = 500


class AuditMiddleware(Middleware):
    """Write down each call of a tool.

    Args:
        config: what is written
        mask: takes secrets out of a text
    """

    def __init__(self, config: AuditConfig | None = None, mask: Callable[[str], str] = str) -> None:
        self._config, self._mask = config or AuditConfig(), mask

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Pass the call on."""
        if not logger.isEnabledFor(self._config.log_level):
            return await call_next(context)
        # as JSON: a name or an argument with a line break would write a line of its own
        name = json.dumps(context.message.name[:_LONGEST_NAME], ensure_ascii=False)
        logger.log(self._config.log_level, "%s begins%s", name, self._params(context.message))
        started = clock.monotonic()
        try:
            result = await call_next(context)
        except BaseException as error:
            logger.error("%s failed after %.1f ms: %s", name, _ms_since(started), type(error).__name__)  # noqa: TRY400 -- whose error it is says its own log
            raise
        took = _ms_since(started)
        if result.is_error:
            code = (result.structured_content or {}).get("code", "without a code")
            logger.error("%s failed after %.1f ms: %s%s", name, took, code, self._result(result))
        else:
            logger.log(self._config.log_level, "%s took %.1f ms%s", name, took, self._result(result))
        return result

    def _params(self, message: CallToolRequestParams) -> str:
        if not self._config.include_params:
            return ""
        text = json.dumps(message.arguments or {}, ensure_ascii=False, default=str)
        return f": {self._shown(text, self._config.max_param_length)}"

    def _result(self, result: ToolResult) -> str:
        if not self._config.include_results:
            return ""
        text = to_json(result.structured_content, fallback=str, inf_nan_mode="null").decode()
        return f": {self._shown(text, self._config.max_result_length)}"

    def _shown(self, text: str, most: int) -> str:
        # masked before it is cut: half a secret is one too
        masked = self._mask(text)
        return masked if len(masked) <= most else masked[: max(most - 1, 0)] + "…"


def create_audit_middleware(
    log_level: int = logging.INFO, include_params: bool = True, include_results: bool = False
) -> AuditMiddleware:
    """An audit with these settings and the default lengths."""
    return AuditMiddleware(AuditConfig(log_level, include_params, include_results))


def _ms_since(started: float) -> float:
    return (clock.monotonic() - started) * 1000
