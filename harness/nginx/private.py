"""The stack's own nginx: one front door on this machine, with all that it writes in one directory."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.nginx.binary import MASTER, WORKER, started_with
from harness.stack import identity

TEMPLATES = Path(__file__).parents[2] / "fixtures" / "nginx"
FILE = "nginx.conf"
MARK = "# The front door of a harness stack."
HEALTH = "/nginx-health"
PROGRAM = "harness-nginx"
OLDEST = (1, 19, 5)
"""The first version that takes `-e`, without which nginx writes to its own error log before it has read a word."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the front door leads to: a name for its errors, a path and all below it, and a port of this machine."""

    name: str
    path: str
    port: int


def render(directory: Path, port: int, routes: Sequence[Route]) -> Path:
    """Write the configuration of a front door, and make the directories that it needs.

    Args:
        directory: the front door's own, absolute; made where it is missing
        port: where it listens, on 127.0.0.1 only
        routes: where it leads, one a path; what is on none of them is answered 404 with what there is

    Returns:
        the configuration file
    """
    (directory / "temp").mkdir(mode=0o700, parents=True, exist_ok=True)
    text = _filled(
        "front.conf",
        directory=_quoted(directory),
        port=port,
        # As root nginx would hand its workers to nobody, who may not enter a directory of 0700.
        user="user root;" if os.geteuid() == 0 else "",
        locations="".join(_locations(routes)),
    )
    path = directory / FILE
    aside = directory / f".{FILE}.{os.getpid()}"
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    return path


def command(directory: Path, binary: Path) -> tuple[str, ...]:
    """The argv that runs the front door of a directory in the foreground."""
    return (str(binary), "-p", str(directory), "-e", "stderr", "-c", str(directory / FILE))


def is_private(prefix: Path | None) -> bool:
    """Whether a `-p` directory is the front door of a stack, and not somebody's own nginx."""
    if prefix is None:
        return False
    try:
        with (prefix / FILE).open(encoding="utf-8", errors="replace") as file:
            return file.readline().startswith(MARK)
    except OSError:
        return False


def prefix_of(command: Sequence[str]) -> Path | None:
    """The `-p` directory of an nginx master's command, before it has named itself and after; None for all else.

    nginx overwrites its environment with its title, so that no run id can be read of it: this is what it is known by.
    """
    if command and command[0].startswith(MASTER):
        found = started_with(" ".join(command))[0]
        return Path(found) if found else None
    if len(command) > 2 and command[1] == "-p" and Path(command[0]).name.startswith("nginx"):
        return Path(command[2])
    return None


def pids(directory: Path) -> set[int]:
    """The processes that live of a directory's front door: its master, its workers, and workers that lost it."""
    found = set()
    for stat in identity.processes():
        words = identity.read_command(stat.pid)
        if prefix_of(words) == directory or (words and words[0].startswith(WORKER) and _stands_in(stat.pid, directory)):
            found.add(stat.pid)
    return found


def _stands_in(pid: int, directory: Path) -> bool:
    try:
        # The kernel says so of a directory that somebody has removed meanwhile.
        stands_in = str((identity.PROC / str(pid) / "cwd").readlink()).removesuffix(" (deleted)")
        return Path(stands_in) == directory.resolve()
    except OSError:
        return False


def _locations(routes: Sequence[Route]) -> list[str]:
    found = []
    for route in routes:
        path = route.path.rstrip("/")
        # "/mcp" is itself and what is below it, and not "/mcpx".
        matches = (f"= {path}", f"^~ {path}/") if path else ("/",)
        found += [_filled("location.conf", match=each, target=route.port, name=route.name) for each in matches]
        found.append(_filled("away.conf", target=route.port, name=route.name))
    if all(route.path != "/" for route in routes):
        found.append(_filled("nothing.conf", paths=", ".join(route.path for route in routes) or "nothing"))
    return found


def _filled(template: str, **values: object) -> str:
    """A template with its `@{name}` filled in: a dollar is nginx's own."""
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"@\{([a-z]+)\}", lambda found: str(values[found.group(1)]), text)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
