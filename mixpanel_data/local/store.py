"""The door to the local database: `_address` is the one place that turns a place into what the engine opens.

Nobody holds a file. DuckDB lets in one writing process or many reading ones, and inside one process it refuses a
second configuration of a file that is open; so a call opens the file, works and closes it, and inside a process the
calls take turns (`door`). A lock of another process is waited for. A store in memory has no such troubles, and the
same door.

To start an engine takes twenty milliseconds, to attach a file to one that runs takes one. So what is only looked up,
by `glance`, is asked of an engine that is kept, without any file; or, while this process brings a fetch in, of the
engine that does so, which shows what was there before until it is done.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from mixpanel_data import clock, interrupts
from mixpanel_data.errors import DatabaseLockedError, DatabaseNotFoundError, MixpanelDataError, StorageError
from mixpanel_data.local import schema
from mixpanel_data.local.door import Host, door
from mixpanel_data.local.place import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixpanel_data.local.door import Door, Mode
    from mixpanel_data.local.place import Place

Connection = duckdb.DuckDBPyConnection

LOCK_WAIT_S = 5.0
_RETRY_S = 0.05
# How the engine marks its files.
_MAGIC_AT, _MAGIC = 8, b"DUCK"
_ANOTHER_FILE = "give the path of another file, or move this one away"


def exists(place: Place) -> bool:
    """Whether there is anything to read.

    Raises:
        StorageError: there is, and it is no file.
    """
    return isinstance(place, Memory) or _checked(place).exists()


def is_open(place: Place) -> bool:
    """Whether this process keeps it open between calls, so that it cannot be attached to another instance."""
    return isinstance(place, Memory) or door(place).held is not None


@contextmanager
def connection(place: Place, mode: Mode, *, wait_s: float | None = None) -> Iterator[Connection]:
    """A connection for the length of a `with`.

    Args:
        mode: read, or write, which makes a file and its directory when they are missing
        wait_s: how long to wait for others to let go of it; None takes LOCK_WAIT_S

    Raises:
        DatabaseNotFoundError: there is nothing to read.
        DatabaseLockedError: others kept it.
        StorageError: it is not a database, or cannot be opened.
    """
    at = door(place)
    wait_s = LOCK_WAIT_S if wait_s is None else wait_s
    deadline = clock.monotonic() + wait_s
    # A connection that the user holds is of this process too: whoever comes takes its mode, or could not come at all.
    entry = at.held if at.held and not (mode == "write" and at.held == "read") else mode
    if isinstance(place, Memory):
        entry = "write"  # there is one configuration only, and nobody to take turns with
    with at.entered(entry, wait_s), _opened(at, place, entry, deadline) as con:
        yield con


@contextmanager
def _opened(at: Door, place: Place, mode: Mode, deadline: float) -> Iterator[Connection]:
    con = patiently(lambda: _open(at, place, mode), place, deadline)
    try:
        with interrupts.plain():
            quiet(con)
            yield con
    finally:
        # Rows that nobody took may still be in the making, and closing would wait for them.
        con.interrupt()
        with at.opening:
            con.close()


@contextmanager
def glance(place: Place, *, wait_s: float | None = None) -> Iterator[Connection]:
    """A connection for a short look at what is there, for the length of a `with`; as `connection` to read, but sooner.

    Its user alone is at the store, unless others read there already: so it is not for what may take long. (Who closes
    a file lets go of all locks that the process has on it: the file of a second engine would lose its own.)

    Raises:
        As `connection`.
    """
    with understood(place), _glanced(place, wait_s) as con:
        yield con


@contextmanager
def _glanced(place: Place, wait_s: float | None) -> Iterator[Connection]:
    at = door(place)
    if isinstance(place, Memory) or at.held:
        with connection(place, "read", wait_s=wait_s) as con:
            yield con
        return
    wait_s = LOCK_WAIT_S if wait_s is None else wait_s
    deadline = clock.monotonic() + wait_s
    with at.visited(wait_s) as found:
        if isinstance(found, Host):
            with _guest(found) as con:
                yield con
        elif found == "read":
            with _opened(at, place, "read", deadline) as con:
                yield con
        elif exists(place):
            with _attached_to_kept(at, place, deadline) as con:
                yield con
        else:
            raise DatabaseNotFoundError(str(place))


# What the engine says of a question of our own where the file is damaged, or its tables are not as ours are.
_NOT_UNDERSTOOD = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.FatalException,
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.SerializationException,
)


@contextmanager
def understood(place: Place) -> Iterator[None]:
    """For the length of a `with` that asks questions of our own alone: the engine must be able to answer them.

    Raises:
        StorageError: it is not.
    """
    try:
        yield
    except _NOT_UNDERSTOOD as error:
        raise StorageError(
            f"{place} cannot be read as a store: {str(error).splitlines()[0]}",
            fix="it is damaged, or another program's: give the path of another file, or move this one away",
        ) from error


@contextmanager
def _guest(host: Host) -> Iterator[Connection]:
    with interrupts.plain(), host.con.cursor() as con:
        con.execute(f"use {host.catalog}")
        yield con


@contextmanager
def _attached_to_kept(at: Door, place: Path, deadline: float) -> Iterator[Connection]:
    engine = _kept_engine()
    try:
        with interrupts.plain():
            statement = f"attach {schema.literal(_address(place))} as glance (read_only, type duckdb)"
            patiently(lambda: engine.execute(statement), place, deadline)
            engine.execute("use glance")
            yield engine
            engine.execute("use memory")
            with at.opening:
                engine.execute("detach glance")
    except BaseException:
        # What it is in the middle of, nobody knows; its end lets go of the file.
        engine.interrupt()
        with at.opening:
            engine.close()
        raise
    _kept.setdefault(os.getpid(), deque(maxlen=_MOST_KEPT)).append(engine)


# By process: a copy of a process has none of the engine's threads.
_kept: dict[int, deque[Connection]] = {}
_MOST_KEPT = 2


def _kept_engine() -> Connection:
    """An engine without a file, for one user."""
    with suppress(KeyError, IndexError):
        return _kept[os.getpid()].pop()
    engine = duckdb.connect(":memory:", config={"threads": 1})
    quiet(engine)
    return engine


@contextmanager
def attached(con: Connection, place: Place, name: str, *, wait_s: float) -> Iterator[None]:
    """The store as a catalog of another instance, to be written, for the length of a `with`; nobody else is at it.

    Raises:
        As `connection`.
    """
    at = door(place)
    deadline = clock.monotonic() + wait_s
    with at.entered(object(), wait_s):
        _prepare(place)
        statement = f"attach {schema.literal(_address(place))} as {name} (type duckdb)"
        with at.opening:
            patiently(lambda: con.execute(statement), place, deadline)
        try:
            with at.hosting(Host(con, name)):
                yield
                # To detach does it too, and takes as long, but then nobody can look. What goes wrong, that will tell.
                with suppress(duckdb.Error):
                    con.execute(f"checkpoint {name}")
        finally:
            with at.opening:
                con.execute(f"detach {name}")


def copy(place: Place, target: Path) -> None:
    """Write all that is in the store into a new file.

    Raises:
        As `connection`.
    """
    with connection(place, "read") as con:
        con.execute(f"attach {schema.literal(_address(target))} as target")
        try:
            (name,) = con.execute("select current_database()").fetchall()[0]
            con.execute(f"copy from database {schema.quoted(name)} to target")
        finally:
            con.execute("detach target")


@contextmanager
def attached_unseen(con: Connection, path: Path, name: str, spill: Path | None, *, wait_s: float) -> Iterator[bool]:
    """The store as a catalog to be read, which SQL on the same connection cannot read as a file.

    The engine lets SQL read the files of an open database by their paths. So it is opened by a second name, and that
    name is taken away again. Where the file system has no second names, what is yielded is false: then no file at all
    may be within reach.

    Args:
        spill: a directory for the second name

    Raises:
        As `connection`.
    """
    with _kept_from_writers(path, wait_s):
        linked = None
        if spill is not None:
            with suppress(OSError):
                linked = _second_name(path.resolve(), spill)
        try:
            con.execute(f"attach {schema.literal(_address(linked or path))} as {name} (read_only, type duckdb)")
        except duckdb.Error as error:
            raise _as_ours(error, path) from error
        finally:
            if linked is not None:
                shutil.rmtree(linked.parent)
        yield linked is not None


@contextmanager
def _kept_from_writers(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock that readers hold, so that the file and its log belong together while they get a second name.

    For a process of its own: to close the file again lets go of every lock that the process has on it.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        # Whose lock it is, the engine knows; and how to wait for it, `connection` does.
        with connection(path, "read", wait_s=wait_s):
            yield
    else:
        yield
    finally:
        os.close(file)


def _second_name(path: Path, spill: Path) -> Path:
    home = spill / "names"
    home.mkdir()
    os.link(path, home / path.name)
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        # What a writer that crashed had committed.
        os.link(wal, home / wal.name)
    return home / path.name


def quiet(con: duckdb.DuckDBPyConnection) -> None:
    """Keep the engine from drawing a progress bar on standard output, where a caller's answer may be due.

    It does so after two seconds whenever it was imported before `__main__` had a file, as under `python -c`.
    """
    con.execute("set enable_progress_bar = false")


class Held:
    """The user's own connection: open from its first use until it is closed, and in everybody's way meanwhile."""

    def __init__(self, place: Place, mode: Mode) -> None:
        self._door = door(place)
        self._mode: Mode = "write" if isinstance(place, Memory) else mode
        self._door.enter(self._mode, LOCK_WAIT_S)
        try:
            self.connection = patiently(
                lambda: _open(self._door, place, self._mode), place, clock.monotonic() + LOCK_WAIT_S
            )
        except BaseException:
            self._door.leave()
            raise
        self._door.holding.append(self._mode)

    def close(self) -> None:
        with self._door.opening:
            self.connection.close()
        self._door.holding.remove(self._mode)
        self._door.leave()


def patiently(action: Callable[[], Connection], place: Place, deadline: float) -> Connection:
    """What opens the store, tried until another process has let go of it or the deadline has passed."""
    while True:
        try:
            return action()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise _as_ours(error, place) from error
            if clock.monotonic() >= deadline:
                pid = re.search(r"\(PID (\d+)\)", str(error))
                raise DatabaseLockedError(str(place), holding_pid=int(pid[1]) if pid else None) from error
        except duckdb.Error as error:
            raise _as_ours(error, place) from error
        clock.sleep(_RETRY_S)
        interrupts.current().check()


def _open(at: Door, place: Place, mode: Mode) -> Connection:
    if mode == "read" and not exists(place):
        raise DatabaseNotFoundError(str(place))
    if mode == "write":
        _prepare(place)
    with at.opening:
        if isinstance(place, Memory):
            place.instance = place.instance or duckdb.connect(_address(place))
            return place.instance.cursor()
        if exists(place) and _identity(place) not in at.looked_at:
            _check_head(place)
        con = duckdb.connect(_address(place), read_only=mode == "read")
        at.looked_at.add(_identity(place))
        return con


def _identity(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_dev, there.st_ino


def _check_head(path: Path) -> None:
    """Keep the engine from what is another's: of a file of SQLite's, say, it would fetch a reader from the network.

    For a file that this process does not have open: to close it lets go of all locks on it.
    """
    with path.open("rb") as file:
        head = file.read(_MAGIC_AT + len(_MAGIC))
    if head[_MAGIC_AT:] != _MAGIC:
        raise StorageError(f"{path} is not a DuckDB database", fix=_ANOTHER_FILE)


def _address(place: Place) -> str:
    return ":memory:" if isinstance(place, Memory) else str(_checked(place))


def _checked(path: Path) -> Path:
    """The path, unless it leads to something else than a file: to open a pipe, say, would wait for ever."""
    if path.exists() and not path.is_file():
        raise StorageError(f"{path} is not a file", fix="give the path of a file, or of one that is to be made")
    return path


def _prepare(place: Place) -> None:
    """Make the directory that a file goes into; what is in it is one user's business."""
    if isinstance(place, Memory):
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"the directory {place.parent} cannot be made ({error.strerror})", fix="give a path that you may write to"
        ) from error


def _as_ours(error: duckdb.Error, place: Place) -> MixpanelDataError:
    if "not a valid DuckDB database" in str(error):
        return StorageError(f"{place} is not a DuckDB database", fix=_ANOTHER_FILE)
    return StorageError(f"the database {place} cannot be opened: {error}", fix="check the path and its permissions")
