"""The program whose copies run SQL of somebody else: it has loaded the engine, and is copied for each query.

To start an interpreter with the engine takes a third of a second, to copy one a few milliseconds. One copy is always
ready and waits, so that a query meets an engine that has started already. It holds no file but the sockets to whoever
asks, and ends, with all its copies, when the asker has ended, in whatever way.

It never uses the engine itself: that starts threads, and a process with threads cannot be copied safely.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

from mixpanel_data.local import confined


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that waits for its order."""

    pid: int
    orders: socket.socket


class Zygote:
    """Makes a copy for each message on `control`.

    A message brings two sockets: one for the copy, which finds its request there and answers it; and one whose end
    says that the copy may go, and on which it is told that the copy is gone.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._busy: dict[int, tuple[int, socket.socket]] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Work until nobody can ask any more."""
        spare: _Copy | None = None
        while True:
            # The next copy is made when there is nothing better to do: it starts an engine, which takes its time.
            spare = spare or (None if self._busy else self._copy())
            for ready, _ in self._poll.poll():
                if ready != self._control.fileno():
                    self._end(ready)
                    continue
                message, files, _, _ = socket.recv_fds(self._control, 1, 2)
                if not message:
                    self._end_all(spare)
                    return
                self._begin(spare, *files)
                spare = None

    def _begin(self, copy: _Copy | None, talk: int, life: int) -> None:
        copy = copy or self._copy()
        while not _sent(copy, talk):
            os.waitpid(copy.pid, 0)
            copy = self._copy()
        os.close(talk)
        copy.orders.close()
        self._poll.register(life, select.POLLIN)
        self._busy[life] = (copy.pid, socket.socket(fileno=life))

    def _copy(self) -> _Copy:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            # A copy keeps nothing that tells another one, or us, that somebody is still there.
            self._control.close()
            ours.close()
            for _, life in self._busy.values():
                life.close()
            confined.serve(theirs)
        theirs.close()
        return _Copy(pid, ours)

    def _end(self, life: int) -> None:
        # Nobody else waits for it, so that its number cannot have become another process's.
        pid, ours = self._busy.pop(life)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._poll.unregister(life)
        with suppress(OSError), ours:
            ours.send(b"1")  # the end alone could be that of this process

    def _end_all(self, spare: _Copy | None) -> None:
        for life in list(self._busy):
            self._end(life)
        if spare is not None:
            spare.orders.close()
            os.waitpid(spare.pid, 0)


def _sent(copy: _Copy, talk: int) -> bool:
    with suppress(OSError):
        socket.send_fds(copy.orders, [b"1"], [talk])
        return True
    return False


def main() -> None:
    """Serve the socket on standard input."""
    # Ctrl-C at the terminal is the asker's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.freeze()  # so that copies share these pages
    Zygote(control).serve()
    os._exit(0)  # there is nothing to tidy up that the end of a process does not


if __name__ == "__main__":
    main()
