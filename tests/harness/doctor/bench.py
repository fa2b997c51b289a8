"""A whole stack to break: real processes on free ports, small data, started once and looked at in many states."""

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.doctor.catalogue import CHECKS
from harness.doctor.check import Check
from harness.doctor.examination import Examination, examine
from harness.doctor.mending import Mended, mend
from harness.progress import Lines
from harness.settings import Settings, load
from harness.stack import services
from harness.stack.down import down
from harness.stack.service import Launch, Service
from harness.stack.state import Member, StateDirectory
from harness.stack.up import Wish, up
from tests.support.ports import free_port

BENDABLE = str(Path(__file__).with_name("bendable_server.py"))
PARTS = ("emulator", "mcp", "copilot", "nginx")
FOREIGN = ("HARNESS_", "MP_", "VIRTUAL_ENV", "UV_", "PYTHONPATH", "PYTHONHOME", "NO_PROXY", "no_proxy")
EXPORTS_AN_HOUR = 5
PATIENCE_S = 120.0
MINIKUBE = """#!/bin/sh
echo '{"name":"mixpanel","status":"ok"}'
"""


@dataclass
class Bench:
    """The stack, and the ways to look at it.

    programs: a directory that comes first in PATH
    extra: more of the copilot's environment when it is started next
    """

    directory: Path
    cache_dir: Path
    ports: Mapping[str, int] = field(default_factory=lambda: {name: free_port() for name in PARTS})
    extra: dict[str, str | None] = field(default_factory=dict)

    @property
    def programs(self) -> Path:
        return self.directory / "bin"

    @property
    def state(self) -> StateDirectory:
        return StateDirectory(self.directory / "state")

    @property
    def environment(self) -> dict[str, str]:
        """The caller's, without what a developer may have set, and with this stack's settings."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            **plain,
            **{f"HARNESS_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            "HOME": str(self.directory),
            "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
            "HARNESS_STATE_DIR": str(self.state.path),
            "HARNESS_EMULATOR_CACHE_DIR": str(self.cache_dir),
            "HARNESS_EMULATOR_USERS": "200",
            "HARNESS_EMULATOR_DAYS": "28",
            "HARNESS_EMULATOR_STORIES": "false",
            "HARNESS_EMULATOR_LAST_DAY": "2025-06-30",
            "HARNESS_EMULATOR_NOW": "2025-06-30",
        }

    @property
    def catalogue(self) -> tuple[Service, ...]:
        """SERVICES, the server bendable and the copilot with its extra environment."""
        return tuple(self._row(service) for service in services.SERVICES)

    def _row(self, service: Service) -> Service:
        if service.name == "mcp":
            return replace(
                service, command=partial(_bendable, service), environment=lambda launch: self._limited(service, launch)
            )
        if service.name == "copilot":
            return replace(service, environment=lambda launch: {**service.environment(launch), **self.extra})
        return service

    @staticmethod
    def _limited(service: Service, launch: Launch) -> Mapping[str, str | None]:
        # No check exports, so that a budget of exports is there to be spent by a fault.
        return {**service.environment(launch), "MP_RATE_LIMITS": f"export={EXPORTS_AN_HOUR}/hour"}

    def settings(self, changed: Mapping[str, str | None] | None = None) -> Settings:
        """With some variables changed, or removed where they are None."""
        environment: dict[str, str | None] = {**self.environment, **(changed or {})}
        there = {name: value for name, value in environment.items() if value is not None}
        return load(environment=there, directory=self.directory)

    def examine(
        self, changed: Mapping[str, str | None] | None = None, checks: tuple[Check, ...] = CHECKS
    ) -> Examination:
        """Look at everything."""
        return examine(self.settings(changed), self.catalogue, checks)

    def mend(
        self, first: Examination, changed: Mapping[str, str | None] | None = None
    ) -> tuple[Examination, tuple[Mended, ...]]:
        """What `--fix --yes` does."""
        return mend(first, partial(self.examine, changed), consent=lambda *_: True, dry_run=False)

    def start(self, *names: str) -> None:
        """Bring services up, all when none is named."""
        up(self.settings(), self.catalogue, Wish(services=names), progress=Lines(io.StringIO()))

    def again(self, name: str) -> None:
        """Restart a service."""
        up(self.settings(), self.catalogue, Wish(again=(name,)), progress=Lines(io.StringIO()))

    def member(self, name: str) -> Member:
        """A service as it is written down."""
        stack = self.state.read()
        assert stack is not None, "nothing is written down"
        return stack.members[name]

    def kill(self, name: str) -> None:
        """`kill -9`, and wait until it is gone."""
        member = self.member(name)
        os.kill(member.process.pid, signal.SIGKILL)
        wait_until(lambda: not member.process.is_alive(), f"the end of {name}")

    def ask(self, name: str, method: str, path: str, body: object) -> Any:
        """One request to a service; its answer as JSON."""
        request = urllib.request.Request(  # a loopback URL made here
            f"http://127.0.0.1:{self.ports[name]}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # the same
            text = answer.read().decode()
        return json.loads(text[text.index("{") :] if text else "{}")


def _bendable(service: Service, launch: Launch) -> tuple[str, ...]:
    python, _, _, _, *options = service.command(launch)
    return (python, "-P", BENDABLE, *options)


@contextlib.contextmanager
def bench(directory: Path, cache_dir: Path) -> Iterator[Bench]:
    """A running stack; red when anything of it is left afterwards."""
    made = Bench(directory, cache_dir)
    made.programs.mkdir(parents=True)
    program(made.programs / "minikube", MINIKUBE)
    try:
        made.start()
        yield made
    finally:
        down(made.state, made.catalogue, grace_s=5.0, deadline_s=PATIENCE_S, progress=Lines(io.StringIO()))
        shutil.rmtree(made.state.path, ignore_errors=True)


def program(path: Path, text: str) -> None:
    """A script that can be run."""
    path.write_text(text)
    path.chmod(0o755)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition with a generous deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


def python(*words: str) -> tuple[str, ...]:
    """A command that runs this Python."""
    return (sys.executable, "-S", *words)
