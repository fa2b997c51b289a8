"""The row of the stack's own nginx: what leads where, and how it is started."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.errors import HarnessError
from harness.settings import Settings
from harness.stack import identity
from harness.stack.service import Launch

FOLDER = "nginx"
"""Where in the state directory it has all that it writes, and what it is known by."""


def missing(settings: Settings) -> str | None:
    """Why there is no front door on this machine, or None."""
    from harness.nginx import binary

    return None if binary.find(settings.values.nginx.binary) else "there is no nginx on this machine"


def command(launch: Launch) -> tuple[str, ...]:
    """Write its configuration anew, since ports may have changed, and run it.

    Raises:
        HarnessError: NGINX_MISSING
    """
    from harness.nginx import binary, private

    values = launch.settings.values
    found = binary.find(values.nginx.binary)
    if found is None:
        raise HarnessError("NGINX_MISSING", "there is no nginx on this machine", fix="install it, or do without")
    routes = []
    if values.mcp.url is None:
        routes.append(private.Route("mcp", "/mcp", values.mcp.port))
    if "copilot" in launch.parts:
        routes.append(private.Route("copilot", "/", values.copilot.port))
    directory = launch.state_dir / FOLDER
    private.render(directory, values.nginx.port, routes)
    return private.command(directory, found)


def environment(launch: Launch) -> Mapping[str, str | None]:
    """Nothing of an account: it only passes on."""
    return dict.fromkeys((name for name in launch.settings.environment if name.startswith("MP_")), None)


def pids(state_dir: Path) -> set[int]:
    """The processes of a stack's front door: nginx overwrites its environment, so that no run id can be read of it."""
    if not any("nginx" in command[0] for command in _commands()):
        return set()
    from harness.nginx import private

    return private.pids(state_dir / FOLDER)


def _commands() -> Iterator[tuple[str, ...]]:
    commands = (identity.read_command(stat.pid) for stat in identity.processes())
    return (command for command in commands if command)


def state_dir_of(pid: int) -> str | None:
    """The state directory of the stack whose front door a process is; None for all else."""
    command = identity.read_command(pid)
    if not command or "nginx" not in command[0]:
        return None
    from harness.nginx import private

    stat = identity.read_stat(pid)
    for each in (command, identity.read_command(stat.parent) if stat else ()):
        prefix = private.prefix_of(each)
        if prefix is not None and private.is_private(prefix):
            return str(prefix.parent)
    return None
