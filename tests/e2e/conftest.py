"""Stacks for the end-to-end tests, over a data set that is small and whose last day is fixed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fixtures.dataset import Arguments, build, write_export
from tests.support.emulator import Emulator
from tests.support.ports import free_port
from tests.support.stack import Stack, taken_down

if TYPE_CHECKING:  # whoever starts no browser need not wait for its library
    from playwright.sync_api import Browser

DATA_SET = Arguments(seed=7, users=2_000, days=60, last_day=date(2025, 6, 30))
SETTINGS = {
    "HARNESS_EMULATOR_SEED": str(DATA_SET.seed),
    "HARNESS_EMULATOR_USERS": str(DATA_SET.users),
    "HARNESS_EMULATOR_DAYS": str(DATA_SET.days),
    "HARNESS_EMULATOR_LAST_DAY": DATA_SET.last_day.isoformat(),
    "HARNESS_EMULATOR_NOW": DATA_SET.last_day.isoformat(),
}


LONG = "test_long_tools.py"
"""Waits for a minute and costs next to nothing meanwhile: begun last, it would be what all wait for in the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: item.path.name != LONG)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data-sets")


@pytest.fixture(scope="session")
def raw_events(cache_dir: Path) -> list[dict[str, Any]]:
    """Every event of the data set up to its last full day, as the generator wrote it: the truth for all answers."""
    export = cache_dir / "events.jsonl"
    write_export(build(DATA_SET, cache_dir), export, to_day=DATA_SET.last_day)
    return [json.loads(line) for line in export.read_bytes().split(b"\n") if line]


@pytest.fixture
def fresh_stack(tmp_path: Path, cache_dir: Path) -> Iterator[Stack]:
    """A stack of the test's own, not started."""
    with taken_down(Stack(tmp_path, cache_dir, SETTINGS)) as stack:
        yield stack


@pytest.fixture(scope="module")
def running_stack(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Stack]:
    """A started stack that the module's tests ask and leave as it is."""
    with taken_down(Stack(tmp_path_factory.mktemp("stack"), cache_dir, SETTINGS)) as stack:
        stack.good("up")
        yield stack


@dataclass(frozen=True)
class Whole:
    """A whole stack, as `harness up` starts it.

    url: the front door, behind which the page is
    """

    stack: Stack
    emulator: Emulator

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.ports['nginx']}/"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Whole]:
    """Emulator, server, copilot and nginx; the tests leave it as it is, or bring back what they ended."""
    # Twenty seconds of silence end a call: only the server's pings let a longer one through.
    silence = {"COPILOT_SILENCE_MS": "20000"}
    settings = SETTINGS | silence | {"HARNESS_STACK_SERVICES": "emulator,mcp,copilot,nginx"}
    ports = {name: free_port() for name in ("emulator", "mcp", "copilot", "nginx")}
    with taken_down(Stack(tmp_path_factory.mktemp("whole"), cache_dir, settings, ports=ports)) as stack:
        stack.good("up")
        about = stack.good("status")["facts"]["emulator"]
        yield Whole(stack, Emulator(f"http://127.0.0.1:{ports['emulator']}", about))


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser for the module's tests, with no page open."""
    from tests.support.page import chromium

    with chromium() as started:
        yield started
