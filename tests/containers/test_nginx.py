"""The front door in a container: an answer is the right one, and a long stream comes as it is told."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.calls import answer
from harness.nginx import inspect
from harness.nginx.inspect import Arrivals
from harness.nginx.private import HEALTH, Route, render
from harness.rpc import Session
from tests.mp_mcp_server.conftest import environment, running_server
from tests.support.emulator import Emulator, running_emulator
from tests.support.ports import free_port
from tests.support.real_nginx import get_json
from tests.support.standin import wait_until

pytestmark = pytest.mark.e2e

FIRST_DAY, LAST_DAY = "2025-06-01", "2025-06-28"
SLOW_MS = 400
"""Before each of the emulator's answers, so that a fetch in four parts takes seconds and tells of each part."""


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    place = tmp_path_factory.mktemp("emulator")
    size = ("--users", "200", "--days", "28", "--last-day", LAST_DAY, "--now", LAST_DAY, "--no-stories")
    with running_emulator(place / "log", *size, cache_dir=place) as running:
        yield running


@pytest.fixture(scope="module")
def server(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real server before that emulator."""
    home = tmp_path_factory.mktemp("home")
    variables = environment(home, **emulator.environment, MP_NOW=LAST_DAY)
    with running_server(variables, "--transport", "http", "--db", str(home / "store.db")) as running:
        yield int(running.base.rpartition(":")[2])


@pytest.fixture
def door(image: str, server: int, tmp_path: Path) -> Iterator[int]:
    """The port of a front door in a container that leads to the server."""
    port = free_port()
    directory = tmp_path / "front"
    configuration = render(directory, port, [Route("mcp", "/mcp", server)])
    with _container(image, directory, ["nginx", "-p", str(directory), "-e", "stderr", "-c", str(configuration)]):
        wait_until(lambda: _is_up(port), "the front door answers")
        yield port


@contextmanager
def _container(image: str, directory: Path, command: list[str]) -> Iterator[Any]:
    core = pytest.importorskip("testcontainers.core.container")
    # The server listens on this machine's own loopback, so that the container has to share it.
    container = core.DockerContainer(image).with_kwargs(network_mode="host", entrypoint="")
    container.with_volume_mapping(str(directory), str(directory), "rw").with_command(command)
    with container as running:
        yield running


def _is_up(port: int) -> bool:
    try:
        return bool(get_json(port, HEALTH)["status"] == "ok")
    except OSError:
        return False


def test_a_good_case_passes_through(door: int, emulator: Emulator) -> None:
    events = Counter(event["event"] for event in emulator.raw_events(FIRST_DAY, LAST_DAY))
    session = Session(door, "/mcp", 120)
    session.initialize()
    assert answer(session.call("list_events", {}))["result"] == sorted(events)
    asked = {"event": "Sign Up", "from_date": FIRST_DAY, "to_date": LAST_DAY}
    assert answer(session.call("segmentation", asked))["total"] == events["Sign Up"]


def test_a_long_stream_passes_through_as_it_is_told(door: int, server: int, emulator: Emulator) -> None:
    def fetched(port: int, table: str) -> Arrivals:
        wanted = {"from_date": FIRST_DAY, "to_date": LAST_DAY, "table": table, "parallel": True, "workers": 1}
        return inspect.arrivals(port, "/mcp", "fetch_events", wanted, 120)

    emulator.tell("POST", "faults", {"kind": "latency", "value": SLOW_MS})
    try:
        direct, through = fetched(server, "direct"), fetched(door, "through")
    finally:
        emulator.tell("DELETE", "faults", {})
    assert len(direct.at_s) >= 4
    assert direct.spread_s > 2 * SLOW_MS / 1000, direct
    assert len(through.at_s) >= len(direct.at_s), (direct, through)
    assert through.spread_s > direct.spread_s / 2, (direct, through)
