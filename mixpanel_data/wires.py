"""Connections to Mixpanel, each one request's at a time, so that somebody else can hang up.

A thread that waits for a byte cannot be told to stop. Its connection can be shut under it from any other thread, if
that one knows which it is; a pool of httpx's does not say. So a wire is a client of httpx's that knows one connection,
and the pool is a stack of wires.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mixpanel_data import interrupts
from mixpanel_data.errors import MixpanelDataError

if TYPE_CHECKING:
    import httpx

# How httpx tells of a connection that is made, or made safe; a proxy's are told in the same words.
_MADE = (".connect_tcp.complete", ".start_tls.complete")


class Wire:
    """A way to Mixpanel for one request at a time.

    Args:
        http: a client whose pool holds one connection
    """

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self._stream: Any = None
        self._hung_up = False

    def send(self, request: httpx.Request) -> httpx.Response:
        """The answer's head; its body has still to be read."""
        request.extensions["trace"] = self._hear
        return self.http.send(request, stream=True)

    def hang_up(self) -> None:
        """Have the request that is under way break off; for any thread.

        While an address is looked up or a connection being made nothing can be shut: it is as soon as it is there.
        """
        self._hung_up = True
        if self._stream is not None and (made := self._stream.get_extra_info("socket")) is not None:
            # Not the method of a TLS socket, which takes the keys away from the thread that reads.
            with suppress(OSError):
                socket.socket.shutdown(made, socket.SHUT_RDWR)

    def pick_up(self) -> None:
        """Begin with the next request."""
        self._hung_up = False

    def _hear(self, event: str, told: dict[str, Any]) -> None:
        if event.endswith(_MADE):
            self._stream = told["return_value"]
            if self._hung_up:
                self.hang_up()


class Wires:
    """As many wires as there are requests at once. For any number of threads.

    Args:
        connect: makes a client of httpx's
        most_idle: how many are kept when nobody needs them
    """

    def __init__(self, connect: Callable[[], httpx.Client], most_idle: int) -> None:
        self._connect, self._most_idle = connect, most_idle
        self._lock = threading.Lock()
        self._idle: list[Wire] = []
        self._busy: set[Wire] = set()
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[Wire]:
        """A wire, for the length of a `with`; when the work of the thread is to end, it hangs up and raises Ended.

        Raises:
            MixpanelDataError: they are closed.
        """
        wire = self._take()
        try:
            with interrupts.current().heard_by(wire.hang_up):
                yield wire
        finally:
            self._put_back(wire)

    def close(self) -> None:
        """Hang up on all; closing twice is fine."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for wire in self._busy:
                wire.hang_up()
        for wire in idle:
            wire.http.close()

    def _take(self) -> Wire:
        with self._lock:
            if self._closed:
                raise MixpanelDataError("the client is closed", fix="make another one, or ask before closing it")
            # The one that was used last, whose connection is the likeliest to be alive.
            wire = self._idle.pop() if self._idle else Wire(self._connect())
            wire.pick_up()
            self._busy.add(wire)
        return wire

    def _put_back(self, wire: Wire) -> None:
        with self._lock:
            self._busy.remove(wire)
            kept = not self._closed and len(self._idle) < self._most_idle
            if kept:
                self._idle.append(wire)
        if not kept:
            wire.http.close()
