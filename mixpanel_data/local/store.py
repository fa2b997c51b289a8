"""The door to the local database: `connection` is the one place that turns a path into a connection.

Nobody holds the file. DuckDB lets in one writing process or many reading ones, and inside one process it refuses a
second configuration of a file that is open; so a call opens the file, works and closes it, and inside a process the
calls take turns at one door per file: those of the same mode together, others after them, in order of arrival.
A lock of another process is waited for.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb

from mixpanel_data import clock
from mixpanel_data.errors import DatabaseLockedError, DatabaseNotFoundError, MixpanelDataError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Mode = Literal["read", "write"]
Connection = duckdb.DuckDBPyConnection

LOCK_WAIT_S = 5.0
_RETRY_S = 0.05


class Door:
    """Who of this process is at one database file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._mode: object = None
        self._inside = 0
        # Opening and closing one at a time: a file that is closed late would take the locks of one opened early along.
        self.opening = threading.Lock()
        self.holding: list[Mode] = []

    @property
    def held(self) -> Mode | None:
        """The mode of the connections that users of this process hold, None when there are none."""
        return self.holding[0] if self.holding else None

    @contextmanager
    def entered(self, mode: object, wait_s: float) -> Iterator[None]:
        """Be inside with others of the same mode only; a mode that is equal to nothing else is inside alone."""
        self.enter(mode, wait_s)
        try:
            yield
        finally:
            self.leave()

    def enter(self, mode: object, wait_s: float) -> None:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                if not self._changed.wait_for(
                    lambda: self._queue[0] is ticket and (self._inside == 0 or self._mode == mode), timeout=wait_s
                ):
                    raise DatabaseLockedError(self._path, holding_pid=os.getpid(), holder=self._holder())
                self._mode = mode
                self._inside += 1
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def _holder(self) -> str:
        return "this process (Workspace.connection)" if self.held else "this process (another call)"


_doors: dict[Path, Door] = {}
_doors_lock = threading.Lock()


def door(path: Path) -> Door:
    """The door of that file; the same one however the path is spelled."""
    real = path.resolve()
    with _doors_lock:
        return _doors.setdefault(real, Door(path))


@contextmanager
def connection(path: Path, mode: Mode, *, wait_s: float = LOCK_WAIT_S) -> Iterator[Connection]:
    """A connection for the length of a `with`.

    Args:
        mode: read, or write, which makes the file and its directory when they are missing
        wait_s: how long to wait for others to let go of the file

    Raises:
        DatabaseNotFoundError: there is no file to read.
        DatabaseLockedError: others kept it.
        StorageError: it is not a database, or cannot be opened.
    """
    at = door(path)
    deadline = clock.monotonic() + wait_s
    # A connection that the user holds is of this process too: whoever comes takes its mode, or could not come at all.
    entry = at.held if at.held and not (mode == "write" and at.held == "read") else mode
    with at.entered(entry, wait_s):
        con = patiently(lambda: _open(at, path, entry), path, deadline)
        try:
            quiet(con)
            yield con
        finally:
            # Rows that nobody took may still be in the making, and closing would wait for them.
            con.interrupt()
            with at.opening:
                con.close()


def quiet(con: duckdb.DuckDBPyConnection) -> None:
    """Keep the engine from drawing a progress bar on standard output, where a caller's answer may be due.

    It does so after two seconds whenever it was imported before `__main__` had a file, as under `python -c`.
    """
    con.execute("set enable_progress_bar = false")


class Held:
    """The user's own connection: open from its first use until it is closed, and in everybody's way meanwhile."""

    def __init__(self, path: Path, mode: Mode) -> None:
        self._door = door(path)
        self._door.enter(mode, LOCK_WAIT_S)
        try:
            self.connection = patiently(lambda: _open(self._door, path, mode), path, clock.monotonic() + LOCK_WAIT_S)
        except BaseException:
            self._door.leave()
            raise
        self._mode: Mode = mode
        self._door.holding.append(mode)

    def close(self) -> None:
        with self._door.opening:
            self.connection.close()
        self._door.holding.remove(self._mode)
        self._door.leave()


def patiently(action: Callable[[], Connection], path: Path, deadline: float) -> Connection:
    """What opens the file, tried until another process has let go of it or the deadline has passed."""
    while True:
        try:
            return action()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise _as_ours(error, path) from error
            if clock.monotonic() >= deadline:
                pid = re.search(r"\(PID (\d+)\)", str(error))
                raise DatabaseLockedError(path, holding_pid=int(pid[1]) if pid else None) from error
        except duckdb.Error as error:
            raise _as_ours(error, path) from error
        clock.sleep(_RETRY_S)


def _open(at: Door, path: Path, mode: Mode) -> Connection:
    if mode == "read" and not path.exists():
        raise DatabaseNotFoundError(path)
    if mode == "write":
        prepare(path)
    with at.opening:
        return duckdb.connect(str(path), read_only=mode == "read")


def prepare(path: Path) -> None:
    """Make the directory that the file goes into; what is in it is one user's business."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the directory {path.parent} cannot be made ({error.strerror})", fix="give a path that you may write to"
        ) from error


def _as_ours(error: duckdb.Error, path: Path) -> MixpanelDataError:
    if "not a valid DuckDB database" in str(error):
        return StorageError(
            f"{path} is not a DuckDB database", fix="give the path of another file, or move this one away"
        )
    return StorageError(f"the database {path} cannot be opened: {error}", fix="check the path and its permissions")
