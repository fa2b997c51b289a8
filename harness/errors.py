"""Errors of the harness: what happened, what to do, and the exit code that says so to a script."""

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes of every command."""

    GOOD = 0
    FAILED = 1
    USAGE = 2
    WARNINGS = 3
    COULD_NOT_CHECK = 4
    CONFLICT = 5
    CREDENTIALS = 6
    NOT_RUNNING = 7
    UNDO_INCOMPLETE = 8
    DEADLINE = 124
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.GOOD: "good",
    Exit.FAILED: "a check, a case, a tool or a service failed",
    Exit.USAGE: "usage or settings",
    Exit.WARNINGS: "warnings only, with `--strict`",
    Exit.COULD_NOT_CHECK: "could not check: not Linux, or an error inside `harness` itself",
    Exit.CONFLICT: "conflict with somebody else's process or file",
    Exit.CREDENTIALS: "credentials missing or refused",
    Exit.NOT_RUNNING: "nothing is running",
    Exit.UNDO_INCOMPLETE: "an undo is incomplete",
    Exit.DEADLINE: "a deadline passed",
    Exit.INTERRUPTED: "interrupted",
}


class HarnessError(Exception):
    """An expected error: a stable code, what happened, what to do.

    Args:
        code: stable name in capitals, for programs
        cause: one sentence about what happened
        fix: a command, a setting or a value that mends it
        exit_code: what the command exits with
        log: last lines of the service that the error is about, oldest first
    """

    def __init__(
        self, code: str, cause: str, *, fix: str, exit_code: Exit = Exit.FAILED, log: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{cause}\n  fix: {fix}")
        self.code, self.cause, self.fix, self.exit_code, self.log = code, cause, fix, exit_code, log

    def to_dict(self) -> dict[str, Any]:
        """The envelope `{code, cause, fix}`, with `log` where a service had something to say."""
        envelope: dict[str, Any] = {"code": self.code, "cause": self.cause, "fix": self.fix}
        return envelope | ({"log": list(self.log)} if self.log else {})


def nearest(name: str, known: list[str]) -> str:
    """The sentence that leads from a wrong name to the right ones."""
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are: {', '.join(sorted(known))}"
