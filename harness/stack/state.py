"""What is known about a stack between two commands: one directory, one file, one lock."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from harness import clock
from harness.errors import Exit, HarnessError
from harness.stack import front_door
from harness.stack.identity import Identity
from harness.stack.service import PROGRAMS
from harness.stack.timing import Timing

FORMAT = 1
POLL_S = 0.05


class Member(pydantic.BaseModel, frozen=True):
    """One started service.

    process: the service itself; keeper: its parent, which writes down how it ends
    started_at: ISO instant, UTC
    ready_s: seconds from its start to the last rung of its ladder; None while that is not proved
    """

    process: Identity
    keeper: Identity
    port: int
    url: str
    started_at: str
    ready_s: float | None = None


class Stack(pydantic.BaseModel, frozen=True):
    """One running stack.

    run_id: stands in the environment of everything that belongs to it
    launch: the settings that it was started with, by dotted name
    facts: what a service says of itself once it is up, without secrets
    elsewhere: service → the address at which somebody else runs it
    timing: of the last start
    """

    format: int = FORMAT
    run_id: str
    started_at: str
    launch: dict[str, Any]
    members: dict[str, Member] = {}
    facts: dict[str, dict[str, Any]] = {}
    elsewhere: dict[str, str] = {}
    timing: Timing | None = None


class Record(pydantic.BaseModel, frozen=True):
    """What a keeper wrote about its service: times in seconds since 1970."""

    keeper: int
    pid: int | None
    started_at: float
    ended_at: float | None
    exit_status: int | None
    signal: str | None
    error: str | None


class StateDirectory:
    """The directory in which one stack keeps its state: 0700, its files 0600, no symbolic link followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the directory and its parts, and refuse one that somebody else could change.

        Raises:
            HarnessError: STATE_DIR_UNSAFE (exit 5), STATE_DIR_UNUSABLE (exit 2)
        """
        for directory in (self.path, self.path / "run", self.path / "logs", self.path / "data"):
            try:
                directory.mkdir(mode=0o700, parents=directory == self.path, exist_ok=True)
                found = directory.lstat()
            except OSError as error:
                raise HarnessError(
                    "STATE_DIR_UNUSABLE",
                    f"{directory} cannot be made: {error.strerror}",
                    fix="set HARNESS_STATE_DIR to a directory that you can write to",
                    exit_code=Exit.USAGE,
                ) from error
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "not a directory of yours"
                raise HarnessError(
                    "STATE_DIR_UNSAFE",
                    f"{directory} is {what}",
                    fix="remove it, or set HARNESS_STATE_DIR to a directory of your own",
                    exit_code=Exit.CONFLICT,
                )
            if stat.S_IMODE(found.st_mode) != 0o700:
                directory.chmod(0o700)

    @contextlib.contextmanager
    def lock(self, deadline: clock.Deadline) -> Iterator[None]:
        """Hold the stack for oneself; it is free again when the holder ends, however it ends.

        Raises:
            HarnessError: LOCKED (exit 124) when another command holds it until the deadline
        """
        self.prepare()
        with self.open(self.path / "lock", os.O_RDWR | os.O_CREAT) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if deadline.passed():
                        holder = file.read().strip() or "unknown"
                        raise HarnessError(
                            "LOCKED",
                            f"another harness command (pid {holder}) has been at work on this stack for "
                            f"{deadline.seconds:.0f} s",
                            fix=f"wait for it, or end it: kill {holder}",
                            exit_code=Exit.DEADLINE,
                        ) from None
                    clock.sleep(POLL_S)
                    file.seek(0)
                else:
                    break
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    def read(self) -> Stack | None:
        """The stack that was started here, or None when there is none or its file cannot be read.

        A damaged file is as good as a lost one: processes are found by their environment.
        """
        text = self._text(self.path / "stack.json")
        if text is None:
            return None
        try:
            stack = Stack.model_validate_json(text)
        except pydantic.ValidationError:
            return None
        return stack if stack.format == FORMAT else None

    def write(self, stack: Stack) -> None:
        """Replace what is known, as a whole."""
        aside = self.path / f"stack.json.{os.getpid()}"
        with self.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            file.write(stack.model_dump_json(indent=1))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / "stack.json")

    def forget(self) -> None:
        """Remove what is known of the stack and what was made for its services; logs and local data stay."""
        for folder in (front_door.FOLDER, PROGRAMS):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for path in (self.path / "stack.json", *self.path.glob("stack.json.*"), *self.path.glob("run/*")):
            path.unlink(missing_ok=True)

    def record_path(self, service: str) -> Path:
        """Where the service's keeper writes."""
        return self.path / "run" / f"{service}.json"

    def record(self, service: str) -> Record | None:
        """What the keeper of a service wrote last, or None when there is nothing to read."""
        text = self._text(self.record_path(service))
        if text is None:
            return None
        try:
            return Record.model_validate_json(text)
        except pydantic.ValidationError:
            return None

    def log(self, service: str) -> Path:
        """The service's log of this run; the one before it has `.1` behind its name."""
        return self.path / "logs" / f"{service}.log"

    def retire_logs(self) -> None:
        """Put the logs of the run before aside, so that what is there is of this run."""
        for path in self.path.glob("logs/*.log"):
            if not path.name.startswith("crash-"):
                path.replace(older(path))

    def new_log(self, service: str) -> int:
        """A file descriptor on an empty log; the log of the run before is kept once."""
        path = self.log(service)
        with contextlib.suppress(FileNotFoundError):
            path.replace(older(path))
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def note_crash(self, text: str) -> Path:
        """Keep the traceback of an unexpected error, and say where."""
        self.prepare()
        path = self.path / "logs" / f"crash-{clock.now():%Y%m%dT%H%M%S}-{os.getpid()}.log"
        with self.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as file:
            file.write(text)
        return path

    @staticmethod
    def open(path: Path, flags: int) -> Any:
        """Open a file of the state directory for text: 0600, no symbolic link followed, not inherited by children."""
        try:
            descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HarnessError(
                "STATE_DIR_UNSAFE",
                f"{path} cannot be opened: {error.strerror}",
                fix="remove it, or set HARNESS_STATE_DIR to a directory of your own",
                exit_code=Exit.CONFLICT,
            ) from error
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "r+" if flags & os.O_RDWR else "w", encoding="utf-8")

    def _text(self, path: Path) -> str | None:
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), errors="replace") as file:
                return file.read()
        except OSError:
            return None


def older(log: Path) -> Path:
    """Where a log goes when a new one begins."""
    return log.with_name(log.name + ".1")


def as_json(value: Any) -> str:
    """One value for a program to read."""
    return json.dumps(value, ensure_ascii=False, default=str)
