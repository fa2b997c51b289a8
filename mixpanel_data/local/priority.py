"""Long work that lets everything else on the machine have the processor first."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

# How much nicer: enough for a question to be answered first, and not so much that a busy machine stops the work.
NICER = 5
_NICEST = 19


def give_way() -> None:
    """Let all others go first from now on: for a thread that does nothing else, for what is given up is gone for good.

    So do the threads that it begins. Only Linux counts this by thread; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):  # a system may forbid even this, and then all are alike
            nice = os.getpriority(os.PRIO_PROCESS, thread) + NICER
            os.setpriority(os.PRIO_PROCESS, thread, min(nice, _NICEST))


def giving_way(call: Callable[[], T]) -> T:
    """What the call gives, which is made in a thread that gives way, and so do the threads that it leaves behind."""
    with ThreadPoolExecutor(1, initializer=give_way) as thread:
        return thread.submit(call).result()
