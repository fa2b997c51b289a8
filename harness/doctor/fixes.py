"""What `--fix` can do: each with what it will do in words, and what puts it back."""

import io
import stat
from pathlib import Path

from harness import clock
from harness.doctor.check import Run
from harness.doctor.sight import Sight
from harness.progress import Lines
from harness.stack import look, processes
from harness.stack.down import end_service
from harness.stack.state import Member
from harness.stack.up import LOCK_WAIT_S, Wish, up


def start(sight: Sight, name: str) -> Run:
    """Start a service that has died, as the rest of its stack was started."""

    def apply() -> None:
        up(sight.settings, sight.catalogue, Wish(services=(name,)), progress=Lines(io.StringIO()))

    return Run(f"starts it again: harness up {name}", apply, undo=lambda: _end(sight, name))


def restart(sight: Sight, name: str, *, safe: bool = True) -> Run:
    """End a service and start it again; whoever talks to it is cut off."""

    def apply() -> None:
        up(sight.settings, sight.catalogue, Wish(again=(name,)), progress=Lines(io.StringIO()))

    return Run(f"ends it and starts it again: harness restart {name}", apply, safe=safe)


def go_on(member: Member) -> Run:
    """Have what is halted of a service go on from where it is."""

    def apply() -> None:
        for who in processes.halted(member):
            processes.let_go_on(who)

    return Run("has it go on from where it is: SIGCONT", apply)


def end_strays(sight: Sight) -> Run:
    """End what belongs to this stack by its environment and to no service that lives."""

    def apply() -> None:
        with sight.state.lock(clock.Deadline(LOCK_WAIT_S)):
            processes.end(lambda: look.strays(sight.state, sight.state.read()), sight.settings.values.stack.grace_s)

    # With nothing written down, all of a working stack may be among them.
    return Run("ends them: SIGTERM, and SIGKILL after the grace period", apply, safe=sight.stack is not None)


def private(directory: Path) -> Run:
    """Make a directory its owner's alone."""
    before = stat.S_IMODE(directory.lstat().st_mode)
    return Run(
        f"makes {directory} yours alone: chmod 700",
        apply=lambda: directory.chmod(0o700),
        undo=lambda: directory.chmod(before),
    )


def forget(sight: Sight) -> Run:
    """Put a state file that cannot be read aside; what it told of is found by its environment."""
    path = sight.state.path / "stack.json"
    aside = path.with_name("stack.json.damaged")
    return Run(
        f"puts it aside as {aside.name}; the next harness up or down finds the stack's processes by their environment",
        apply=lambda: _moved(path, aside),
        undo=lambda: _moved(aside, path),
    )


def _moved(path: Path, to: Path) -> None:
    path.replace(to)


def _end(sight: Sight, name: str) -> None:
    with sight.state.lock(clock.Deadline(LOCK_WAIT_S)):
        end_service(sight.state, sight.state.read(), name, sight.settings.values.stack.grace_s)
