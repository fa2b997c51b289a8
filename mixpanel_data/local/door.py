"""Who of this process is at a store: the calls take turns at one door per store, in order of arrival.

DuckDB refuses a second configuration of a file that is open in the process: those of the same mode are inside
together, others after them. What another process does with the file is `store`'s to wait for.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixpanel_data import interrupts
from mixpanel_data.errors import DatabaseLockedError, StorageError
from mixpanel_data.local.place import Memory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from mixpanel_data.local.place import Place

Mode = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Host:
    """An engine of this process that has the store open to write, and lets others look meanwhile.

    catalog: the store's name in it
    """

    con: duckdb.DuckDBPyConnection
    catalog: str


class Door:
    """Who of this process is at one database."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._mode: object = None
        self._inside = 0
        self._host: Host | None = None
        self._guests = 0
        # Opening and closing one at a time: a file that is closed late would take the locks of one opened early along.
        self.opening = threading.Lock()
        self.holding: list[Mode] = []
        self.looked_at: set[tuple[int, int]] = set()

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

    @contextmanager
    def visited(self, wait_s: float) -> Iterator[Host | Mode | None]:
        """Be inside for a short look.

        Yields:
            The host, where there is one; "read" among others who read; else None: nobody else is inside.
        """
        as_what = self.enter(object(), wait_s, visits=True)
        try:
            yield as_what if isinstance(as_what, Host) else "read" if as_what == "read" else None
        finally:
            self.leave(as_what)

    @contextmanager
    def hosting(self, host: Host) -> Iterator[None]:
        """Who is inside alone lets visitors look, until the end; then those who still do are waited for."""
        with self._changed:
            self._host = host
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._host = None
                self._changed.wait_for(lambda: self._guests == 0)

    def enter(self, mode: object, wait_s: float, *, visits: bool = False) -> object:
        """What one is inside as: the mode; or, of one who visits, the mode of those who read, or the host."""
        ticket, ending = object(), interrupts.current()

        def may_enter() -> bool:
            fits = self._inside == 0 or self._mode == mode or (visits and self._mode == "read")
            return (self._queue[0] is ticket and fits) or (visits and self._host is not None)

        with ending.heard_by(self._look_again), self._changed:
            self._queue.append(ticket)
            try:
                if not self._changed.wait_for(lambda: ending.over.done() or may_enter(), timeout=wait_s):
                    raise DatabaseLockedError(str(self._place), holding_pid=os.getpid(), holder=self._holder())
                ending.check()
                if visits and self._host is not None:
                    self._guests += 1
                    return self._host
                self._mode = self._mode if self._inside else mode
                self._inside += 1
                return self._mode
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def leave(self, as_what: object = None) -> None:
        """Go; `as_what` is what `enter` gave to one who visited."""
        with self._changed:
            if isinstance(as_what, Host):
                self._guests -= 1
            else:
                self._inside -= 1
            self._changed.notify_all()

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _holder(self) -> str:
        return "this process (Workspace.connection)" if self.held else "this process (another call)"


_doors: dict[Path, Door] = {}
_doors_lock = threading.Lock()


def door(place: Place) -> Door:
    """The door of that store; the same one however a path is spelled."""
    with _doors_lock:
        if isinstance(place, Memory):
            place.door = place.door or Door(place)
            return place.door
        try:
            return _doors.setdefault(place.resolve(), Door(place))
        except (OSError, RuntimeError) as error:
            raise StorageError(f"{place} cannot be followed: {error}", fix="give the path of a file") from error
