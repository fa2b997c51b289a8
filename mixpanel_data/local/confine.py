"""SQL of somebody else: one SELECT, in a process of its own that can do nothing else.

The engine's own bounds do not hold alone: `repeat('x', 3000000000)` computes for half a minute and fills 6 GB whatever
`memory_limit` says, and is not interrupted meanwhile. So each query runs in a child process whose memory the kernel
bounds and which is ended when its time is over; `confined` is the program it runs. A child costs about 0.2 s.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mixpanel_data.errors import DatabaseLockedError, DatabaseNotFoundError, InvalidArgumentError, StorageError
from mixpanel_data.local import store
from mixpanel_data.local.query import SQLResult, query_error
from mixpanel_data.local.workdir import workdir

MAX_ROWS = 10_000
MAX_BYTES = 4_000_000
TIMEOUT_S = 30.0
# How much longer than its time a child may take to say so.
GRACE_S = 2.0

_FIX_TIME = "ask for less at once: fewer rows, a narrower filter, no join without a condition"
_FIX_MEMORY = "ask for less at once: aggregate, select fewer columns, or add a filter"


def select(
    path: Path,
    query: str,
    *,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> SQLResult:
    """Run one SELECT (or EXPLAIN of one) that can read the store and nothing else.

    Args:
        max_rows: at most so many rows; more are cut off and `truncated` says so
        max_bytes: the same for the size of the rows as JSON text
        timeout_s: how long it may take

    Returns:
        SQLResult with JSON-ready values.

    Raises:
        QueryError: not exactly one SELECT; the engine refuses or fails it; time, memory or temporary space is over.
        DatabaseNotFoundError, DatabaseLockedError, StorageError: as every call to the store.
    """
    for argument, bound in (("max_rows", max_rows), ("max_bytes", max_bytes), ("timeout_s", timeout_s)):
        if bound <= 0:
            raise InvalidArgumentError(argument, f"{bound} is not above 0", fix="give a number above 0")
    if not path.exists():
        raise DatabaseNotFoundError(path)
    at = store.door(path)
    if at.held == "write":
        raise DatabaseLockedError(path, holding_pid=os.getpid(), holder="this process (Workspace.connection)")
    request = {
        "path": str(path),
        "query": query,
        "max_rows": max_rows,
        "max_bytes": max_bytes,
        "timeout_s": timeout_s,
        "lock_wait_s": store.LOCK_WAIT_S,
    }
    with ExitStack() as stack:
        stack.enter_context(at.entered("read", store.LOCK_WAIT_S))
        try:
            spill = stack.enter_context(workdir(path)) / "spill"
            spill.mkdir()
            request["spill"] = str(spill)
        except StorageError:
            request["spill"] = ""  # beside a database that may only be read, the engine does without
        answer = _ask_child(request, timeout_s + store.LOCK_WAIT_S + GRACE_S)
    if "rows" in answer:
        return SQLResult(tuple(answer["columns"]), tuple(map(tuple, answer["rows"])), answer["truncated"])
    kind, text = answer["error"], answer["text"]
    if kind == "locked":
        raise DatabaseLockedError(path, holding_pid=answer["pid"])
    if kind == "storage":
        raise StorageError(text, fix="check the path and its permissions")
    if kind == "time":
        raise query_error(query, f"the query took longer than {timeout_s:g} s", _FIX_TIME)
    raise query_error(query, text, _FIX_MEMORY if kind == "memory" else answer.get("fix"))


def _ask_child(request: dict[str, Any], patience_s: float) -> dict[str, Any]:
    # An empty environment but for the search path: whatever secrets ours holds are none of the child's business.
    child = subprocess.Popen(
        [sys.executable, "-m", "mixpanel_data.local.confined"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)},
        cwd=request["spill"] or "/",
    )
    assert child.stdin is not None  # noqa: S101 -- piped above
    assert child.stdout is not None  # noqa: S101 -- piped above
    over = threading.Event()

    def end() -> None:
        over.set()
        child.kill()

    overdue = threading.Timer(patience_s, end)
    overdue.daemon = True
    overdue.start()
    try:
        # The pipe stays open behind the request: its end tells the child that we are gone.
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        answer = child.stdout.read()
    except BrokenPipeError:
        answer = b""
    finally:
        overdue.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()
    if over.is_set():
        return {"error": "time", "text": ""}
    if not answer:
        # The kernel gave it no more memory at a point where the engine could not say so.
        return {"error": "memory", "text": "the query needs more memory than it may have"}
    document: dict[str, Any] = json.loads(answer)
    return document
