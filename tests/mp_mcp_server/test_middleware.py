"""What surrounds every call: audit, timing, the cache, the wait for the budget."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from fastmcp import Client, FastMCP
from typing_extensions import TypedDict

from mixpanel_data import budget, clock
from mp_mcp_server.catalogue import TOOLS, ToolSpec
from mp_mcp_server.middleware import (
    CACHEABLE_DISCOVERY_TOOLS,
    DEFAULT_DISCOVERY_TTL,
    AuditConfig,
    AuditMiddleware,
    MixpanelRateLimitMiddleware,
    RateLimitConfig,
    create_audit_middleware,
    create_caching_middleware,
    create_export_rate_limiter,
    create_query_rate_limiter,
    rate_limits,
)
from mp_mcp_server.server import Settings, build
from tests.support.emulator import Emulator

if TYPE_CHECKING:
    from mixpanel_data import Workspace

pytestmark = pytest.mark.anyio
DEADLINE_S = 120


class Said(TypedDict):
    said: str
    times: int


@pytest.fixture
def account(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"USERNAME": "someone", "SECRET": "canary-91c4", "PROJECT_ID": "1", "REGION": "us"}.items():
        monkeypatch.setenv(f"MP_{name}", value)


class Toys:
    def __init__(self) -> None:
        self.times = 0

    def specs(self) -> tuple[ToolSpec, ...]:
        def list_events(workspace: "Workspace", *, said: str = "") -> Said:
            """Say something, and how often it was asked.

            Args:
                workspace: unused
                said: what

            Returns:
                That.
            """
            self.times += 1
            if said == "fail":
                raise ValueError("it was asked to fail")
            return {"said": said, "times": self.times}

        def workspace_info(workspace: "Workspace") -> Said:
            """Say how often it was asked.

            Args:
                workspace: unused

            Returns:
                That.
            """
            self.times += 1
            return {"said": "", "times": self.times}

        return (
            ToolSpec(list_events, "discovery", read_only=True),
            ToolSpec(workspace_info, "discovery", read_only=True),
        )


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
def server(account: None, toys: Toys, tmp_path: Path) -> FastMCP:
    return build(Settings(db=tmp_path / "store.db"), toys.specs())


@pytest.fixture
def audited(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "mp_mcp_server"):
        yield caplog


def lines(audited: pytest.LogCaptureFixture, logger: str = "mp_mcp_server.audit") -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in audited.records if record.name == logger]


async def test_a_call_leaves_two_lines_and_no_secret(server: FastMCP, audited: pytest.LogCaptureFixture) -> None:
    async with Client(server) as client:
        await client.call_tool("list_events", {"said": "canary-91c4\nforged line " + "x" * 300})
    (level, begins), (_, ends) = lines(audited)
    assert level == logging.INFO
    assert begins.startswith('"list_events" begins: {"said": "***')
    assert begins.endswith("…")
    assert len(begins) < 240
    assert ends.startswith('"list_events" took ')
    assert ends.endswith(" ms")
    assert not any("canary" in line or "\n" in line for line in (begins, ends))


async def test_a_failed_call_leaves_an_error_with_its_code(server: FastMCP, audited: pytest.LogCaptureFixture) -> None:
    async with Client(server) as client:
        await client.call_tool("list_events", {"said": "fail"}, raise_on_error=False)
        await client.call_tool("no\nsuch", raise_on_error=False)
    errors = [line for level, line in lines(audited) if level == logging.ERROR]
    assert [line.rpartition(": ")[2] for line in errors] == ["INVALID_ARGUMENT", "UNKNOWN_TOOL"]
    assert not any("\n" in line for line in errors)


@pytest.mark.parametrize(("params", "results"), [(False, False), (True, True)])
async def test_what_is_audited_can_be_chosen(
    account: None, toys: Toys, audited: pytest.LogCaptureFixture, params: bool, results: bool
) -> None:
    server: FastMCP = FastMCP("other")
    server.add_middleware(create_audit_middleware(logging.DEBUG, params, results))

    @server.tool
    def echo(word: str) -> dict[str, str]:
        return {"word": word, "long": "y" * 1000}

    async with Client(server) as client:
        await client.call_tool("echo", {"word": "hello"})
    (level, begins), (_, ends) = lines(audited)
    assert level == logging.DEBUG
    assert ("hello" in begins) is params
    assert ("hello" in ends) is results
    assert len(ends) < 600


async def test_a_quiet_audit_costs_nothing(account: None, audited: pytest.LogCaptureFixture) -> None:
    logging.getLogger("mp_mcp_server.audit").setLevel(logging.ERROR)
    server: FastMCP = FastMCP("other")
    server.add_middleware(AuditMiddleware(AuditConfig(), mask=pytest.fail))

    @server.tool
    def echo() -> int:
        return 1

    try:
        async with Client(server) as client:
            await client.call_tool("echo")
    finally:
        logging.getLogger("mp_mcp_server.audit").setLevel(logging.NOTSET)
    assert lines(audited) == []


async def test_each_request_is_timed(server: FastMCP, audited: pytest.LogCaptureFixture) -> None:
    async with Client(server) as client:
        await client.list_tools()
    timed = [line for _, line in lines(audited, "mp_mcp_server.timing")]
    assert any("tools/list" in line and "ms" in line for line in timed)


async def times(client: Client[Any], tool: str, **arguments: Any) -> int:
    answer = (await client.call_tool(tool, arguments)).structured_content
    assert answer is not None
    number: int = answer["times"]
    return number


async def test_discovery_is_remembered_by_its_arguments_for_a_while(
    server: FastMCP, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.monotonic()
    async with Client(server) as client:
        assert [await times(client, "list_events", said=word) for word in ("a", "a", "b", "a")] == [1, 1, 2, 1]
        with monkeypatch.context() as patch:
            patch.setattr(clock, "monotonic", lambda: now + DEFAULT_DISCOVERY_TTL + DEADLINE_S)
            assert await times(client, "list_events", said="a") == 3


async def test_neither_failures_nor_what_shows_local_tables_are_remembered(server: FastMCP, toys: Toys) -> None:
    async with Client(server) as client:
        assert [await times(client, "workspace_info") for _ in range(3)] == [1, 2, 3]
        for _ in range(2):
            await client.call_tool("list_events", {"said": "fail"}, raise_on_error=False)
    assert toys.times == 5


async def test_a_cache_can_be_made_for_other_tools() -> None:
    server: FastMCP = FastMCP("other")
    server.add_middleware(create_caching_middleware(discovery_ttl=60, cacheable_tools=["echo"]))
    asked = []

    @server.tool
    def echo(word: str) -> str:
        asked.append(word)
        return word

    async with Client(server) as client:
        for n in range(3):
            await client.call_tool("echo", {"word": "same"})
            assert (await client.call_tool("echo", {"word": str(n)})).data == str(n)
        for n in range(300):
            await client.call_tool("echo", {"word": str(n)})
        before = len(asked)
        await client.call_tool("echo", {"word": "same"})
    assert asked.count("same") == 2
    assert len(asked) == before + 1


def test_what_is_remembered_is_discovery_and_shows_no_tables() -> None:
    discovery = {spec.name for spec in TOOLS if spec.category == "discovery"}
    assert set(CACHEABLE_DISCOVERY_TOOLS) == discovery - {"workspace_info"}


def test_the_public_settings_are_the_librarys_own_limits() -> None:
    assert budget.parse(rate_limits()).keys() <= budget.parse("mixpanel").keys()
    assert all(budget.parse("mixpanel")[rate] == limit for rate, limit in budget.parse(rate_limits()).items())
    chosen = budget.parse(rate_limits(create_query_rate_limiter(7, 2), create_export_rate_limiter(9, 3, None)))
    assert chosen["query"] == chosen["jql"] == budget.Limit((budget.Window(7, 3600),), 2)
    assert chosen["export"] == budget.Limit((budget.Window(9, 3600),), 3)
    assert RateLimitConfig() == create_query_rate_limiter()


class Held:
    """A budget that has no room until it is told."""

    def __init__(self, wait_s: float) -> None:
        self.seconds = wait_s
        self.asked: list[str] = []
        self.threads: set[str] = set()

    def wait_s(self, spends: str) -> float:
        self.asked.append(spends)
        self.threads.add(threading.current_thread().name)
        return self.seconds


def spending(began: list[str]) -> tuple[ToolSpec, ...]:
    def segmentation(workspace: "Workspace") -> Said:
        """Spend.

        Args:
            workspace: unused

        Returns:
            It.
        """
        began.append("segmentation")
        return {"said": "", "times": 0}

    def sql(workspace: "Workspace") -> Said:
        """Spend nothing.

        Args:
            workspace: unused

        Returns:
            It.
        """
        began.append("sql")
        return {"said": "", "times": 0}

    return (
        ToolSpec(segmentation, "live", read_only=True, endpoints=("segmentation",)),
        ToolSpec(sql, "local", read_only=True),
    )


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mp_mcp_server.middleware.rate_limiting._LOOK_AGAIN_S", 0.02)


async def test_calls_wait_for_the_budget_without_a_thread_and_say_for_how_long(
    account: None, tmp_path: Path, no_pause: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    held = Held(30.0)
    monkeypatch.setattr("mp_mcp_server.workspaces.Workspaces.wait_s", lambda _, spends: held.wait_s(spends))
    told: list[str | None] = []

    async def tell(_done: float, _total: float | None, message: str | None) -> None:
        told.append(message)

    async with (
        Client(build(Settings(db=tmp_path / "s.db"), spending(began))) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(60):
            group.start_soon(lambda: client.call_tool("segmentation", progress_handler=tell))
        with anyio.fail_after(DEADLINE_S):
            while len(held.asked) < 120:
                await anyio.sleep(0.01)
            await client.call_tool("sql")
        assert began == ["sql"]
        held.seconds = 0.0
    assert began.count("segmentation") == 60
    assert set(held.asked) == {"query"}
    assert "waiting 30 s for the project's budget of query calls" in told
    assert threading.main_thread().name not in held.threads


async def test_a_wait_that_is_not_worth_it_is_left_to_the_library_to_refuse(
    account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    held = Held(3000.0)
    monkeypatch.setattr("mp_mcp_server.workspaces.Workspaces.wait_s", lambda _, spends: held.wait_s(spends))
    async with Client(build(Settings(db=tmp_path / "s.db"), spending(began))) as client:
        await client.call_tool("segmentation")
    assert began == ["segmentation"]
    assert held.asked == ["query"]


async def test_the_budget_that_is_looked_at_is_the_one_that_is_spent(
    credentials: None, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls in a second where one is allowed: the second one waits, is answered, and both reach Mixpanel."""
    monkeypatch.setenv("MP_RATE_LIMITS", "query=1/second")
    before = emulator.requests()
    async with Client(build(Settings(db=tmp_path / "s.db"))) as client:
        started = clock.monotonic()
        async with anyio.create_task_group() as group:
            for kind in ("general", "unique"):
                days = {"from_date": "2025-06-20", "to_date": "2025-06-21", "type": kind}
                group.start_soon(client.call_tool, "event_counts", {"events": ["Purchase"], **days})
        assert clock.monotonic() - started >= 1
    sent = [row for row in emulator.requests_since(before) if row["path"].endswith("/events")]
    assert len(sent) == 2


def test_each_tool_waits_for_what_it_spends() -> None:
    specs = MixpanelRateLimitMiddleware(TOOLS, lambda _: 0.0)._spends
    assert specs["segmentation"] == "query"
    assert specs["jql"] == "jql"
    assert specs["fetch_events"] == specs["stream_events"] == "export"
    assert not {spec.name for spec in TOOLS if not spec.needs_credentials} & set(specs)
