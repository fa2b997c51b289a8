"""The server over stdin and stdout, until stdin ends or a signal comes; then it is gone within two seconds."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import anyio
from fastmcp import FastMCP

logger = logging.getLogger(__name__)

# A call in a worker thread cannot be stopped, and the interpreter would wait for it.
_GONE_AFTER_S = 1.5


def serve_piped(server: FastMCP) -> None:
    """Serve until stdin ends, SIGINT or SIGTERM; calls in flight are cancelled then."""
    lowlevel = server._mcp_server
    run = lowlevel.run

    async def watched(incoming: Any, *others: Any, **options: Any) -> None:
        heard: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_hear, heard, group.cancel_scope)
            await run(_Watched(incoming, lambda: _leave_soon(0)), *others, **options)
            group.cancel_scope.cancel()
        if heard:
            # the thread that reads stdin can be stopped by its end alone
            _leave(128 + heard[0])

    lowlevel.run = watched  # type: ignore[assignment, method-assign]  # it takes the same
    server.run(transport="stdio", show_banner=False)


async def _hear(heard: list[int], serving: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for received in signals:
            heard.append(received)
            _leave_soon(128 + received)
            serving.cancel()
            return


def _leave_soon(status: int) -> None:
    """Make sure that the process ends, whatever its threads do.

    What they were writing is safe: the store changes in transactions, and a spool without its owner is swept.
    """

    def last_resort() -> None:
        logger.warning("a call did not end in time and was left behind")
        _leave(status)

    timer = threading.Timer(_GONE_AFTER_S, last_resort)
    timer.daemon = True
    timer.start()


def _leave(status: int) -> None:
    logging.shutdown()
    os._exit(status)


class _Watched:
    """The stream of a client's messages, which says when it ends."""

    def __init__(self, stream: Any, ended: Callable[[], None]) -> None:
        self._stream, self._ended = stream, ended

    @property
    def last_context(self) -> Any:
        return self._stream.last_context

    async def receive(self) -> Any:
        try:
            return await self._stream.receive()
        except anyio.EndOfStream:
            self._ended()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> "_Watched":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
