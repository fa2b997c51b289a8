"""Known issues in the logs of one run, of every service together, or in a file from anywhere."""

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.doctor.known_issues import KNOWN_ISSUES, Finding, scanned
from harness.errors import Exit, HarnessError
from harness.stack import logs
from harness.stack.state import StateDirectory

PIECE_BYTES = 1 << 20
STDIN = "-"


def scan_run(
    state: StateDirectory, services: Sequence[str], elsewhere: Mapping[str, Path] | None = None
) -> list[Finding]:
    """What the logs of this run show: each issue once, faults first.

    Args:
        elsewhere: service → its log, of services that somebody else started
    """
    files = logs.of_this_run(state, services, elsewhere or {})
    return scanned({service: logs.pieces(paths) for service, paths in files.items()}, KNOWN_ISSUES)


def scan_file(name: str) -> list[Finding]:
    """What a log from anywhere shows.

    Args:
        name: its path, or `-` for standard input

    Raises:
        HarnessError: NO_LOG (exit 2)
    """
    return scanned({"" if name == STDIN else name: _pieces(name)}, KNOWN_ISSUES)


def _pieces(name: str) -> Iterator[bytes]:
    if name == STDIN:
        yield from iter(lambda: os.read(sys.stdin.fileno(), PIECE_BYTES), b"")
        return
    try:
        # Without O_NONBLOCK a named pipe that nobody writes to would be waited for without end.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _no_log(name, "it is no regular file")
            yield from iter(lambda: file.read(PIECE_BYTES), b"")
    except OSError as error:
        raise _no_log(name, error.strerror or "the system does not say why") from None


def _no_log(name: str, why: str) -> HarnessError:
    return HarnessError(
        "NO_LOG",
        f"{name} cannot be read: {why}",
        fix="name a log file, or pipe the log in: harness logs --scan -",
        exit_code=Exit.USAGE,
    )
