"""What a switch is about to change and how it was, on disk before the first byte of a foreign file is touched."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pydantic

from harness.errors import Exit, HarnessError
from harness.faultpoints import reach
from harness.nginx.replace import hold, sync

FORMAT = 1
FOLDER = "nginx-switch"


class Change(pydantic.BaseModel, frozen=True):
    """One file of a switch.

    path: the real file; named: how it was named
    before, after: sha256 of its content, hexadecimal
    mtime_ns: when it was last changed before
    original: the file in the journal's directory that holds its content
    aside: what the new content is prepared in, beside the file; a dot keeps it out of nginx's `include *`
    edits: what changes: offset, old bytes, new bytes
    """

    path: Path
    named: Path
    before: str
    after: str
    mtime_ns: int
    original: str
    aside: Path
    edits: tuple[tuple[int, str, str], ...]


class Entry(pydantic.BaseModel, frozen=True):
    """One switch.

    done: whether nginx was seen to follow it; a cut switch never gets there
    at: ISO instant, UTC
    """

    format: int = FORMAT
    id: str
    done: bool
    at: str
    to: str
    site: Path | None
    binary: Path
    main: Path
    prefix: Path | None
    changes: tuple[Change, ...]


class Journal:
    """The one switch that a stack may have open, in its state directory; 0700 and 0600, no symbolic link followed."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.directory = state_dir / FOLDER
        self.path = self.directory / "journal.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the journal for oneself; it is free again when the holder ends, however it ends.

        Raises:
            HarnessError: LOCKED (exit 124), STATE_DIR_UNUSABLE (2)
        """
        self._prepare()
        with os.fdopen(self._open("lock", os.O_RDWR | os.O_CREAT), "r+b") as file:
            self._hand_over(self.directory / "lock")
            hold(file.fileno(), self.directory)
            yield

    def exists(self) -> bool:
        """Whether a switch is open."""
        return self.path.is_file()

    def read(self) -> Entry | None:
        """The switch that is open, None when there is none.

        Raises:
            HarnessError: JOURNAL_DAMAGED (exit 8)
        """
        try:
            text = os.fdopen(self._open(self.path.name, os.O_RDONLY), "rb")
        except FileNotFoundError:
            return None
        with text as file:
            try:
                return Entry.model_validate_json(file.read())
            except pydantic.ValidationError:
                raise HarnessError(
                    "JOURNAL_DAMAGED",
                    f"{self.path} cannot be understood",
                    fix=f"put back by hand what {self.directory} holds as original-*, then remove that directory",
                    exit_code=Exit.UNDO_INCOMPLETE,
                ) from None

    def read_if_there(self) -> Entry | None:
        """The same for a caller who holds no lock, and where there may be no directory yet."""
        return self.read() if self.directory.is_dir() else None

    def write(self, entry: Entry) -> None:
        """Replace what is written down, as a whole, and let it last."""
        self._keep("journal.json.new", entry.model_dump_json(indent=1).encode())
        (self.directory / "journal.json.new").replace(self.path)
        sync(self.directory)

    def keep_original(self, number: int, content: bytes) -> str:
        """Keep a file's content; returns the name to write down."""
        name = f"original-{number}"
        self._keep(name, content)
        return name

    def original(self, change: Change) -> bytes:
        """A file's content as it was.

        Raises:
            HarnessError: JOURNAL_DAMAGED (exit 8)
        """
        try:
            with os.fdopen(self._open(change.original, os.O_RDONLY), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = b""
        if digest(content) != change.before:
            raise HarnessError(
                "JOURNAL_DAMAGED",
                f"{self.directory / change.original} is not what {change.path} was",
                fix=f"put {change.path} back by hand: {by_hand(change)}",
                exit_code=Exit.UNDO_INCOMPLETE,
            )
        return content

    def close(self) -> None:
        """Forget the switch. The journal goes first: without it the rest means nothing."""
        self.path.unlink(missing_ok=True)
        sync(self.directory)
        reach("nginx.restore.closed")
        self.sweep()

    def sweep(self) -> None:
        """Remove what a run that was cut before it wrote its journal, or after it closed it, has left."""
        for pattern in ("original-*", "journal.json.new"):
            for path in self.directory.glob(pattern):
                path.unlink(missing_ok=True)

    def sweep_unless_open(self) -> None:
        """Remove leftovers where no switch is open."""
        if not self.exists():
            self.sweep()

    def _prepare(self) -> None:
        try:
            for directory in (self.state_dir, self.directory):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._hand_over(directory)
            if self.directory.is_symlink():
                raise NotADirectoryError(20, "it is a symbolic link")
        except OSError as error:
            raise HarnessError(
                "STATE_DIR_UNUSABLE",
                f"{self.directory} cannot be made: {error.strerror}",
                fix="set HARNESS_STATE_DIR to a directory that you can write to",
                exit_code=Exit.USAGE,
            ) from None

    def _keep(self, name: str, content: bytes) -> None:
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        self._hand_over(self.directory / name)

    def _open(self, name: str, flags: int) -> int:
        return os.open(self.directory / name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _hand_over(self, path: Path) -> None:
        # Under sudo: whose the stack is must be able to read it, and to put it away.
        owner = path.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def new_id() -> str:
    """A name for one switch."""
    return secrets.token_hex(6)


def digest(content: bytes) -> str:
    """sha256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def by_hand(change: Change) -> str:
    """What somebody would have to write where."""
    return ", ".join(f"{new} becomes {old} (at byte {start})" for start, old, new in change.edits)
