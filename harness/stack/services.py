"""SERVICES: what a stack is made of, in one table."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import Exit, HarnessError
from harness.settings import Settings

HOST = "127.0.0.1"
CREDENTIALS = ("MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True)
class Launch:
    """What a service's command and environment are made from.

    about: what the services that it needs say of themselves, by name; holds the emulator's account, so no repr shows it
    """

    settings: Settings
    state_dir: Path
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Service:
    """One row of the catalogue.

    targets: the targets in whose stacks it runs
    needs: what must answer before it starts
    command: its argv, without secrets
    environment: what is set for it beside the caller's cleaned environment; a value of None removes the variable
    program: the name that it gives itself, to be told apart from another program on its port
    path: what a client adds to the port
    health, about: routes; `about` is None where it does not describe itself
    ladder: the rungs that prove it ready, from the bottom
    """

    name: str
    purpose: str
    targets: frozenset[str]
    needs: tuple[str, ...]
    port: Callable[[Settings], int]
    port_setting: str
    command: Callable[[Launch], tuple[str, ...]]
    environment: Callable[[Launch], Mapping[str, str | None]]
    program: str
    path: str
    health: str
    about: str | None
    ladder: tuple[str, ...]
    start_deadline_s: float

    def url(self, port: int) -> str:
        """Where a client finds it."""
        return f"http://{HOST}:{port}{self.path}"


def emulator_command(launch: Launch) -> tuple[str, ...]:
    """The emulator's argv: a user's own export, or the data set that the settings describe."""
    values = launch.settings.values.emulator
    options = ["--host", HOST, "--port", str(values.port)]
    if values.data is not None:
        options += ["--data", str(values.data)]
    else:
        options += ["--seed", str(values.seed), "--users", str(values.users), "--days", str(values.days)]
        options += [] if values.stories else ["--no-stories"]
        options += ["--last-day", values.last_day.isoformat()] if values.last_day else []
        options += ["--timezone", values.timezone] if values.timezone else []
    options += ["--now", values.now] if values.now else []
    options += ["--cache-dir", str(values.cache_dir)] if values.cache_dir else []
    return _module("fixtures.emulator", *options)


def mcp_command(launch: Launch) -> tuple[str, ...]:
    """The server's argv; its local store stands in the state directory, one for each project and data set."""
    if launch.settings.values.stack.target == "live":
        store = f"live-{live_credentials(launch.settings.environment)['MP_PROJECT_ID']}.db"
    else:
        store = f"{launch.about['emulator']['project']['id']}-{data_set(launch.settings)}.db"
    return _module(
        "mp_mcp_server.cli",
        *("--transport", "http", "--host", HOST, "--port", str(launch.settings.values.mcp.port)),
        *("--db", str(launch.state_dir / "data" / store)),
    )


def data_set(settings: Settings) -> str:
    """A short name for what the emulator serves: tables of one data set must not answer for another.

    The last day does not count, so that a store outlives midnight.
    """
    values = settings.values.emulator
    generated = [values.seed, values.users, values.days, values.timezone, values.stories]
    return hashlib.sha256(repr(str(values.data) if values.data else generated).encode()).hexdigest()[:8]


def emulator_environment(launch: Launch) -> Mapping[str, str | None]:
    """Nothing of an account that may be Mixpanel's own: the emulator has its own."""
    return dict.fromkeys((name for name in launch.settings.environment if name.startswith("MP_")), None)


def mcp_environment(launch: Launch) -> Mapping[str, str | None]:
    """The four credentials: the emulator's own, or for `live` the caller's."""
    if launch.settings.values.stack.target == "live":
        return dict(live_credentials(launch.settings.environment))
    about = launch.about["emulator"]
    return {
        "MP_USERNAME": about["account"]["username"],
        "MP_SECRET": about["account"]["secret"],
        "MP_PROJECT_ID": str(about["project"]["id"]),
        "MP_REGION": about["project"]["region"],
        "MP_API_BASE_URL": f"http://{HOST}:{launch.settings.values.emulator.port}",
        "MP_RATE_LIMITS": "off",
        "MP_NOW": about["now"],
        "MP_CONFIG_PATH": None,
        **_past_the_proxy(launch.settings.environment),
    }


def live_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The runbook's four variables, and nothing else.

    Raises:
        HarnessError: CREDENTIALS_MISSING (exit 6) naming the missing ones
    """
    missing = [name for name in CREDENTIALS if not environment.get(name)]
    if missing:
        raise HarnessError(
            "CREDENTIALS_MISSING",
            f"live Mixpanel needs {', '.join(CREDENTIALS)}; not set: {', '.join(missing)}",
            fix="export them in this shell, or leave --target live away to work on the emulator",
            exit_code=Exit.CREDENTIALS,
        )
    return {name: environment[name] for name in CREDENTIALS}


def for_target(services: Sequence[Service], target: str) -> tuple[Service, ...]:
    """The services of one target's stack, needing only each other."""
    names = {service.name for service in services if target in service.targets}
    return tuple(
        replace(service, needs=tuple(need for need in service.needs if need in names))
        for service in services
        if service.name in names
    )


def misleading(environment: Mapping[str, str]) -> list[str]:
    """The caller's variables that would change which Python packages a service loads."""
    return sorted(
        name for name in environment if name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME") or name.startswith("UV_")
    )


def complete_environment(service: Service, launch: Launch) -> dict[str, str]:
    """All that a service sees: the caller's environment without what misleads, and the service's own on top."""
    caller = launch.settings.environment
    dropped = {*misleading(caller), *(name for name in caller if name.startswith("HARNESS_"))}
    found = {name: value for name, value in caller.items() if name not in dropped}
    found["PYTHONUNBUFFERED"] = "1"
    for name, value in service.environment(launch).items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _module(name: str, *options: str) -> tuple[str, ...]:
    # -P: a folder called `fixtures` where the service happens to run must not be taken for ours.
    return (sys.executable, "-P", "-m", name, *options)


def _past_the_proxy(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The way to the emulator on this machine, for a caller whose environment names a proxy."""
    if not any(name.lower() in PROXIES for name in environment):
        return {}
    others = environment.get("no_proxy") or environment.get("NO_PROXY")
    direct = ",".join(filter(None, (others, HOST, "localhost")))
    return {"NO_PROXY": direct, "no_proxy": direct}


SERVICES: tuple[Service, ...] = (
    Service(
        name="emulator",
        purpose="a local Mixpanel over a synthetic or your own data set",
        targets=frozenset({"emulator"}),
        needs=(),
        port=lambda settings: settings.values.emulator.port,
        port_setting="emulator.port",
        command=emulator_command,
        environment=emulator_environment,
        program="mixpanel-emulator",
        path="",
        health="/_emulator/health",
        about="/_emulator/about",
        ladder=("socket", "health", "about"),
        start_deadline_s=120.0,
    ),
    Service(
        name="mcp",
        purpose="mp-mcp-server: the library as MCP tools over HTTP",
        targets=frozenset({"emulator", "live"}),
        needs=("emulator",),
        port=lambda settings: settings.values.mcp.port,
        port_setting="mcp.port",
        command=mcp_command,
        environment=mcp_environment,
        program="mixpanel",
        path="/mcp",
        health="/health",
        about=None,
        ladder=("socket", "health", "initialize", "tools", "call"),
        start_deadline_s=60.0,
    ),
)
