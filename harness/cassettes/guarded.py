"""A program of ours behind a guard, in that program's place, and whatever it starts in Python behind guards as well.

    python -m harness.cassettes.guarded FILE MODULE ARGUMENTS…

Where one of them tries to go beyond this machine it is stopped, and FILE gets a line at once: whoever is killed
afterwards is counted all the same.
"""

import contextlib
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.cassettes.guard import Guard

MODULE = "harness.cassettes.guarded"

_WITH_A_WORD = ("-W", "-X")
"""Options of Python that take the next word."""


def read(file: Path) -> list[str]:
    """Where to, one entry for each attempt; none where there is no file."""
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def behind(command: Sequence[str], file: Path) -> tuple[str, ...]:
    """The command with a guard before the module that it runs; as it is where it runs none with this Python."""
    words = [os.fspath(word) for word in command]
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "-c"):
        at += 2 if words[at] in _WITH_A_WORD else 1
    if words[:1] != [sys.executable] or words[at : at + 1] != ["-m"] or words[at + 1] == MODULE:
        return tuple(words)
    return (*words[: at + 1], MODULE, str(file.absolute()), *words[at + 1 :])


@contextlib.contextmanager
def children(file: Path) -> Iterator[None]:
    """What this process starts meanwhile is behind a guard, if it is a module that this Python runs."""
    begin: Any = subprocess.Popen.__init__

    def begun(self: Any, args: Any, *others: Any, **options: Any) -> None:
        begin(self, behind(args, file) if isinstance(args, list | tuple) else args, *others, **options)

    subprocess.Popen.__init__ = begun  # type: ignore[method-assign]
    try:
        yield
    finally:
        subprocess.Popen.__init__ = begin  # type: ignore[method-assign]


def main(argv: Sequence[str]) -> None:
    """Run the module as `python -m` would."""
    file, module, *arguments = argv
    with Path(file).open("a", encoding="utf-8", buffering=1) as said, children(Path(file)):
        guard = Guard(lambda where: said.write(f"{where}\n"))
        sys.argv = [module, *arguments]
        guard.on = True
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
