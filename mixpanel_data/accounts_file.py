"""The configuration file: read as it is, changed as a whole.

It holds secrets, so it is written with mode 0600, into a new file that takes the old one's place at once. Comments and
order stay. Who changes it holds a lock meanwhile, so that two who change it do not undo each other.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpanel_data import clock
from mixpanel_data.errors import ConfigError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

MODE, DIRECTORY_MODE = 0o600, 0o700
LONGEST_WAIT_S, LOOK_AGAIN_S = 5.0, 0.02


def read(path: Path) -> dict[str, Any]:
    """What stands in it; nothing where there is no such file.

    Raises:
        ConfigError: it cannot be read, or is not TOML, or its accounts are not tables; `details["path"]` says which.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"cannot be read: {type(error).__name__}", "make it readable, or remove it") from error
    except tomllib.TOMLDecodeError as error:
        # A parser's message may quote the line, and the line may be the secret: only the position is passed on.
        where = str(error).rpartition("(")[2].rstrip(")")
    else:
        accounts = document.get("accounts", {})
        if not isinstance(accounts, dict) or not all(isinstance(entry, dict) for entry in accounts.values()):
            raise _wrong(path, "has accounts that are not tables", "write accounts as [accounts.NAME]")
        return document
    raise _wrong(path, f"is not TOML ({where})", "correct that line")


def change(path: Path, edit: Callable[[TOMLDocument], None]) -> None:
    """Let `edit` change the file's document, and write it; if it raises, nothing is changed.

    A link stays one: what it points to is written.

    Raises:
        ConfigError: it cannot be read, as `read`, or written.
    """
    import tomlkit

    path = path.resolve()
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
    with _locked(path):
        read(path)
        with _disk_errors(path):
            text = path.read_bytes().decode() if path.exists() else ""
        document = tomlkit.parse(text)
        edit(document)
        with _disk_errors(path):
            _replace(path, tomlkit.dumps(document))


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # Nobody else may read it, not even before it has its name.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        with suppress(FileNotFoundError):
            new.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Not the file itself: it is replaced, and a lock would stay with the old one.
    import fcntl

    with _disk_errors(path):
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    deadline = clock.monotonic() + LONGEST_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if clock.monotonic() > deadline:
                    raise _wrong(path, "is being changed by another process", "try again when it has ended") from error
                clock.sleep(LOOK_AGAIN_S)
        yield
    finally:
        os.close(lock)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _wrong(path, f"cannot be written: {error.strerror}", "make its directory writable") from error


def _wrong(path: Path, what: str, fix: str) -> ConfigError:
    return ConfigError(f"{path} {what}", details={"path": str(path)}, fix=fix)
