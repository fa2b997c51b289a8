"""A whole stack for one test: real processes on free ports in a temporary directory, driven by `harness`."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support import schemas
from tests.support.ports import free_port

OWN_VARIABLES = ("MP_", "HARNESS_", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output, which `--json` promises to be one JSON value."""
        return json.loads(self.stdout)

    @property
    def error(self) -> dict[str, Any]:
        """The envelope on standard error."""
        envelope: dict[str, Any] = json.loads(self.stderr)
        return envelope


@dataclass(frozen=True)
class Stack:
    """A stack that is not started yet.

    directory: where commands run; holds the state directory and nothing of the checkout
    settings: HARNESS_ variables beside the ports, such as HARNESS_EMULATOR_USERS
    program: how `harness` is started
    """

    directory: Path
    cache_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (str(Path(sys.executable).with_name("harness")),)
    ports: Mapping[str, int] = field(default_factory=lambda: {"emulator": free_port(), "mcp": free_port()})

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without what belongs to another stack."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
        ports = {f"HARNESS_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        return {
            **inherited, **ports,
            "HOME": str(self.directory),
            "HARNESS_STATE_DIR": str(self.state_dir),
            "HARNESS_EMULATOR_CACHE_DIR": str(self.cache_dir),
            # The page and the front door are for the tests that are about them.
            "HARNESS_STACK_SERVICES": "emulator,mcp",
            **self.settings,
        }  # fmt: skip

    def harness(self, *arguments: str, timeout_s: float = 180) -> Ran:
        """Run one `harness` command to its end."""
        done = subprocess.run(
            [*self.program, *arguments], cwd=self.directory, env=self.environment,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        schemas.hold(arguments, done.stdout, done.stderr)
        return Ran(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str) -> Any:
        """Run a command with `--json` that has to succeed; returns what it printed."""
        ran = self.harness(*arguments, "--json")
        assert ran.exit_code == 0, ran
        return ran.json

    def processes(self) -> list[psutil.Process]:
        """Every living process whose environment says that it belongs to this stack."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HARNESS_STATE_DIR") == str(self.state_dir) and process.pid != os.getpid():
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue  # gone, or not ours to look into
        return found

    def ports_are_free(self) -> bool:
        """Whether each of the ports can be bound again."""
        for port in self.ports.values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    return False
        return True


@contextmanager
def taken_down(stack: Stack) -> Iterator[Stack]:
    """A stack that, whatever the test did, is down afterwards; red when anything of it is left."""
    try:
        yield stack
    finally:
        down = stack.harness("down", "--json")
        left = [(process.pid, process.cmdline()) for process in stack.processes()]
        for process in stack.processes():
            process.kill()
        shutil.rmtree(stack.state_dir, ignore_errors=True)
    assert down.exit_code in (0, 7), down
    assert left == []
    assert stack.ports_are_free()
