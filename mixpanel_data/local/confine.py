"""SQL of somebody else: one SELECT, in a process of its own that can do nothing else.

The engine's own bounds do not hold alone: `repeat('x', 3000000000)` computes for half a minute and fills 6 GB whatever
`memory_limit` says, and is not interrupted meanwhile. So each query runs in a child process whose memory the kernel
bounds and which is ended when its time is over: a copy, made for this one query, of a process that has the engine
loaded (`zygote`), in which `confined` runs.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpanel_data import clock, interrupts
from mixpanel_data.errors import DatabaseLockedError, DatabaseNotFoundError, InvalidArgumentError, StorageError
from mixpanel_data.local import store
from mixpanel_data.local.door import door
from mixpanel_data.local.query import SQLResult, query_error
from mixpanel_data.local.workdir import workdir

if TYPE_CHECKING:
    from mixpanel_data.local.place import Place

MAX_ROWS = 10_000
MAX_BYTES = 4_000_000
TIMEOUT_S = 30.0
# How much longer than its time a child may take to say so.
GRACE_S = 2.0
# Each may fill as much memory as it is allowed; more of them wait.
AT_ONCE = 4

_FIX_TIME = "ask for less at once: fewer rows, a narrower filter, no join without a condition"
_FIX_MEMORY = "ask for less at once: aggregate, select fewer columns, or add a filter"


def select(
    place: Place,
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
    if not store.exists(place):
        raise DatabaseNotFoundError(str(place))
    at = door(place)
    if at.held == "write" and isinstance(place, Path):
        raise DatabaseLockedError(str(place), holding_pid=os.getpid(), holder="this process (Workspace.connection)")
    request = {
        "query": query,
        "max_rows": max_rows,
        "max_bytes": max_bytes,
        "timeout_s": timeout_s,
        "lock_wait_s": store.LOCK_WAIT_S,
    }
    with ExitStack() as stack:
        if isinstance(place, Path):
            stack.enter_context(at.entered("read", store.LOCK_WAIT_S))
        answer = _asked(request | _where(place, stack), timeout_s + store.LOCK_WAIT_S + GRACE_S)
    if "rows" in answer:
        return SQLResult(tuple(answer["columns"]), tuple(map(tuple, answer["rows"])), answer["truncated"])
    kind, text = answer["error"], answer["text"]
    if kind == "locked":
        raise DatabaseLockedError(str(place), holding_pid=answer["pid"])
    if kind == "storage":
        raise StorageError(text, fix=answer["fix"])
    if kind == "time":
        raise query_error(query, f"the query took longer than {timeout_s:g} s", _FIX_TIME)
    raise query_error(query, text, _FIX_MEMORY if kind == "memory" else answer.get("fix"))


def _where(place: Place, stack: ExitStack) -> dict[str, str]:
    """The file to read and the directory to spill into, for as long as the stack lasts."""
    try:
        home = stack.enter_context(workdir(place))
    except StorageError:
        if not isinstance(place, Path):
            raise
        return {"path": str(place), "spill": ""}  # beside a file that may only be read, the engine does without
    spill = home / "spill"
    spill.mkdir()
    if isinstance(place, Path):
        return {"path": str(place), "spill": str(spill)}
    # Another process cannot look into the memory of this one.
    snapshot = home / "snapshot.db"
    store.copy(place, snapshot)
    return {"path": str(snapshot), "spill": str(spill)}


class _Zygote:
    """The process whose copies run queries, as seen from here."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        # An empty environment but for the search path: whatever secrets ours holds are none of the child's business.
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mixpanel_data.local.zygote"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)},
                cwd="/",
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: bytes, patience_s: float) -> bytes:
        """The answer of a copy, empty if it ended without one; the copy is gone when this returns.

        Raises:
            Ended: the work of this thread is to end.
            TimeoutError: it took longer.
            BrokenPipeError: the zygote has ended.
        """
        deadline = clock.monotonic() + patience_s
        talk, theirs = socket.socketpair()
        life, watched = socket.socketpair()
        with talk, life:
            with theirs, watched:
                self._send(theirs, watched)
            ending = interrupts.current()
            try:
                with ending.heard_by(lambda: _hang_up(talk)):
                    answer = _conversation(talk, request, deadline)
                ending.check()
            finally:
                talk.close()
                gone = _gone(life)
        if not answer and not gone:
            raise BrokenPipeError
        return answer

    def _send(self, *sockets: socket.socket) -> None:
        try:
            socket.send_fds(self._control, [b"1"], [one.fileno() for one in sockets])
        except OSError as error:
            raise BrokenPipeError from error

    def end(self) -> None:
        """End it and its copies, and wait until they are gone."""
        self._control.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Let go of it in a copy of the process that it belongs to."""
        self._control.close()
        self._process.returncode = 0  # it is not this process's child: there is nothing to wait for


def _hang_up(talk: socket.socket) -> None:
    with suppress(OSError):
        talk.shutdown(socket.SHUT_RDWR)


def _conversation(talk: socket.socket, request: bytes, deadline: float) -> bytes:
    answer = bytearray()
    try:
        talk.settimeout(_left(deadline))
        talk.sendall(request)
        while True:
            talk.settimeout(_left(deadline))
            piece = talk.recv(65_536)
            if not piece:
                return bytes(answer)
            answer += piece
    except (BrokenPipeError, ConnectionResetError):
        return b""


def _gone(life: socket.socket) -> bool:
    """Let the copy be ended, and wait until it is; false where there is nobody to do so."""
    life.settimeout(GRACE_S)
    try:
        life.shutdown(socket.SHUT_WR)
        return bool(life.recv(1))
    except OSError:
        return False


def _left(deadline: float) -> float:
    return max(deadline - clock.monotonic(), 0.001)


_zygotes: list[_Zygote] = []
_starting = threading.Lock()
_places = threading.Semaphore(AT_ONCE)


def pid() -> int | None:
    """The process whose copies run queries; None while there is none."""
    return _zygotes[0].pid if _zygotes else None


def end() -> None:
    """End that process; the next query starts another one. It ends with this process anyway."""
    with _starting:
        while _zygotes:
            _zygotes.pop().end()


def _zygote(instead_of: _Zygote | None = None) -> _Zygote:
    with _starting:
        if instead_of in _zygotes:
            _zygotes.pop().end()
        if not _zygotes:
            _zygotes.append(_Zygote())
        return _zygotes[0]


def _forget() -> None:
    global _starting, _places
    # Threads that are not in this copy of the process may hold them.
    _starting, _places = threading.Lock(), threading.Semaphore(AT_ONCE)
    while _zygotes:
        _zygotes.pop().forget()


atexit.register(end)
os.register_at_fork(after_in_child=_forget)


def _asked(request: dict[str, Any], patience_s: float) -> dict[str, Any]:
    text = json.dumps(request).encode() + b"\n"
    if not _places.acquire(timeout=patience_s):
        return {"error": "time", "text": ""}
    try:
        zygote = _zygote()
        try:
            answer = zygote.ask(text, patience_s)
        except BrokenPipeError:
            # Somebody has ended it; one that has just started is another matter.
            answer = _zygote(instead_of=zygote).ask(text, patience_s)
    except TimeoutError:
        return {"error": "time", "text": ""}
    finally:
        _places.release()
    if not answer:
        # The kernel gave it no more memory at a point where the engine could not say so.
        return {"error": "memory", "text": "the query needs more memory than it may have"}
    document: dict[str, Any] = json.loads(answer)
    return document
