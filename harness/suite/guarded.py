"""A program of ours behind a guard, in that program's place.

    python -m harness.suite.guarded FILE MODULE ARGUMENTS…

Where it tries to go beyond this machine it is stopped, and FILE gets a line at once: whoever is killed afterwards is
counted all the same.
"""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cassettes.guard import Guard

MODULE = "harness.suite.guarded"


def read(file: Path) -> list[str]:
    """Where to, one entry for each attempt."""
    return file.read_text(encoding="utf-8").splitlines()


def main(argv: Sequence[str]) -> None:
    """Run the module as `python -m` would."""
    file, module, *arguments = argv
    said = Path(file).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 -- for as long as the program lives
    guard = Guard(lambda where: said.write(f"{where}\n"))
    sys.argv = [module, *arguments]
    guard.on = True
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
