"""One call of a tool, from its arguments to its answer: in a thread of its category, with a line back to the client.

Threads are counted by category, so that calls that wait for Mixpanel leave room for those that ask the local store. A
call waits for a thread on the event loop, which costs nothing.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from threading import Event
from typing import Any

import anyio
import anyio.to_thread
from fastmcp.exceptions import ToolError
from fastmcp.server.dependencies import get_context
from fastmcp.tools import ToolResult
from mcp_types import TextContent
from pydantic_core import to_json

from mixpanel_data import interrupts
from mp_mcp_server.call import Call, Elsewhere, InputRequired
from mp_mcp_server.catalogue import ToolSpec
from mp_mcp_server.errors import translated
from mp_mcp_server.lines import input_required, line_of
from mp_mcp_server.loopside import Loopside, in_thread, in_thread_beside
from mp_mcp_server.model_endpoint import Endpoint
from mp_mcp_server.results import Results, sound
from mp_mcp_server.workspaces import Workspaces

# Mixpanel takes five questions at once. Those of the interactive tools wait for people, who take their time.
_THREADS: Mapping[str, int] = {
    "discovery": 6,
    "live": 6,
    "fetch": 4,
    "local": 8,
    "intelligent": 4,
    "composed": 4,
    "interactive": 16,
}


class Running:
    """Runs the tools of one server.

    Args:
        workspaces: where a call finds its Workspace
        results: where a call leaves what was too large to answer with
        endpoint: the model to ask where a client has none
    """

    def __init__(self, workspaces: Workspaces, results: Results, endpoint: Endpoint | None) -> None:
        self._workspaces, self._results, self._endpoint = workspaces, results, endpoint
        self._threads = {category: anyio.CapacityLimiter(most) for category, most in _THREADS.items()}

    def bound(self, spec: ToolSpec) -> Callable[..., Awaitable[Any]]:
        """The spec's function without its first parameter: what fastmcp reads the schemas from, and calls."""
        signature = inspect.signature(spec.run)
        run = self._conversation if next(iter(signature.parameters)) == "call" else self._answer

        async def call(**arguments: Any) -> Any:
            return await run(spec, arguments)

        call.__name__ = spec.name
        call.__signature__ = signature.replace(parameters=spec.parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {
            **{parameter.name: parameter.annotation for parameter in spec.parameters},
            "return": signature.return_annotation,
        }
        return call

    async def _answer(self, spec: ToolSpec, arguments: Mapping[str, Any]) -> Any:
        """Of a tool that takes a Workspace."""
        ending, limiter = interrupts.Ending(), self._threads[spec.category]

        def body() -> Any:
            with translated(spec.name, self._workspaces.mask), interrupts.endable(ending):
                return _listed(sound(spec.run(self._workspaces.serving(spec), **arguments)))

        if not spec.needs_credentials:  # it is soon over, and must not cost more than it does
            return await anyio.to_thread.run_sync(body, limiter=limiter)
        return await in_thread(body, limiter, ending)

    async def _conversation(self, spec: ToolSpec, arguments: Mapping[str, Any]) -> Any:
        """Of a tool that takes a Call: its answer, or what the client must answer first."""
        cancelled, ending = Event(), interrupts.Ending()
        ending.over.add_done_callback(lambda _: cancelled.set())
        value: Any = None
        failure: ToolError | None = None
        async with anyio.create_task_group() as group:
            line, known = line_of(get_context(), Loopside(group, cancelled), self._endpoint)

            def body(category: str) -> Any:
                with translated(spec.name, self._workspaces.mask), interrupts.endable(ending):
                    call = Call(self._workspaces.serving(spec), line, cancelled, known, self._results, category)
                    try:
                        return _listed(sound(spec.run(call, **arguments)))
                    except InputRequired as asked:
                        return input_required(asked, call.known)
                    except Elsewhere as elsewhere:
                        return elsewhere

            try:
                value = Elsewhere(spec.category)
                while isinstance(value, Elsewhere):
                    run, limiter = partial(body, value.category), self._threads[value.category]
                    value = await in_thread_beside(group, run, limiter, ending)
            except ToolError as error:
                failure = error
        # Raised outside of the group, which would wrap it.
        if failure is not None:
            raise failure
        return value


def _listed(value: Any) -> Any:
    """A list with something to say about it: the text stays the list alone, the note follows as a text of its own."""
    if not (isinstance(value, dict) and "result" in value):
        return value
    texts = [to_json(value["result"], inf_nan_mode="null").decode()]
    if "note" in value:
        texts.append(value["note"])
    return ToolResult(
        content=[TextContent(type="text", text=text) for text in texts],
        structured_content=value,
        meta={"fastmcp": {"wrap_result": True}},
    )
