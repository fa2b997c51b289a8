"""Run another program to its end, briefly, and take what it says."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended and what it wrote; the status is None where it did not end in time and was killed."""

    status: int | None
    out: str
    err: str


def find(name: str, environment: Mapping[str, str]) -> Path | None:
    """The program of that name in the PATH of an environment, None when there is none."""
    found = shutil.which(name, path=environment.get("PATH", os.defpath))
    return Path(found) if found else None


def run(
    command: Sequence[str], environment: Mapping[str, str], timeout_s: float, *, directory: Path | None = None
) -> Said:
    """Run a program with nothing on its standard input; when it does not end in time, end it and all that it started.

    Args:
        environment: all that it sees

    Raises:
        FileNotFoundError, PermissionError: it cannot be started.
    """
    with subprocess.Popen(
        command,
        env=dict(environment),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _end(process.pid)
            out, err = process.communicate()
            return Said(None, out, err)
        except BaseException:
            _end(process.pid)
            raise
    return Said(process.returncode, out, err)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
