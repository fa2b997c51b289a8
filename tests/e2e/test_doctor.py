"""The doctor on real stacks: one on a machine that has only Python, and one with somebody's own copilot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SETTINGS
from tests.support.checkout import checkout
from tests.support.ports import free_port
from tests.support.stack import Stack, taken_down

pytestmark = pytest.mark.e2e
EDITS = {
    "copilot.edit-client": ("agent/mcp-client.ts", "getMixpanelDataMCPTools", "getTools"),
    "copilot.edit-app": ("server/app.ts", "getMixpanelDataMCPTools", "getTools"),
    "copilot.edit-index": ("server/index.ts", "setGlobalDispatcher(new", "void (new"),
    "copilot.edit-env": ("generate-env.sh", "\nMIXPANEL_DATA_MCP_URL=", "\nMCP_URL="),
}


@pytest.fixture
def with_checkout(tmp_path: Path, cache_dir: Path) -> Iterator[tuple[Stack, Path]]:
    """A stack whose copilot is a checkout with the runbook's layout."""
    ports = {name: free_port() for name in ("emulator", "mcp", "copilot")}
    directory = checkout(tmp_path / "copilot", ports["mcp"])
    own = {"HARNESS_COPILOT_DIR": str(directory), "HARNESS_STACK_SERVICES": "emulator,mcp,copilot"}
    # No minikube here: whether one is on this machine is nobody's business.
    (directory / "k8s" / "copilot.yaml").unlink()
    with taken_down(Stack(tmp_path, cache_dir, {**SETTINGS, **own}, ports=ports)) as stack:
        yield stack, directory


def told(stack: Stack, *words: str) -> tuple[int, dict[str, Any]]:
    ran = stack.harness("doctor", "--json", *words)
    return ran.exit_code, ran.json


def test_a_fresh_stack_on_a_machine_with_only_python_has_no_warning(tmp_path: Path, cache_dir: Path) -> None:
    with taken_down(Stack(tmp_path, cache_dir, {**SETTINGS, "PATH": str(tmp_path)})) as stack:
        stack.good("up")
        code, found = told(stack, "--strict")
    assert code == 0, found["roots"]
    assert found["roots"] == []
    passed = {row["id"] for row in found["checks"] if row["state"] == "pass"}
    assert {"mcp.tools", "mcp.modern", "mcp.sse", "mcp.internal-headers", "mixpanel.clock", "ports.free"} <= passed


def test_a_checkout_of_the_copilot_runs_is_looked_at_and_is_taken_down_whole(
    with_checkout: tuple[Stack, Path],
) -> None:
    stack, directory = with_checkout
    stack.good("up")
    code, found = told(stack, "--strict")
    assert code == 0, found["roots"]
    states = {row["id"]: row["state"] for row in found["checks"]}
    assert {states[name] for name in (*EDITS, "copilot.tools", "copilot.mcp-url", "copilot.timeouts")} == {"pass"}
    for file, old, new in EDITS.values():
        path = directory / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    code, found = told(stack)
    assert code == 1
    assert {root["id"] for root in found["roots"]} == set(EDITS)
    ends = [process for process in stack.processes() if "index.ts" in " ".join(process.cmdline())]
    assert len(ends) >= 1
    stack.good("down")
    assert stack.processes() == []
