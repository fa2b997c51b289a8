"""`mp` in two forms: through its real entry point in this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import httpx
import pytest

from mixpanel_data import Workspace
from mixpanel_data.cli.app import main
from tests.support.emulator import Emulator

FIRST, LAST = "2025-06-24", "2025-06-30"


class Ran(NamedTuple):
    """What a run of `mp` left behind."""

    code: int
    out: str
    err: str


class Mp(Protocol):
    """Runs `mp` with these words."""

    def __call__(self, *words: str) -> Ran: ...


@pytest.fixture(autouse=True)
def buffered(environment: pytest.MonkeyPatch) -> None:
    """The output of processes is buffered, as a user's is; what the tester's shell says does not matter."""
    environment.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.fixture
def mp(capsys: pytest.CaptureFixture[str]) -> Mp:
    """`mp` in this process, through `main`."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, *capsys.readouterr())

    return run


def mp_process(
    *words: str, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """`mp` as a process of its own, with pipes in the place of a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "mixpanel_data.cli.app", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        check=False,
    )


@pytest.fixture
def on_emulator(emulator: Emulator, environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of somebody who works against the emulator."""
    for name, value in {**emulator.environment, "MP_NOW": LAST}.items():
        environment.setenv(name, value)
    return environment


@pytest.fixture(scope="session")
def fetched_home(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory whose database has a week of events and all profiles."""
    home = tmp_path_factory.mktemp("fetched")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {**emulator.environment, "HOME": str(home)}.items():
            environment.setenv(name, value)
        with Workspace() as workspace:
            workspace.fetch_events(from_date=FIRST, to_date=LAST, progress=False)
            workspace.fetch_profiles(progress=False)
    return home


@pytest.fixture
def on_fetched(on_emulator: pytest.MonkeyPatch, fetched_home: Path) -> Iterator[Workspace]:
    """A workspace on what was fetched; `mp` finds the same one. Nothing may be changed in it."""
    on_emulator.setenv("HOME", str(fetched_home))
    with Workspace(read_only=True) as workspace:
        yield workspace


@pytest.fixture
def lexicon(emulator: Emulator) -> Iterator[None]:
    """A Lexicon that knows one event, and is empty again afterwards."""
    told = emulator.environment
    url = f"{emulator.url}/api/app/projects/{told['MP_PROJECT_ID']}/schemas/event/App%20Open"
    schema = {"description": "The app came up.", "properties": {"$os": {"type": "string"}}}
    with httpx.Client(auth=(told["MP_USERNAME"], told["MP_SECRET"])) as http:
        http.post(url, json=schema).raise_for_status()
        yield
        http.delete(url).raise_for_status()
