"""`harness` with stand-in services in its catalogue, but for the front door, which is a real nginx.

STANDIN_EMULATOR, STANDIN_MCP, STANDIN_COPILOT   more words for a stand-in's command line
"""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from harness.cli import main
from harness.stack import services
from harness.stack.services import Launch, Service

SCRIPT = str(Path(__file__).with_name("standin_service.py"))


def standin(service: Service) -> Service:
    """The same row with a stand-in's command and nothing to install."""
    if service.name == "nginx":
        return service
    more = shlex.split(os.environ.get(f"STANDIN_{service.name.upper()}", ""))

    def command(launch: Launch) -> tuple[str, ...]:
        return (sys.executable, "-S", SCRIPT, service.name, str(service.port(launch.settings)), *more)

    return replace(service, command=command, prepare=None, start_deadline_s=60.0)


if __name__ == "__main__":
    services.SERVICES = tuple(standin(service) for service in services.SERVICES)
    sys.exit(main())
