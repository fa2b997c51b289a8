"""Questions to people through real processes, over each transport and in both protocol eras.

transport            handshake era                modern era
http                 nobody can be asked          required input
http, --stateful     pushed                       required input, as without
sse                  pushed                       (knows none)
stdio                pushed                       required input
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import ClientTransport, SSETransport, StdioTransport, StreamableHttpTransport
from mcp_types.version import MODERN_PROTOCOL_VERSIONS as MODERN

from tests.mp_mcp_server.calling import DAYS, Raw
from tests.mp_mcp_server.conftest import LAST_DAY, environment, running_server
from tests.mp_mcp_server.people import Person
from tests.mp_mcp_server.upstream import Upstream
from tests.support.emulator import Emulator

pytestmark = pytest.mark.anyio

OPTIONS = {"http": ("http",), "stateful": ("http", "--stateful"), "sse": ("sse",)}
PUSHED = [("legacy", transport) for transport in ("stateful", "sse", "stdio")]
REQUIRED = [("auto", transport) for transport in ("http", "stdio")]
Route = Callable[[str], ClientTransport]


@pytest.fixture(scope="module")
def route(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    """The way to the server over a transport; a process that listens is started when it is first wanted."""
    home = tmp_path_factory.mktemp("home")
    env = environment(home, **emulator.environment, MP_NOW=LAST_DAY)
    urls: dict[str, str] = {}
    with ExitStack() as processes:

        def to(transport: str) -> ClientTransport:
            store = ("--db", str(home / f"{transport}.db"))
            if transport == "stdio":
                command = ["-m", "mp_mcp_server.cli", *store]
                return StdioTransport(sys.executable, command, env=env, keep_alive=False, log_file=home / "stdio.log")
            if transport not in urls:
                options = ("--transport", *OPTIONS[transport], *store)
                urls[transport] = processes.enter_context(running_server(env, *options)).url
            kind = SSETransport if transport == "sse" else StreamableHttpTransport
            return kind(urls[transport])

        yield to


async def told(client: Client[Any], tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


@pytest.mark.parametrize(("era", "transport"), PUSHED + REQUIRED)
async def test_a_person_is_asked_what_to_look_at_and_before_much_is_fetched(
    route: Route, raw_events: Raw, emulator: Emulator, era: str, transport: str
) -> None:
    choice = {"focus_area": "conversion", "time_period": "custom"}
    days = {"custom_start": DAYS["from_date"], "custom_end": DAYS["to_date"]}
    person = Person({**choice, **days}, {"segment_index": 0}, "cancel", "decline", "cancel", {"proceed": False})
    large = {"confirmation_threshold": 100, "table": "refused", **DAYS}
    upstream = Upstream(emulator)
    async with Client(route(transport), mode=era, elicitation_handler=person) as client:
        assert (client.protocol_version in MODERN) is (era == "auto")
        whole, closed = [await told(client, "guided_analysis") for _ in range(2)]
        fetches = [await told(client, "safe_large_fetch", **large) for _ in range(3)]
        info = await told(client, "workspace_info")
    assert (whole["status"], closed["status"]) == ("completed", "cancelled")
    assert whole["segment_analysis"]["segment_property"] == whole["initial_analysis"]["segments"][0]
    assert [fetch["status"] for fetch in fetches] == ["declined", "cancelled", "declined"]
    assert {fetch["estimated_count"] for fetch in fetches} == {len(raw_events)}
    assert "refused" not in [table["name"] for table in info["tables"]]
    assert len(person.asked) == 6
    # a fetch counts once, also where it is called again with the answer
    assert upstream.paths().count("events") == 3


@pytest.mark.parametrize(("era", "transport"), [("legacy", "stateful"), ("auto", "http")])
async def test_a_yes_fetches_as_much_as_it_says(route: Route, emulator: Emulator, era: str, transport: str) -> None:
    person = Person({"proceed": True, "new_limit": 7})
    arguments = {"confirmation_threshold": 100, "table": f"{era}_events", **DAYS}
    upstream = Upstream(emulator)
    async with Client(route(transport), mode=era, elicitation_handler=person) as client:
        answer = await told(client, "safe_large_fetch", **arguments)
        stored = await told(client, "sql_scalar", query=f"select count(*) from {era}_events")
    assert (answer["status"], answer["actual_count"], stored["result"]) == ("completed", 7, 7)
    assert upstream.paths().count("events") == 1


@pytest.mark.parametrize(("era", "transport"), [("legacy", "http"), ("legacy", "stateful"), ("auto", "http")])
async def test_nobody_is_asked_where_nobody_can_be(
    route: Route, raw_events: Raw, emulator: Emulator, era: str, transport: str
) -> None:
    """Without a session nothing can be pushed, whatever the client offers; and a client may offer nothing."""
    person = Person() if transport == "http" and era == "legacy" else None
    arguments = {"confirmation_threshold": 100, "table": "nobody", **DAYS}
    async with Client(route(transport), mode=era, elicitation_handler=person) as client:
        fetch = await told(client, "safe_large_fetch", **arguments)
        analysis = await told(client, "guided_analysis")
        info = await told(client, "workspace_info")
    assert (fetch["status"], fetch["estimated_count"]) == ("elicitation_unavailable", len(raw_events))
    assert analysis["status"] == "elicitation_unavailable"
    assert "nobody" not in [table["name"] for table in info["tables"]]
