"""A small emulator for the whole room, its raw events as the truth, and the server in memory and as a process."""

import base64
import json
import os
import re
import subprocess
import threading
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import FastMCPTransport

from mp_mcp_server.server import Settings, build
from tests.support import forked
from tests.support.emulator import Emulator, running_emulator

FIRST_DAY, LAST_DAY = "2025-06-20", "2025-06-29"
LISTENING = re.compile(r"listening on (http://\S+)")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator over ten days of three hundred users."""
    place = tmp_path_factory.mktemp("emulator")
    size = ("--users", "300", "--days", "10", "--last-day", LAST_DAY, "--now", LAST_DAY, "--no-stories", "--strict")
    with running_emulator(place / "log", *size, cache_dir=place) as running:
        yield running


@pytest.fixture(scope="session")
def raw_events(emulator: Emulator) -> list[dict[str, Any]]:
    """Every event of the data set, read from the export line by line: what answers are counted against."""
    account, project = emulator.about["account"], emulator.about["project"]["id"]
    login = base64.b64encode(f"{account['username']}:{account['secret']}".encode()).decode()
    url = f"{emulator.url}/api/2.0/export?project_id={project}&from_date={FIRST_DAY}&to_date={LAST_DAY}"
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        return [json.loads(line) for line in answer.read().split(b"\n") if line]


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's variables and nobody's configuration file."""
    for name in [name for name in os.environ if name.startswith("MP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MP_CONFIG_PATH", str(tmp_path / "no-config.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def credentials(no_credentials: None, monkeypatch: pytest.MonkeyPatch, emulator: Emulator) -> None:
    """The variables that point the library at the emulator, at its own time."""
    for name, value in (emulator.environment | {"MP_NOW": LAST_DAY}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def mcp(credentials: None, tmp_path: Path) -> AsyncIterator[Client[FastMCPTransport]]:
    """A client on a server in memory, with an empty store of its own."""
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        yield client


@pytest.fixture
async def mcp_without_credentials(no_credentials: None, tmp_path: Path) -> AsyncIterator[Client[FastMCPTransport]]:
    """The same, with nobody's credentials; its store is store.db too."""
    async with Client(build(Settings(db=tmp_path / "store.db"))) as client:
        yield client


@dataclass
class Server:
    """A running server process.

    url: its MCP endpoint
    log: the last lines that it wrote to stderr, until now
    """

    process: forked.Forked
    url: str
    log: deque[str]

    @property
    def base(self) -> str:
        return self.url.rpartition("/")[0]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A process's environment without anybody's credentials but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MP_")}
    return kept | {"HOME": str(home), "MP_CONFIG_PATH": str(home / "no-config.toml")} | variables


@contextmanager
def running_server(env: dict[str, str], *arguments: str, program: str = "mp_mcp_server.cli") -> Iterator[Server]:
    """Start the server's program on a port of the system's choice and end it on leaving, or with this process."""
    options, pipe = ("--port", "0", *arguments), subprocess.PIPE
    with forked.start(forked.SERVER, program, *options, env=env, stdout=subprocess.DEVNULL, stderr=pipe) as process:
        assert process.stderr is not None
        log: deque[str] = deque(maxlen=200)
        address: re.Match[str] | None = None
        try:
            for line in process.stderr:
                log.append(line)
                if address := LISTENING.search(line):
                    break
            assert address, f"the server ended before it listened:\n{''.join(log)}"
            # read on, or a full pipe would stop the server
            reader = threading.Thread(target=log.extend, args=[process.stderr], daemon=True)
            reader.start()
            yield Server(process, address[1], log)
        finally:
            process.kill()
            process.wait()
            if address is not None:
                reader.join(timeout=10)
