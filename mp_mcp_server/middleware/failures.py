"""Each failure leaves as one well-formed answer."""

from collections.abc import Callable, Mapping
from typing import Any

import pydantic
from fastmcp.exceptions import DisabledError, FastMCPError, NotFoundError, ValidationError
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.tools import ToolResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams
from pydantic_core import PydanticSerializationError, to_json

from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.errors import Failure, ToolCallError, explain, explain_arguments, explain_text, unknown_tool


class AnswerFailures(Middleware):
    """Answer a failed call with isError, the contract's text and structured content; outermost.

    Args:
        mask: takes secrets out of a text: fastmcp would log what nobody foresaw as it is
    """

    def __init__(self, *, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._specs = {spec.name: spec for spec in TOOLS}

    async def on_call_tool(
        self,
        context: MiddlewareContext[CallToolRequestParams],
        call_next: CallNext[CallToolRequestParams, ToolResult],
    ) -> ToolResult:
        """Pass the call on; a failure comes back as a result, other errors of fastmcp as they are."""
        name = context.message.name
        if (half := _half_a_character(context.message.arguments or {})) is not None:
            return _answer(explain_text(half))
        try:
            return await call_next(context)
        except ToolCallError as error:
            failure = error.failure
        except NotFoundError:
            failure = unknown_tool(name)
        except ValidationError as error:
            if name not in self._specs or not isinstance(error.__cause__, pydantic.ValidationError):
                raise
            failure = explain_arguments(error.__cause__, self._specs[name])
        except (FastMCPError, DisabledError, MCPError):
            raise
        except Exception as error:  # noqa: BLE001 - the rim of what stands around a tool, such as the wait for a budget
            failure = explain(error, tool=name, mask=self._mask)
        return _answer(failure)


def _half_a_character(arguments: Mapping[str, Any]) -> str | None:
    """The argument that holds a lone surrogate, which JSON can say and no encoding can write."""
    for name, value in arguments.items():
        try:
            to_json([name, value])
        except PydanticSerializationError:
            return name
    return None


def _answer(failure: Failure) -> ToolResult:
    return ToolResult(content=failure.text(), structured_content=failure.structured(), is_error=True)
