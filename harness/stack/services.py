"""SERVICES: what a stack is made of, in one table."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.errors import Exit, HarnessError
from harness.settings import Settings
from harness.stack import copilot, front_door
from harness.stack.service import HOST, Launch, Service, absent, complete_environment, for_target, misleading, of_stack

__all__ = [
    "CREDENTIALS",
    "HOST",
    "SERVICES",
    "Launch",
    "Service",
    "absent",
    "complete_environment",
    "for_target",
    "live_credentials",
    "misleading",
    "of_stack",
]

CREDENTIALS = ("MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_REGION")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


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
    port = str(launch.settings.values.mcp.port)
    target = launch.settings.values.stack.target
    if target == "replay":
        # What knows tapes is loaded where there are some: every other start would pay for it.
        from harness.cassettes import launch as cassettes

        tapes = Path(__file__).parents[2] / cassettes.TAPES
        server = ("--transport", "http", "--host", HOST, "--port", port)
        return cassettes.play(tapes, server, stores=launch.state_dir / "data" / "replay")
    if target == "live":
        store = f"live-{live_credentials(launch.settings.environment)['MP_PROJECT_ID']}.db"
    else:
        store = f"{launch.about['emulator']['project']['id']}-{data_set(launch.settings)}.db"
    return _module(
        "mp_mcp_server.cli",
        *("--transport", "http", "--host", HOST, "--port", port),
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
    """The four credentials: the emulator's own, for `live` the caller's, and nobody's where tapes answer."""
    if launch.settings.values.stack.target == "replay":
        from harness.cassettes import launch as cassettes

        return {**cassettes.play_environment(), **copilot.model_for_the_server(launch)}
    if launch.settings.values.stack.target == "live":
        return {**live_credentials(launch.settings.environment), **copilot.model_for_the_server(launch)}
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
        **copilot.model_for_the_server(launch),
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
        targets=frozenset({"emulator", "live", "replay"}),
        needs=("emulator",),
        waits_for=("emulator",),
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
        elsewhere=lambda settings: settings.values.mcp.url,
    ),
    Service(
        name="copilot",
        purpose="a chat page over the tools: ours, or a checkout of the Spark AI Copilot",
        targets=frozenset({"emulator", "live", "replay"}),
        needs=("mcp",),
        waits_for=("mcp",),
        port=lambda settings: settings.values.copilot.port,
        port_setting="copilot.port",
        command=copilot.command,
        environment=copilot.environment,
        program="mixpanel-copilot",
        path="/",
        health="/health",
        about="/_copilot/about",
        ladder=("socket", "health", "about"),
        start_deadline_s=60.0,
        prepare=copilot.install,
        adapt=copilot.adapt,
    ),
    Service(
        name="nginx",
        purpose="the front door: the copilot's page, and the server's tools at `/mcp`",
        targets=frozenset({"emulator", "live", "replay"}),
        needs=("mcp", "copilot"),
        port=lambda settings: settings.values.nginx.port,
        port_setting="nginx.port",
        command=front_door.command,
        environment=front_door.environment,
        program="harness-nginx",
        path="/",
        health="/nginx-health",
        about=None,
        ladder=("socket", "health"),
        start_deadline_s=20.0,
        missing=front_door.missing,
    ),
)
