"""Our own server with something taken away, to see what a long tool needs to reach its client.

    python -m tests.support.slow_server [--without-pings] [--blocked] [--of-old] [OPTION OF mp-mcp-server…]

--without-pings  nothing is sent while a tool is silent
--blocked        tools run on the event loop, as an `async def` tool does that waits in the middle
--of-old         knows the protocol of the handshake era only, as servers of before 2026-07-28 do
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

NEVER_S = 86_400


def main() -> int:
    """Serve as `mp-mcp-server` does, until told to stop."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--without-pings", action="store_true")
    parser.add_argument("--blocked", action="store_true")
    parser.add_argument("--of-old", action="store_true")
    lacks, rest = parser.parse_known_args()
    if lacks.without_pings:
        _take_away_pings()
    if lacks.blocked:
        _take_away_threads()
    if lacks.of_old:
        _take_away_modern_era()

    from mp_mcp_server import cli

    return cli.main(rest)


def _take_away_pings() -> None:
    from mcp.server import _streamable_http_modern as modern
    from sse_starlette import EventSourceResponse

    mock.patch.object(modern, "_SSE_PING_INTERVAL", NEVER_S).start()
    mock.patch.object(EventSourceResponse, "DEFAULT_PING_INTERVAL", NEVER_S).start()


def _take_away_threads() -> None:
    import anyio.to_thread

    async def on_the_loop(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        return function(*arguments)

    mock.patch.object(anyio.to_thread, "run_sync", on_the_loop).start()


def _take_away_modern_era() -> None:
    from mcp.server import streamable_http_manager

    class Every(tuple[str, ...]):
        """All versions are led to the handshake's handler, which refuses those that it does not know."""

        __slots__ = ()

        def __contains__(self, _: object) -> bool:
            return True

    mock.patch.object(streamable_http_manager, "HANDSHAKE_PROTOCOL_VERSIONS", Every()).start()


if __name__ == "__main__":
    sys.exit(main())
