"""A fetch in a process of its own, sent a signal at a named point of it or after a while.

`python -m tests.support.killed_fetch DATABASE FROM TO one|pieces|profiles|pages first|append SIGKILL|SIGINT POINT`; a
point is `module:function:before|after:N`, before or after the N-th call of that function, or `time:SECONDS`.
"""

import importlib
import os
import signal
import sys
import threading
from typing import Any

from mixpanel_data import Workspace


def send_at(number: int, point: str) -> None:
    """Have this process sent that signal before or after the N-th call of a function, or after some seconds."""
    if point.startswith("time:"):
        later = threading.Timer(float(point.removeprefix("time:")), os.kill, (os.getpid(), number))
        later.daemon = True
        later.start()
        return
    module_name, function_name, moment, nth = point.split(":")
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
        if mine == int(nth) and moment == "before":
            os.kill(os.getpid(), number)
        result = original(*arguments, **named)
        if mine == int(nth) and moment == "after":
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, watched)


def fetch(workspace: Workspace, first: str, last: str, how: str, *, append: bool) -> None:
    """Fetch in that way."""
    if how in {"profiles", "pages"}:
        workspace.fetch_profiles(progress=False, append=append, parallel=how == "pages", max_workers=2)
    else:
        workspace.fetch_events(
            from_date=first, to_date=last, progress=False, append=append,
            parallel=how == "pieces", chunk_days=3, max_workers=2,
        )  # fmt: skip


if __name__ == "__main__":
    database, first_day, last_day, way, where, signal_name, at = sys.argv[1:]
    # What is imported when it is needed is no part of a fetch.
    for module in ("duckdb", "mixpanel_data.fetch", "mixpanel_data.profile_fetch"):
        importlib.import_module(module)
    # A shell has what it runs in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Workspace(path=database) as opened:
        send_at(signal.Signals[signal_name], at)
        fetch(opened, first_day, last_day, way, append=where == "append")
