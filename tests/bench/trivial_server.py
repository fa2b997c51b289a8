"""`python -m tests.bench.trivial_server`: FastMCP with one tool that does nothing, served as ours is: the floor."""

import sys

from fastmcp import FastMCP
from typing_extensions import TypedDict

from mp_mcp_server.address import listen
from mp_mcp_server.serving import serve


class Nothing(TypedDict):
    nothing: bool


def main() -> None:
    """Serve until told to stop; the first line on stderr says where."""
    server: FastMCP = FastMCP("trivial", strict_input_validation=True)

    @server.tool
    def nothing() -> Nothing:
        return {"nothing": True}

    with listen("127.0.0.1", 0) as listener:
        sys.stderr.write(f"listening on http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stderr.flush()
        serve(server.http_app(path="/mcp", stateless_http=True, host_origin_protection="auto"), listener)


if __name__ == "__main__":
    main()
