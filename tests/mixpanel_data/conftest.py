"""What the library's tests stand on: a clean environment, a scripted server, and the emulator as a process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixpanel_data import Credentials, MixpanelAPIClient, Workspace, budget
from tests.support import data_sets
from tests.support.crafted import PROJECT_ID as CRAFTED_ID
from tests.support.crafted import SECRET as CRAFTED_SECRET
from tests.support.crafted import write as write_crafted
from tests.support.emulator import Emulator, running_emulator
from tests.support.scripted_http import ScriptedServer, scripted_server

SECRET = "canary/secret+51"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No credential, no configuration file and no home of the person who runs the tests; nothing is waited for."""
    for name in [name for name in os.environ if name.startswith("MP_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MP_RATE_LIMITS", "off")
    # Servers come and go, and two tests may meet at one port: what one has asked there is not the other's.
    monkeypatch.setattr(budget, "_budgets", {})
    return monkeypatch


@pytest.fixture
def credentials() -> Credentials:
    return Credentials.model_validate(
        {"username": "robot.0a1b2c.mp-service-account", "secret": SECRET, "project_id": 4100200, "region": "us"}
    )


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer, credentials: Credentials) -> Iterator[MixpanelAPIClient]:
    """A client of the scripted server that asks once."""
    with MixpanelAPIClient(credentials, base_url=server.url, timeout=10, export_timeout=10, max_retries=0) as made:
        yield made


@pytest.fixture
def workspace(client: MixpanelAPIClient, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on the scripted server, with a database that is not there yet."""
    with Workspace(path=tmp_path / "store.db", _api_client=client) as made:
        yield made


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A small emulator whose last day is 2025-06-30."""
    log = tmp_path_factory.mktemp("emulator") / "log"
    arguments = (
        "--seed",
        "7",
        "--users",
        "120",
        "--days",
        "60",
        "--last-day",
        "2025-06-30",
        "--now",
        "2025-06-30",
        "--no-stories",
    )
    with running_emulator(log, *arguments, cache_dir=data_sets.kept(tmp_path_factory)) as running:
        yield running


@pytest.fixture
def live_workspace(emulator: Emulator, environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on the emulator, configured as a user would."""
    for name, value in emulator.environment.items():
        environment.setenv(name, value)
    environment.setenv("MP_NOW", "2025-06-30")
    with Workspace(path=tmp_path / "store.db") as made:
        yield made


@pytest.fixture(scope="session")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator with the project of tests/support/crafted.py, of which every event is known; strict."""
    home = tmp_path_factory.mktemp("crafted")
    projects = write_crafted(home, "crafted.0a1b2c.mp-service-account")
    small = ("--users", "1", "--days", "1", "--last-day", "2025-06-30", "--now", "2025-06-30", "--no-stories")
    arguments = (*small, "--strict", "--projects", str(projects))
    with running_emulator(home / "log", *arguments, cache_dir=data_sets.kept(tmp_path_factory)) as running:
        yield running


@pytest.fixture
def crafted_workspace(crafted: Emulator, environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace on the crafted project."""
    credentials = Credentials.model_validate(
        {
            "username": "crafted.0a1b2c.mp-service-account",
            "secret": CRAFTED_SECRET,
            "project_id": CRAFTED_ID,
            "region": "us",
        }
    )
    environment.setenv("MP_NOW", "2025-06-30")
    client = MixpanelAPIClient(credentials, base_url=crafted.url)
    with Workspace(path=tmp_path / "crafted.db", _api_client=client) as made:
        yield made
