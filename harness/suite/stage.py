"""What runs for the suite: hosts that play tapes, an emulator for what no tape can hold, the copilot's client.

Whatever of it is ours and written in Python has a guard: a host its own, everything else is started behind one.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import wire
from harness.cassettes import control, guarded, launch
from harness.cassettes.studio import GRACE_S, Host, Running, Studio, account_of, again, free_port
from harness.errors import HarnessError
from harness.stack import processes
from harness.suite.lines import Program
from harness.suite.ways import CLIENT

TIMEOUT_S = "0.5"
"""How long the server waits for Mixpanel in cases where it is silent."""


class Stage(Studio):
    """A studio that plays."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        super().__init__(directory, environment)
        self._counted: dict[str, Path] = {}
        self._hosts: list[Host] = []

    def start(
        self, name: str, port: int, command: tuple[str, ...], environment: Mapping[str, str | None], health: str
    ) -> Running:
        """See Studio; behind a guard."""
        return super().start(name, port, self._behind(name, command), environment, health)

    def attempts(self) -> list[str]:
        """Where any service that was started tried to go beyond this machine."""
        found = [where for file in self._counted.values() for where in guarded.read(file)]
        for host in self._hosts:
            found += host.running.ask("GET", control.PATH)["attempts_to_leave"]
        return found

    def player(self, number: int, tapes: Path, *, transport: str = "http") -> Host:
        """Start a server that plays tapes."""
        port = free_port()
        server = ("--transport", transport, "--host", wire.HOST, "--port", str(port))
        command = launch.play(tapes, server, shelf=False, stores=self.state.path / "stores" / f"player-{number}")
        host = Host(self.start(f"player-{number}", port, command, launch.play_environment(), "/health"))
        self._hosts.append(host)
        return host

    def piped(self, number: int, tapes: Path, case: str, report: Path) -> Program:
        """Start a server that plays one tape, over its standard input and output."""
        server = ("--transport", "stdio", "--db", str(self._store(f"piped-{number}")))
        stores = self.state.path / "stores" / f"cases-{number}"
        command = launch.play(tapes, server, shelf=False, case=case, report=report, stores=stores)
        return self.program(f"piped-{number}", command, launch.play_environment())

    def server(self, number: int, emulator: Running, about: Mapping[str, Any]) -> Running:
        """Start a plain server before an emulator, with a store of its own and little patience.

        Args:
            about: what the emulator says of itself
        """
        port = free_port()
        store = str(self._store(f"server-{number}"))
        arguments = ("--transport", "http", "--host", wire.HOST, "--port", str(port), "--db", store)
        environment = {
            **launch.record_environment(account_of(about), emulator.url),
            "MP_TIMEOUT_S": TIMEOUT_S,
            "MP_NOW": about["now"],
            "MP_RATE_LIMITS": "off",
        }
        command = (*launch.module("mp_mcp_server.cli"), *arguments)
        return self.start(f"server-{number}", port, command, environment, "/health")

    def end(self, running: Running) -> None:
        """End one service before the others."""
        marked = again(lambda: {who for who, name in processes.marked(self.state).items() if name == running.name})
        left = processes.end(marked, GRACE_S)
        if left:
            raise HarnessError("WILL_NOT_END", f"{running.name} lives on after SIGKILL", fix="run harness suite again")

    def copilot(self, number: int, node: Path, agent: Path, server: Running) -> Program:
        """Start the copilot's client before a server."""
        command = (str(node), "--no-warnings", str(CLIENT), str(agent), f"{server.url}/mcp")
        return self.program(f"copilot-{number}", command, {})

    def program(self, name: str, command: tuple[str, ...], environment: Mapping[str, str | None]) -> Program:
        """Start a program that is spoken to in lines."""
        return Program(command, self.seen_by(environment), self.state.path, self.state.log(name))

    def _behind(self, name: str, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command with a guard before the module that it runs; a host's as it is."""
        if launch.MODULE in command:
            return command
        if name not in self._counted:
            self._counted[name] = self.state.path / f"attempts-{name}"
            self._counted[name].unlink(missing_ok=True)
        return guarded.behind(command, self._counted[name])

    def _store(self, name: str) -> Path:
        """Where nothing is stored yet."""
        place = self.state.path / "stores" / name
        if place.exists():
            shutil.rmtree(place)
        place.mkdir(parents=True)
        return place / "store.db"
