"""The parent of one service: waits for it and writes down when and how it ended.

Run by its path as a program of its own, with nothing but the standard library, so that it starts in milliseconds and
takes nothing with it when it is killed: the service then runs on, and only its exit status is lost.

    keeper.py RECORD OLDER_LOG LOG_LIMIT_BYTES LOOK_EVERY_S COMMAND ARGUMENT…
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def write(path: str, record: dict[str, Any]) -> None:
    """Replace the record as a whole, readable by its owner only."""
    aside = f"{path}.{os.getpid()}"
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        json.dump(record, file)
    os.replace(aside, path)


def bound(limit: int, older: str) -> None:
    """Move the end of a log that has grown too large aside and go on from its start.

    Standard output is the log, opened for appending, so that the service's next line lands at the new end. Lines
    written between copy and cut are lost; a service that could only write through a keeper would die with it.
    """
    size = os.fstat(1).st_size
    if size <= limit:
        return
    aside = f"{older}.{os.getpid()}"
    try:
        target = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        at = size - limit
        while at < size and (sent := os.sendfile(target, 1, at, size - at)):
            at += sent
        os.close(target)
        os.replace(aside, older)
    except OSError:
        # On a full disk, say: there what is older is given up, for the log to go on.
        with contextlib.suppress(OSError):
            os.unlink(aside)
    os.ftruncate(1, 0)


def main(arguments: list[str]) -> int:
    """Start the service, pass signals on, and write its end into the record."""
    path, older_log, limit, every, *command = arguments
    record: dict[str, Any] = {
        "keeper": os.getpid(),
        "pid": None,
        "started_at": time.time(),
        "ended_at": None,
        "exit_status": None,
        "signal": None,
        "error": None,
    }
    watched = {signal.SIGCHLD, *FORWARDED}
    # Numbers of signals come by a pipe: sigtimedwait hands out an arbitrary one when it is halted and goes on late.
    arrived, wake = os.pipe()
    for end in (arrived, wake):
        os.set_blocking(end, False)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for each in watched:
        signal.signal(each, lambda *_: None)
    try:
        pid = os.posix_spawn(
            command[0], command, os.environ, setsigmask=(), setsigdef=(*FORWARDED, signal.SIGPIPE, signal.SIGXFSZ)
        )
    except OSError as error:
        write(path, record | {"ended_at": time.time(), "error": f"{command[0]}: {error.strerror}"})
        return 127
    record["pid"] = pid
    write(path, record)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
    while True:
        for number in os.read(arrived, 64) if select.select([arrived], [], [], float(every))[0] else b"":
            if number in FORWARDED:
                # The service has not been waited for, so its pid cannot be anybody else's.
                os.kill(pid, number)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            how = {"exit_status": code} if code >= 0 else {"signal": signal.Signals(-code).name}
            write(path, record | how | {"ended_at": time.time()})
            return 0
        bound(int(limit), older_log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
