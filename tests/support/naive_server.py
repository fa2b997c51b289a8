"""The server of the runbook as one writes it first: FastMCP with sessions and nothing else.

    python -m tests.support.naive_server PORT [--stateless] [--mute]

A GET before there is a session is answered 400, with the id of a session that is discarded at once: a fast client takes
that id for its own and is lost. It is kept so that what looks for this fault has something to find.

--stateless  without sessions
--mute       pushes nothing on the stream of a session
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PATIENCE_S = 60.0
BLOCK_S = 3.0


def main() -> int:
    """Serve until told to stop."""
    import uvicorn
    from fastmcp import Context, FastMCP

    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--stateless", action="store_true")
    parser.add_argument("--mute", action="store_true")
    options = parser.parse_args()
    server: FastMCP = FastMCP("naive")

    @server.tool
    async def list_events(ctx: Context) -> list[str]:
        if not options.mute:
            await ctx.session.send_tool_list_changed()
        return ["Sign Up"]

    @server.tool
    async def block() -> str:
        """Holds the event loop, as a tool does that is `async def` and waits in the middle."""
        time.sleep(BLOCK_S)
        return "done"

    app = server.http_app(path="/mcp", stateless_http=options.stateless)
    uvicorn.run(app, host="127.0.0.1", port=options.port, timeout_graceful_shutdown=1)
    return 0


@contextmanager
def naive_server(port: int, log: Path, *options: str) -> Iterator[str]:
    """A naive server in a process of its own; gives its address, and is gone afterwards."""
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.naive_server", str(port), *options],
            cwd=Path(__file__).parents[2],
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + PATIENCE_S
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    httpx.get(url, timeout=5)
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            else:
                raise AssertionError(f"the naive server does not answer:\n{log.read_text()}")
            yield f"{url}/mcp"
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


if __name__ == "__main__":
    sys.exit(main())
