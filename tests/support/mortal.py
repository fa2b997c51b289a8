"""A Python program that ends with the process that started it, also when that one is killed and can clear nothing up.

python -P tests/support/mortal.py PARENT MODULE [ARGUMENT…]     # as `python -m MODULE [ARGUMENT…]`, otherwise
"""

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def mortal(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as a program that ends with the caller's process.

    The kernel looks at the thread that starts it: it must be one that lives as long as the program is wanted.
    """
    # -P, or the modules beside this one would stand in front of everybody else's.
    return [sys.executable, "-P", __file__, str(os.getpid()), module, *arguments]


def end_with_parent() -> None:
    """Have the kernel end this process with the thread that has started it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _main() -> None:
    parent, module, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        end_with_parent()
        if os.getppid() != int(parent):  # it ended before the kernel was told
            sys.exit(1)
    sys.argv = [module, *arguments]
    sys.path.insert(0, str(Path.cwd()))  # as -m does it
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
