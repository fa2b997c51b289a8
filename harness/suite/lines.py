"""A program that is spoken to in lines of JSON: the server over stdio, and the copilot's client."""

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from harness import clock
from harness.errors import HarnessError

LAST_WORDS = 20
END_S = 10.0


class Program:
    """Started, spoken to, and ended on leaving.

    Args:
        environment: all that it sees
        log: file that takes what it says on standard error
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> None:
        self._name, self._log = Path(command[0]).name, log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
            )
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def say(self, message: Mapping[str, Any]) -> None:
        """One line to it.

        Raises:
            HarnessError: PROGRAM_ENDED
        """
        if self._process.stdin is None:
            raise AssertionError("it was started with a pipe")
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def heard(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """The messages that come, for so long; lines that are no JSON object are passed over.

        Raises:
            HarnessError: PROGRAM_ENDED, PROGRAM_SILENT
        """
        deadline = clock.Deadline(timeout_s)
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if isinstance(message, dict):
                        yield message
                continue
            self._rest += self._piece(deadline)

    def end(self) -> int:
        """Close its input, wait for its end, and end it where it does not come; its exit status."""
        process = self._process
        with contextlib.suppress(BrokenPipeError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return int(process.returncode)

    def words(self) -> tuple[str, ...]:
        """The last lines that it wrote to standard error."""
        return tuple(self._log.read_text(errors="replace").splitlines()[-LAST_WORDS:])

    def _piece(self, deadline: clock.Deadline) -> bytes:
        if self._process.stdout is None:
            raise AssertionError("it was started with a pipe")
        handle = self._process.stdout.fileno()
        ready, _, _ = select.select([handle], [], [], deadline.left_s())
        if not ready:
            raise HarnessError(
                "PROGRAM_SILENT",
                f"{self._name} said nothing for {deadline.seconds:.0f} s",
                fix="see its last lines",
                log=self.words(),
            )
        piece = os.read(handle, 1 << 20)
        if not piece:
            raise self._ended()
        return piece

    def _ended(self) -> HarnessError:
        return HarnessError(
            "PROGRAM_ENDED", f"{self._name} ended while it was spoken to", fix="see its last lines", log=self.words()
        )
