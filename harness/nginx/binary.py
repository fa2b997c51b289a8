"""nginx's own program: what it is, what it says of a configuration, and its master process that runs one."""

import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import programs
from harness.errors import Exit, HarnessError
from harness.stack import identity, processes
from harness.stack.identity import Identity

PATIENCE_S = 30.0
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that nginx sees of ours: it speaks English, so that what it says can be read."""
PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/homebrew/bin")
MASTER, WORKER, LEAVING = "nginx: master process", "nginx: worker process", "is shutting down"


@dataclass(frozen=True, slots=True)
class Nginx:
    """An installed nginx.

    version: such as (1, 22, 1)
    prefix, main: the directory and the configuration file that it was built with
    """

    binary: Path
    version: tuple[int, ...]
    prefix: Path
    main: Path

    @property
    def shown_version(self) -> str:
        """`1.22.1`."""
        return ".".join(map(str, self.version))


@dataclass(frozen=True, slots=True)
class Master:
    """A running nginx: its master process, and how it was started.

    main: the configuration file; prefix: the `-p` of its command, None without one
    uid: whose it is
    """

    who: Identity
    main: Path
    prefix: Path | None
    uid: int


@dataclass(frozen=True, slots=True)
class Tested:
    """What `nginx -t` said: whether the configuration holds, and in which words."""

    good: bool
    words: tuple[str, ...]


def find(named: Path | None = None) -> Path | None:
    """The nginx to run: the named one, else the one in PATH or where packages put it; None when there is none."""
    if named is not None:
        found = shutil.which(named)
        return Path(found) if found else None
    found = shutil.which("nginx") or shutil.which("nginx", path=":".join(PLACES))
    return Path(found) if found else None


def look(named: Path | None = None) -> Nginx:
    """Ask an nginx what it is.

    Raises:
        HarnessError: NGINX_MISSING (exit 2) where there is none or the named file is none
    """
    binary = find(named)
    if binary is None:
        raise HarnessError(
            "NGINX_MISSING",
            f"{named} is no program" if named else "there is no nginx on this machine",
            fix="install it (Debian: apt install nginx-light), or name it: --binary PATH",
            exit_code=Exit.USAGE,
        )
    _, said = _run((str(binary), "-V"))
    version = re.search(r"nginx version: \S*?/(\d+(?:\.\d+)*)", said)
    if version is None:
        raise HarnessError(
            "NGINX_MISSING", f"{binary} does not say that it is nginx", fix="name nginx: --binary PATH",
            exit_code=Exit.USAGE,
        )  # fmt: skip
    prefix = Path(_built_with(said, "prefix") or "/usr/local/nginx")
    main = prefix / (_built_with(said, "conf-path") or "conf/nginx.conf")
    return Nginx(binary, tuple(int(part) for part in version.group(1).split(".")), prefix, main)


def test(nginx: Nginx, main: Path, prefix: Path | None) -> Tested:
    """Have nginx read a configuration, and change nothing."""
    code, said = _run(command(nginx, main, prefix, "-t"))
    return Tested(code == 0, tuple(line.strip() for line in said.splitlines() if line.strip()))


def command(nginx: Nginx, main: Path, prefix: Path | None, *more: str) -> tuple[str, ...]:
    """nginx's argv for a configuration."""
    return (str(nginx.binary), *(("-p", str(prefix)) if prefix else ()), "-c", str(main), *more)


def master(nginx: Nginx, main: Path) -> Master | None:
    """The master process that runs this configuration file; None while nginx does not run with it."""
    return next((found for found in masters(nginx) if _same_file(found.main, main)), None)


def masters(nginx: Nginx) -> list[Master]:
    """Every running master process."""
    found = []
    for stat in identity.processes():
        words = identity.read_command(stat.pid)
        if not words or not words[0].startswith(MASTER):
            continue
        who = identity.identify(stat.pid, "")
        try:
            uid = (identity.PROC / str(stat.pid)).stat().st_uid
        except FileNotFoundError:
            continue
        if who is not None:
            prefix, main = started_with(" ".join(words))
            base = Path(prefix) if prefix else nginx.prefix
            found.append(Master(who, base / main if main else nginx.main, Path(prefix) if prefix else None, uid))
    return found


def started_with(title: str) -> tuple[str | None, str | None]:
    """The values of `-p` and `-c` in a master's title; a path may hold blanks, an option comes behind one."""
    options = dict(re.findall(r" -([pcgeT])[ ]*(.+?)(?= -[pcgeTtqs]\b|\s*\Z)", title))
    return options.get("p"), options.get("c")


def workers(of: Master) -> dict[Identity, bool]:
    """The master's worker processes, each with whether it is on its way out."""
    found = {}
    for stat in identity.processes():
        if stat.parent != of.who.pid:
            continue
        title = " ".join(identity.read_command(stat.pid))
        who = identity.identify(stat.pid, "")
        if who is not None and title.startswith(WORKER):
            found[who] = LEAVING in title
    return found


def is_mine(of: Master) -> bool:
    """Whether this user may signal it."""
    return os.geteuid() in (0, of.uid)


def reload(of: Master) -> None:
    """Ask the master to read its configuration anew.

    Raises:
        PermissionError: it is somebody else's
    """
    processes.send(of.who, signal.SIGHUP)


def _run(argv: Sequence[str]) -> tuple[int, str]:
    try:
        said = programs.run(argv, ENVIRONMENT, PATIENCE_S)
    except OSError as error:
        raise HarnessError(
            "NGINX_MISSING",
            f"{argv[0]} cannot be run: {error.strerror}",
            fix="name nginx: --binary PATH",
            exit_code=Exit.USAGE,
        ) from None
    if said.status is None:
        raise HarnessError(
            "NGINX_SILENT",
            f"{' '.join(argv)} did not end within {PATIENCE_S:g} s",
            fix="run it by hand and see what it waits for; a host name in the configuration that does not resolve?",
            exit_code=Exit.DEADLINE,
        )
    return said.status, said.out + said.err


def _built_with(said: str, option: str) -> str | None:
    found = re.search(rf"--{option}=('[^']*'|\S+)", said)
    return found.group(1).strip("'") if found else None


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
