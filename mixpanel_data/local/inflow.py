"""Where a download flows: cut at line ends into spools, each staged by another thread while the next one fills.

So the export is read while it arrives, by all cores, and takes no more room on disk than a few spools and what the
engine spills.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import BinaryIO, Self

from mixpanel_data.errors import StorageError
from mixpanel_data.local import priority
from mixpanel_data.local.load import Loaded, Staging

SPOOL_BYTES = 32_000_000
_WAITING = 2


class Inflow:
    """A target for a download of plain lines; `finish()` tells what came.

    taken: lines that have come so far

    It is a file as far as a download needs one: written, and truncated at its start before a new attempt.

    Raises:
        StorageError: from any call: the disk is full, or the engine cannot stage what came.
    """

    def __init__(self, staging: Staging, directory: Path) -> None:
        self._staging, self._directory = staging, directory
        self._made = self.taken = 0
        self._failure: BaseException | None = None
        self._full: queue.Queue[tuple[Path, int] | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._load, name="staging", daemon=True)
        self._begin()
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if self._thread.is_alive():
            if kind is not None:
                self._failure = self._failure or InterruptedError("the fetch is over")
                self._staging.interrupt()
            self._full.put(None)
            self._thread.join()

    def write(self, data: bytes) -> int:
        """Take in more of the export."""
        self._check()
        end = data.rfind(b"\n") + 1 if self._size + len(data) >= SPOOL_BYTES else 0
        try:
            if end:
                self._append(memoryview(data)[:end], data.count(b"\n", 0, end))
                self._hand_over()
                self._begin()
            if end < len(data):
                self._append(memoryview(data)[end:], data.count(b"\n", end))
        except OSError as error:
            raise no_room(error) from error
        return len(data)

    def flush(self) -> None:
        """Nothing to do: a spool is flushed when it is full."""

    def seekable(self) -> bool:
        """It can be begun anew."""
        return True

    def tell(self) -> int:
        """Where a new attempt begins."""
        return 0

    def seek(self, position: int) -> int:
        """Only the start can be gone back to, to be truncated."""
        if position:
            raise ValueError("an inflow goes back to its start or nowhere")
        return 0

    def truncate(self, size: int = 0) -> int:
        """Forget everything, before a new attempt."""
        if size:
            raise ValueError("an inflow is emptied or left alone")
        self._full.join()
        self._check()
        self._file.close()
        self._path.unlink()
        self._staging.clear()
        self.taken = 0
        self._begin()
        return 0

    def finish(self) -> Loaded:
        """Stage what is left; every event is there once then."""
        try:
            if self._size:
                self._lines += not self._ends_a_line
                self._hand_over()
            else:
                self._file.close()
                self._path.unlink()
        except OSError as error:
            raise no_room(error) from error
        self._full.put(None)
        self._thread.join()
        self._check()
        return self._staging.finish()

    def _begin(self) -> None:
        self._made += 1
        self._path = self._directory / f"spool-{self._made}"
        try:
            self._file: BinaryIO = self._path.open("wb")
        except OSError as error:
            raise no_room(error) from error
        self._size = self._lines = 0
        self._ends_a_line = True

    def _append(self, data: bytes | memoryview, lines: int) -> None:
        self._file.write(data)
        self._ends_a_line = data[-1:] == b"\n"
        self._size += len(data)
        self._lines += lines
        self.taken += lines

    def _hand_over(self) -> None:
        self._file.close()
        self._full.put((self._path, self._lines))

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _load(self) -> None:
        if self._staging.gives_way:
            priority.give_way()
        while (item := self._full.get()) is not None:
            spool, lines = item
            try:
                if self._failure is None:
                    self._staging.load(spool, lines)
            except BaseException as error:  # noqa: BLE001 -- raised again by the thread that writes
                self._failure = error
            finally:
                spool.unlink(missing_ok=True)
                self._full.task_done()
        self._full.task_done()


def no_room(error: OSError) -> StorageError:
    """The error for a spool that cannot be written."""
    return StorageError(
        f"the export cannot be kept on disk ({error.strerror})", fix="make room beside the database, then fetch again"
    )
