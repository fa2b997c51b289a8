"""A fetch in a process of its own, killed at a named point of it.

`python -m tests.support.killed_fetch DATABASE FROM TO one|pieces first|append POINT`, where a point is
`module:function:before|after:N`: SIGKILL before or after the N-th call of that function.
"""

import importlib
import os
import signal
import sys
import threading
from typing import Any

from mixpanel_data import Workspace


def kill_at(point: str) -> None:
    """Have this process killed before or after the N-th call of a function."""
    module_name, function_name, moment, number = point.split(":")
    owner: Any = importlib.import_module(module_name)
    *path, name = function_name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    lock, calls = threading.Lock(), 0

    def watched(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        with lock:
            calls += 1
            mine = calls
        if mine == int(number) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **named)
        if mine == int(number) and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, watched)


if __name__ == "__main__":
    database, first, last, how, where, point = sys.argv[1:]
    kill_at(point)
    with Workspace(path=database) as workspace:
        workspace.fetch_events(
            from_date=first, to_date=last, progress=False, append=where == "append",
            parallel=how == "pieces", chunk_days=3, max_workers=2,
        )  # fmt: skip
