"""Directories for what lives only as long as one call or one workspace: spools, spilled data, ephemeral databases.

Their owner holds a lock on them for as long as they are in use. The kernel lets go of that lock however the
owner ends, so whatever can be locked is left over from a crash, and whoever comes next sweeps it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_data.errors import StorageError
from mixpanel_data.local.place import Memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mixpanel_data.local.place import Place

PREFIX = "mixpanel-data-"


@contextmanager
def workdir(database: Place) -> Iterator[Path]:
    """A fresh directory that only this user can read, gone afterwards; beside the file where there is one.

    Raises:
        StorageError: it cannot be made there.
    """
    if isinstance(database, Memory):
        temporary = Temporary()
        try:
            yield temporary.path
        finally:
            temporary.close()
        return
    home = database.parent / f".{database.name}.work"
    try:
        directory, lock = _made_in_own(home)
    except OSError as error:
        raise StorageError(
            f"there is no room to work beside {database} ({error.strerror})",
            fix=f"make {database.parent} a directory that you may write to, or give another path",
        ) from error
    try:
        yield directory
    finally:
        _remove(directory, lock)
        # Another call may be at work in it.
        with suppress(OSError):
            home.rmdir()


class Temporary:
    """A directory where the system keeps such, which only this user can read.

    It is gone when it is closed or forgotten, when the interpreter ends, or, after a crash, when another one is made.

    Raises:
        StorageError: it cannot be made.
    """

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        try:
            sweep(base, PREFIX)
            self.path, lock = _made_in(base, PREFIX)
        except OSError as error:
            raise StorageError(
                f"there is no room for temporary data in {base} ({error.strerror})",
                fix="set TMPDIR to a directory that you may write to",
            ) from error
        self._end = weakref.finalize(self, _remove_own, os.getpid(), self.path, lock)

    def close(self) -> None:
        """Remove it; closing twice is fine."""
        self._end()


def sweep(home: Path, prefix: str = "") -> None:
    """Remove the directories in `home`, whose name begins so, if their owner is gone."""
    for directory in home.glob(f"{prefix}*"):
        with suppress(FileNotFoundError, NotADirectoryError):
            if directory.lstat().st_uid != os.getuid():
                continue  # somebody else's
            lock = _handle(directory)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)


def _made_in_own(home: Path) -> tuple[Path, int]:
    while True:
        # Whoever leaves it empty removes it, at any moment before ours is in it.
        with suppress(FileNotFoundError):
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            sweep(home)
            return _made_in(home)


def _made_in(home: Path, prefix: str | None = None) -> tuple[Path, int]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
        # Before it is locked, somebody's sweep may take it for one that was left over.
        try:
            lock = _handle(directory)
        except FileNotFoundError:
            if not home.exists():
                raise
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.exists():
            return directory, lock
        os.close(lock)


def _handle(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _remove(directory: Path, lock: int) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    os.close(lock)


def _remove_own(pid: int, directory: Path, lock: int) -> None:
    # A copy of the process that made it has the same finalizers, and must leave it alone.
    if os.getpid() == pid:
        _remove(directory, lock)
