"""`harness` with stand-in services, to be killed or halted at a named point: forked from one that has loaded all of it.

python -m tests.support.killing      # a JSON line in; JSON lines out: its pid, whether it halted, how it ended
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from harness.cli import main
from harness.stack import processes, services
from tests.support.mortal import end_with_parent, mortal
from tests.support.repository import ROOT
from tests.support.standin import StandIn
from tests.support.standin_harness import standin

DEADLINE_S = 120.0
"""A command that takes longer hangs."""

LATE = ("encodings.idna", "graphlib", "harness.doctor.known_issues", "harness.stack.up", "harness.nginx.private", "ssl")
"""What a command loads only once it wants it."""


@dataclass
class Command:
    """One that has begun; its pid is its own until the next one begins."""

    pid: int
    errors: Path
    _process: "subprocess.Popen[bytes]"
    over: bool = False

    def wait(self) -> int | None:
        """How it ended: its exit code, or the negative number of a signal; None where it halted at its point."""
        found = _line(self._process, DEADLINE_S)
        assert found is not None, f"hangs: {self.errors.read_text()}"
        self.over = not found["halted"]
        return int(found["code"]) if self.over else None

    def end(self) -> None:
        """Kill it, unless it is over, so that the next one can begin."""
        while not self.over:
            self.kill()
            self.wait()

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by then; nothing is taken off the pipe."""
        assert self._process.stdout
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def kill(self) -> None:
        """`kill -9`."""
        os.kill(self.pid, signal.SIGKILL)

    def go_on(self) -> None:
        """Have it go on from where it halted."""
        os.kill(self.pid, signal.SIGCONT)


class Commands:
    """Commands of the harness, one after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: Path) -> None:
        self._process, self._errors = process, errors
        self.last: Command | None = None

    def begin(self, stack: StandIn, words: Sequence[str], point: str | None = None, *, halt: bool = False) -> Command:
        """Begin a command that is killed at a fault point if it gets there, or halts there until told to go on."""
        assert self._process.stdin
        if self.last:
            self.last.end()
        extra = {"HARNESS_FAULT_POINT": point} if point else {}
        job = {
            "words": list(words),
            "environment": stack.environment(extra),
            "directory": str(stack.directory),
            "errors": str(self._errors),
            "halt": halt,
        }
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        begun = _line(self._process, DEADLINE_S)
        assert begun is not None, "it was not begun"
        self.last = Command(begun["pid"], self._errors, self._process)
        return self.last

    def killed(self, stack: StandIn, point: str, *words: str) -> int | None:
        """Run a command that is killed at a fault point if it gets there; returns how it ended."""
        return self.begin(stack, words, point).wait()


@contextmanager
def commands() -> Iterator[Commands]:
    """The process that commands are forked from; one that is still at work is killed in the end."""
    with (
        tempfile.TemporaryDirectory() as directory,
        # Unbuffered: whether a line is there is asked of the pipe.
        subprocess.Popen(
            mortal("tests.support.killing"), bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        ) as process,
    ):
        made = Commands(process, Path(directory) / "stderr")
        try:
            yield made
        finally:
            assert process.stdin
            if made.last and not made.last.over:
                made.last.kill()
            process.stdin.close()


def _line(process: "subprocess.Popen[bytes]", within_s: float) -> dict[str, Any] | None:
    assert process.stdout
    if not select.select([process.stdout], [], [], within_s)[0]:
        return None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def _become(job: dict[str, Any]) -> int:
    # A halted one would stay for ever.
    end_with_parent()
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["directory"])
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    os.dup2(os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    if job["halt"]:
        mock.patch.object(processes, "kill_this_one", _halt).start()
    services.SERVICES = tuple(standin(service) for service in services.SERVICES)
    return main(job["words"])


def _halt() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _serve() -> None:
    for name in LATE:
        importlib.import_module(name)
    child = 0
    for line in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = _become(json.loads(line))
                sys.stderr.flush()
            finally:
                os._exit(code)
        _tell(pid=child)
        while True:
            # It is left to be waited for, so that its pid cannot become somebody else's before the next command.
            found = os.waitid(os.P_PID, child, os.WEXITED | os.WSTOPPED | os.WNOWAIT)
            assert found is not None
            if found.si_code != os.CLD_STOPPED:
                break
            os.waitid(os.P_PID, child, os.WSTOPPED)
            _tell(halted=True)
        _tell(halted=False, code=found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)


if __name__ == "__main__":
    _serve()
