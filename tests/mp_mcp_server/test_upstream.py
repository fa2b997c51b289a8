"""What Mixpanel sees of us: each call says that it comes from this server, and is not counted where that is trusted."""

from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from mp_mcp_server.catalogue import TOOLS
from mp_mcp_server.server import _INTERNAL_API_HEADERS, Settings, build
from tests.mp_mcp_server.conftest import FIRST_DAY, LAST_DAY
from tests.support.emulator import Emulator, running_emulator

pytestmark = pytest.mark.anyio
DAYS = {"from_date": FIRST_DAY, "to_date": LAST_DAY}
EVENTS = f'Events({{from_date: "{FIRST_DAY}", to_date: "{LAST_DAY}"}})'
SCRIPT = f"function main() {{ return {EVENTS}.reduce(mixpanel.reducer.count()); }}"
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_events", {}),
    ("top_events", {}),
    ("segmentation", {"event": "Purchase", **DAYS}),
    ("jql", {"script": SCRIPT}),
    ("fetch_events", DAYS),
    ("fetch_profiles", {}),
)


async def test_every_upstream_call_says_where_it_comes_from(
    credentials: None, emulator: Emulator, tmp_path: Path
) -> None:
    before = emulator.requests()
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        for tool, arguments in CALLS:
            await client.call_tool(tool, arguments)
    sent = [{name.lower(): value for name, value in row["headers"].items()} for row in emulator.requests_since(before)]
    assert len(sent) >= len(CALLS)
    assert {row.get("internal-source") for row in sent} == {_INTERNAL_API_HEADERS["Internal-Source"]}


@pytest.mark.parametrize("trusted", [True, False])
async def test_our_calls_count_against_the_rate_limit_unless_the_service_trusts_us(
    no_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    size = ("--users", "50", "--days", "3", "--last-day", LAST_DAY, "--now", LAST_DAY, "--no-stories")
    limits = ("--limits", "query=2/h", *(("--trust-internal-source",) if trusted else ()))
    with running_emulator(tmp_path / "log", *size, *limits, cache_dir=tmp_path) as emulator:
        for name, value in (emulator.environment | {"MP_NOW": LAST_DAY}).items():
            monkeypatch.setenv(name, value)
        codes: list[str | None] = []
        async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
            for kind in ("general", "unique", "average", "general"):
                arguments = {"type": kind, "limit": 3 + len(codes)}
                answer = await client.call_tool("top_events", arguments, raise_on_error=False)
                codes.append((answer.structured_content or {}).get("code"))
    assert codes == ([None] * 4 if trusted else [None, None, "RATE_LIMITED", "RATE_LIMITED"])


def test_all_thirty_nine_are_there() -> None:
    counts: dict[str, int] = {}
    for spec in TOOLS:
        counts[spec.category] = counts.get(spec.category, 0) + 1
    assert counts == {
        "discovery": 8, "live": 8, "fetch": 4, "local": 11, "intelligent": 3, "composed": 3, "interactive": 2,
    }  # fmt: skip
