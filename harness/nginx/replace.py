"""Another content for a foreign file, whole or not at all, with all else of it kept where that can be."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import clock
from harness.errors import Exit, HarnessError

POLL_S = 0.05
LOCK_WAIT_S = 60.0
NOT_KEPT = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was found: its content, and how many names its inode has."""

    content: bytes
    mtime_ns: int
    links: int


def look(path: Path) -> Found | None:
    """A regular file, or None where there is none (any more).

    Raises:
        OSError: it may not be read
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return Found(file.read(), status.st_mtime_ns, status.st_nlink)


def prepare(path: Path, aside: Path, content: bytes, mtime_ns: int | None = None) -> list[str]:
    """Write what a file is to become beside it, with the file's own owner, mode and attributes.

    Args:
        aside: in the same directory; what stands there from a cut run is replaced
        mtime_ns: when it shall have been changed; now when None

    Returns:
        what could not be kept, one sentence each

    Raises:
        OSError
    """
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            lost = _keep(path, descriptor)
            if mtime_ns is not None:
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            os.fsync(descriptor)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return lost


def put(path: Path, aside: Path) -> None:
    """Let what was prepared take the file's place, and let that last."""
    aside.rename(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Let what changed in a directory last beyond a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def may_replace(path: Path) -> bool:
    """Whether this user can put another file in the place of this one, and leave it with its owner."""
    me = os.geteuid()
    if me == 0:
        return True
    directory = path.parent
    return path.stat().st_uid == me and os.access(path, os.R_OK | os.W_OK) and os.access(directory, os.W_OK | os.X_OK)


@contextlib.contextmanager
def held(directories: Collection[Path]) -> Iterator[None]:
    """Keep other harness commands, those of other stacks too, from these directories meanwhile.

    Raises:
        HarnessError: LOCKED (exit 124)
    """
    with contextlib.ExitStack() as stack:
        # In one order for everybody, so that two commands never wait for each other.
        for directory in sorted(set(directories)):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            hold(descriptor, directory)
        yield


def hold(descriptor: int, what: Path) -> None:
    """Lock an open file or directory for oneself until it is closed, or its holder ends, however it ends.

    Raises:
        HarnessError: LOCKED (exit 124)
    """
    deadline = clock.Deadline(LOCK_WAIT_S)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if deadline.passed():
                raise HarnessError(
                    "LOCKED",
                    f"another harness command has held {what} for {deadline.seconds:.0f} s",
                    fix="wait for it, or see which it is: pgrep -af 'harness nginx'",
                    exit_code=Exit.DEADLINE,
                ) from None
            clock.sleep(POLL_S)
        else:
            return


def _keep(path: Path, descriptor: int) -> list[str]:
    """Give the new file what the old one has; the mode last, since a change of owner takes bits from it."""
    lost = []
    before = path.stat()
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        lost.append(f"{path}: its owner could not be kept")
    for name in os.listxattr(path):
        try:
            os.setxattr(descriptor, name, os.getxattr(path, name))
        except OSError as error:
            if error.errno not in NOT_KEPT:
                raise
            lost.append(f"{path}: its attribute {name} could not be kept")
    os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
    return lost
