"""What only root may do: the one command that does it, and the question whether to run it."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import Exit, HarnessError


def command(state_dir: Path, *words: str) -> tuple[str, ...]:
    """A command of `harness nginx` as root, on the caller's own stack.

    It runs in `/`, so that no harness.toml names another stack; every path in it is absolute.
    """
    program = str(Path(sys.executable).with_name("harness"))
    return ("sudo", "env", "-C", "/", f"HARNESS_STATE_DIR={state_dir}", program, "nginx", *words)


def run_or_refuse(argv: Sequence[str], why: str, *, ask: bool, exit_code: Exit) -> None:
    """Run a command as root after consent on a terminal.

    Args:
        why: one sentence: what belongs to root
        ask: whether anybody may be asked; False for a program that wants JSON
        exit_code: of the refusal

    Raises:
        HarnessError: NEEDS_ROOT without a terminal or without consent; ROOT_FAILED where the command failed
    """
    shown = shlex.join(argv)
    if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
        raise _needed(why, shown, exit_code)
    sys.stderr.write(f"{why}\n  {shown}\nRun this now? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise _needed(f"{why}; it was not run", shown, exit_code)
    try:
        code = subprocess.run(argv, stdout=sys.stderr.fileno(), check=False).returncode
    except OSError as error:
        raise _needed(f"{why}; {argv[0]} cannot be run: {error.strerror}", shown, exit_code) from None
    if code:
        raise HarnessError(
            "ROOT_FAILED",
            f"it ended with exit status {code}: {shown}",
            fix="see what it says above, then run it again",
            exit_code=Exit(code) if code in list(Exit) else exit_code,
        )


def _needed(why: str, shown: str, exit_code: Exit) -> HarnessError:
    return HarnessError("NEEDS_ROOT", why, fix=f"run: {shown}", exit_code=exit_code)
