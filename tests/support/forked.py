"""Programs of ours that are forked from a process that has loaded what they need: loading takes most of a start.

python -P tests/support/forked.py SOCKET CWD MODULE…     # loads the modules, then starts what it is told to

What such a program runs is what `python -m` runs, with its own arguments, environment and streams. It ends with the
process that asked for it, also when that one is killed.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

EMULATOR = ("fixtures.emulator.cli",)
SERVER = ("mp_mcp_server.server", "mp_mcp_server.serving", "mp_mcp_server.piped")
"""What a program finds loaded."""

_FIRST_INHERITED = 3
_MOST_DESCRIPTORS = 65_536


class Forked:
    """One program; the part of `subprocess.Popen` that tests use.

    stderr: what it writes there, where that is a pipe
    """

    def __init__(self, words: tuple[str, ...], pid: int, told: int, stderr: TextIO | None) -> None:
        self.args, self.pid, self.stderr = words, pid, stderr
        self.returncode: int | None = None
        self._told, self._lock = told, threading.Lock()

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self.returncode if self._has_ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit status, or the negative number of a signal."""
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def _has_ended(self, timeout: float | None) -> bool:
        with self._lock:
            if self.returncode is None and _readable(self._told, timeout):
                said = _line(self._told)
                # Its pid is its own until this end of the pipe is closed.
                os.close(self._told)
                assert said, "what it was forked from is gone"
                self.returncode = int(said)
            return self.returncode is not None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.stderr:
            self.stderr.close()
        self.wait()


@dataclass
class _Nursery:
    """A process that has loaded some modules."""

    wire: socket.socket
    process: "subprocess.Popen[bytes]"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, job: Mapping[str, Any], *descriptors: int) -> tuple[int, int]:
        """The pid of a new program, and the pipe that tells how it ends."""
        told, tells = os.pipe()
        try:
            with self.lock:
                text = json.dumps(job).encode() + b"\n"
                sent = socket.send_fds(self.wire, [text], [*descriptors, tells])
                self.wire.sendall(text[sent:])
                os.close(tells)
                tells = -1
                said = _line(told)
            assert said, f"what it is forked from has ended: {self.process.poll()}"
        except BaseException:
            os.close(told)
            raise
        finally:
            if tells >= 0:
                os.close(tells)
        return int(said), told

    def end(self) -> None:
        self.wire.close()
        self.process.wait()


_nurseries: dict[tuple[str, ...], _Nursery] = {}
_opening = threading.Lock()


def start(
    loaded: tuple[str, ...], module: str, *arguments: str, env: Mapping[str, str], stdout: int, stderr: int
) -> Forked:
    """Start `python -m MODULE [ARGUMENT…]`, its stdin empty.

    Args:
        loaded: what it finds loaded, EMULATOR or SERVER
        env: all of its environment
        stdout: a descriptor, or subprocess.DEVNULL
        stderr: a descriptor, or subprocess.PIPE
    """
    job = {"module": module, "arguments": arguments, "environment": dict(env), "directory": str(Path.cwd())}
    nursery = _nursery(loaded)
    read, write = os.pipe() if stderr == subprocess.PIPE else (-1, -1)
    null = os.open(os.devnull, os.O_RDWR)
    try:
        pid, told = nursery.ask(
            job, null, null if stdout == subprocess.DEVNULL else stdout, stderr if write < 0 else write
        )
    except BaseException:
        if read >= 0:
            os.close(read)
        raise
    finally:
        os.close(null)
        if write >= 0:
            os.close(write)
    return Forked((module, *arguments), pid, told, os.fdopen(read, encoding="utf-8") if read >= 0 else None)


def _nursery(loaded: tuple[str, ...]) -> _Nursery:
    with _opening:
        if loaded not in _nurseries:
            ours, theirs = socket.socketpair()
            with theirs:
                number = theirs.fileno()
                command = [sys.executable, "-P", __file__, str(number), str(Path(__file__).parents[2]), *loaded]
                # Numbers are reckoned with by one thread: others would not live on in what is forked.
                alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
                process = subprocess.Popen(command, pass_fds=[number], stdin=subprocess.DEVNULL, env=alone)
            _nurseries[loaded] = _Nursery(ours, process)
            atexit.register(_nurseries[loaded].end)
        return _nurseries[loaded]


def _readable(descriptor: int, timeout: float | None) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if timeout is None else max(0.0, timeout) * 1000))


def _line(descriptor: int) -> str:
    """Up to the end of the line, and not a byte more; what there was, where there is no end."""
    read = b""
    while piece := os.read(descriptor, 1):
        if piece == b"\n":
            break
        read += piece
    return read.decode()


# From here on, what runs in the process that programs are forked from.


class _Births:
    """Starts what it is told to, and tells how it ended."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._living: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._woken, wakes = os.pipe()
        for end in (self._woken, wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> dict[str, Any] | None:
        """Until whoever asks is gone: None. In a new program: what it is to be."""
        while True:
            waiting = select.poll()
            waiting.register(self._wire, select.POLLIN)
            waiting.register(self._woken, select.POLLIN)
            for tells in self._ended:
                waiting.register(tells, 0)
            for descriptor, _ in waiting.poll():
                if descriptor == self._woken:
                    os.read(self._woken, 4096)
                    self._tell_of_the_ended()
                elif descriptor in self._ended:
                    os.close(descriptor)
                    os.waitpid(self._ended.pop(descriptor), 0)
                else:
                    job = self._next()
                    if job is None or job.get("child"):
                        return job

    def _next(self) -> dict[str, Any] | None:
        """None where nobody asks any more, {} in this process, and in the new one what it is to be."""
        text, descriptors, _, _ = socket.recv_fds(self._wire, 1 << 16, 4)
        while text and not text.endswith(b"\n"):
            text += self._wire.recv(1 << 16)
        if not text:
            for pid in self._living.values():
                os.kill(pid, signal.SIGKILL)
            return None
        *streams, tells = descriptors
        pid = os.fork()
        if pid == 0:
            _take(streams)
            return {"child": True, **json.loads(text)}
        for stream in streams:
            os.close(stream)
        self._living[tells] = pid
        os.write(tells, f"{pid}\n".encode())
        return {}

    def _tell_of_the_ended(self) -> None:
        for tells, pid in list(self._living.items()):
            # It is left to be waited for, so that its pid stays its own until its end is known.
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
                self._ended[tells] = self._living.pop(tells)
                try:
                    os.write(tells, f"{status}\n".encode())
                except BrokenPipeError:
                    continue  # nobody wants to know, and the closed pipe says so to the next poll


def _take(streams: list[int]) -> None:
    """In the new program: its own streams and signals, and nothing else of the process that it comes from."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        from tests.support.mortal import end_with_parent

        end_with_parent()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(_FIRST_INHERITED, _MOST_DESCRIPTORS)


def _main() -> None:
    number, root, *loaded = sys.argv[1:]
    sys.path.insert(0, root)
    wire = socket.socket(fileno=int(number))
    for name in loaded:
        importlib.import_module(name)
    gc.freeze()
    job = _Births(wire).serve()
    if job is None:
        os._exit(0)
    # Else what is frozen is never let go of, and the binding of duckdb prints a page about that.
    atexit.register(gc.unfreeze)
    wire.detach()
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["directory"])
    if "PYTHONUNBUFFERED" in os.environ:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]  # a file of Python's own
    sys.argv = [job["module"], *job["arguments"]]
    sys.path[0] = job["directory"]
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
