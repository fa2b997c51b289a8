"""A directory beside the database for what lives only as long as one call: spools, and what the engine spills.

Its owner holds a lock on a file in it for as long as it is in use. The kernel lets go of that lock however the owner
ends, so whatever can be locked is left over from a crash, and whoever comes next sweeps it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_data.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def workdir(database: Path) -> Iterator[Path]:
    """A fresh directory that only this user can read, gone afterwards.

    Raises:
        StorageError: it cannot be made there.
    """
    home = database.parent / f".{database.name}.work"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(home)
        directory = Path(tempfile.mkdtemp(dir=home))
        lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StorageError(
            f"there is no room to work beside {database} ({error.strerror})",
            fix=f"make {database.parent} a directory that you may write to, or give another path",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)
        # Another call may be at work in it.
        with suppress(OSError):
            home.rmdir()


def sweep(home: Path) -> None:
    """Remove the directories in `home` whose owner is gone."""
    for directory in home.iterdir():
        try:
            lock = os.open(directory / "lock", os.O_RDWR)
        except FileNotFoundError:
            continue  # being made or being removed at this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)
