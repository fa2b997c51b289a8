"""A stack of stand-in services, driven through `harness` as a process of its own; nothing of it outlives its test."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from harness.cli import main
from harness.stack import ports, processes, services
from harness.stack.identity import Identity
from harness.stack.state import Stack, StateDirectory
from tests.support import schemas
from tests.support.ports import free_port
from tests.support.standin_harness import standin as standin_row

SCRIPT = Path(__file__).with_name("standin_harness.py")
PATIENCE_S = 120.0
FOREIGN = ("HARNESS_", "MP_", "VIRTUAL_ENV", "UV_", "PYTHONPATH", "PYTHONHOME", "NO_PROXY", "no_proxy")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed for a program."""
        return json.loads(self.out)

    def error(self) -> Any:
        """The envelope that it left on standard error."""
        return json.loads(self.err)


@dataclass(frozen=True)
class StandIn:
    """One state directory with its ports.

    services: what a plain `up` brings up; the front door among them is a real nginx
    """

    directory: Path
    emulator_port: int = field(default_factory=free_port)
    mcp_port: int = field(default_factory=free_port)
    copilot_port: int = field(default_factory=free_port)
    nginx_port: int = field(default_factory=free_port)
    services: str = "emulator,mcp"

    @property
    def state(self) -> StateDirectory:
        """Where the stack keeps its state."""
        return StateDirectory(self.directory / "state")

    @property
    def stack(self) -> Stack:
        """What is written down of it."""
        found = self.state.read()
        assert found is not None, "nothing is written down"
        return found

    def environment(self, extra: dict[str, str] | None = None) -> dict[str, str]:
        """The caller's, without what a developer may have set, and with this stack's settings."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            **plain,
            "PYTHONPATH": str(SCRIPT.parents[2]),
            "HARNESS_STATE_DIR": str(self.state.path),
            "HARNESS_EMULATOR_PORT": str(self.emulator_port),
            "HARNESS_MCP_PORT": str(self.mcp_port),
            "HARNESS_COPILOT_PORT": str(self.copilot_port),
            "HARNESS_NGINX_PORT": str(self.nginx_port),
            "HARNESS_STACK_SERVICES": self.services,
            **(extra or {}),
        }

    def start(self, *words: str, **extra: str) -> "subprocess.Popen[str]":
        """Begin a command and go on."""
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), *words],
            env=self.environment(extra),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **extra: str) -> Ran:
        """Run a command to its end, in this process to spare its start; `extra` is added to its environment."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment(extra), clear=True),
            contextlib.chdir(self.directory),
            mock.patch.object(services, "SERVICES", tuple(standin_row(row) for row in services.SERVICES)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = main(list(words))
        schemas.hold(words, out.getvalue(), err.getvalue())
        return Ran(code, out.getvalue(), err.getvalue())

    def killed(self, point: str, *words: str, **extra: str) -> Ran:
        """Run a command that is killed at a fault point, if it gets there."""
        with self.start(*words, HARNESS_FAULT_POINT=point, **extra) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return Ran(process.returncode, out, err)

    def living(self) -> set[Identity]:
        """Every process that belongs to the stack."""
        return set(processes.marked(self.state))

    def pid(self, service: str) -> int:
        """The pid of a service that is written down."""
        return self.stack.members[service].process.pid

    def kill(self, service: str) -> None:
        """`kill -9`, and wait until it is gone."""
        process = self.stack.members[service].process
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: not process.is_alive(), f"the end of {service}")

    def is_empty(self) -> bool:
        """Whether neither a process nor a port is left."""
        own = (self.emulator_port, self.mcp_port, self.copilot_port, self.nginx_port)
        return not self.living() and all(ports.is_free(port) for port in own)

    def leftovers(self) -> list[str]:
        """Files that a stack that is down has no use for: all but its lock, its logs and its stores."""
        kept = {"lock", *(str(path.relative_to(self.state.path)) for path in self.state.path.glob("logs/*.log*"))}
        found = (str(path.relative_to(self.state.path)) for path in self.state.path.rglob("*") if not path.is_dir())
        return sorted(set(found) - kept)


@contextlib.contextmanager
def standin(directory: Path, services: str = "emulator,mcp") -> Iterator[StandIn]:
    """A stack that has not been started; whatever lives of it at the end is killed."""
    stack = StandIn(directory, services=services)
    try:
        yield stack
    finally:
        assert not processes.end(stack.living, 0.0)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition with a generous deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)
