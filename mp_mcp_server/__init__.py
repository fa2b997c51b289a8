"""The library `mixpanel_data` as MCP tools.

`mp_mcp_server.mcp` is a ready server with default settings, for programs that import one; it is built when first asked
for.
"""

from functools import cache
from typing import Any


@cache
def _default_server() -> Any:
    from mp_mcp_server.server import build

    return build()


def __getattr__(name: str) -> Any:
    if name == "mcp":
        return _default_server()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
