"""`harness` with stand-in services in its catalogue, and a way to be killed at a named point.

STANDIN_EMULATOR, STANDIN_MCP   more words for a stand-in's command line
STANDIN_KILL_AT                 `module:function:before|after:N`: SIGKILL at the N-th call of that function
"""

import importlib
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.cli import main
from harness.stack import services
from harness.stack.services import Launch, Service

SCRIPT = str(Path(__file__).with_name("standin_service.py"))


def standin(service: Service) -> Service:
    """The same row with a stand-in's command."""
    more = shlex.split(os.environ.get(f"STANDIN_{service.name.upper()}", ""))

    def command(launch: Launch) -> tuple[str, ...]:
        return (sys.executable, "-S", SCRIPT, service.name, str(service.port(launch.settings)), *more)

    return replace(service, command=command, start_deadline_s=60.0)


def kill_at(point: str) -> None:
    """Have this process killed before or after the N-th call of a function."""
    module_name, function_name, moment, number = point.split(":")
    owner: Any = importlib.import_module(module_name)
    *path, name = function_name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = 0

    def watched(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == int(number) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if calls == int(number) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    services.SERVICES = tuple(standin(service) for service in services.SERVICES)
    if "STANDIN_KILL_AT" in os.environ:
        kill_at(os.environ["STANDIN_KILL_AT"])
    sys.exit(main())
