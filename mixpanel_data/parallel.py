"""A range of days fetched in pieces: several are downloaded at once, one thread stores them.

Each piece is a transaction of its own, with a row of the ledger. A piece that fails stops no other; whatever ends the
fetch, the pieces that are stored stay, the table shows its gaps, and the same call again asks for what is missing.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, clock, interrupts, pieces, progress
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import AuthenticationError, IncompleteExportError, MixpanelDataError
from mixpanel_data.export import complete
from mixpanel_data.local import merge
from mixpanel_data.local.inflow import Inflow, no_room
from mixpanel_data.local.load import Loaded, Staging
from mixpanel_data.local.workdir import workdir
from mixpanel_data.results import NOT_JSON, Result

if TYPE_CHECKING:
    from mixpanel_data.export import Export
    from mixpanel_data.local.ledger import Days, Filters
    from mixpanel_data.local.place import Place

MAX_WORKERS = 10
# How often a piece is asked for whose export ended before its end; what goes wrong on the wire, the client tries again.
ATTEMPTS = 2
# Pieces that are downloaded wait on disk to be stored; more of them than workers would only fill it.
_WAITING = 2
_CHUNK = 1 << 20
_LOG = logging.getLogger("mixpanel_data")


@dataclass(frozen=True)
class BatchProgress(Result):
    """What is told of a piece when it is stored or has failed.

    batch_index: its place in the range, from 0, of total_batches
    rows: rows that the table did not have before
    error: why it failed, else None
    exception: the same as it was raised; not in `to_dict`
    """

    from_date: str
    to_date: str
    batch_index: int
    total_batches: int
    rows: int
    success: bool
    error: str | None = None
    exception: Exception | None = field(default=None, repr=False, compare=False, metadata=NOT_JSON)


@dataclass(frozen=True)
class FetchProgress(Result):
    """How far a fetch is.

    bytes_received: as they came over the wire
    events: those that have come; of a fetch in pieces, those that are stored
    """

    bytes_received: int
    events: int


@dataclass(frozen=True)
class BatchResult(Result):
    """What became of a piece; `error` says why it failed, else None, and `exception` is the same as it was raised."""

    from_date: str
    to_date: str
    rows: int
    success: bool
    error: str | None = None
    exception: Exception | None = field(default=None, repr=False, compare=False, metadata=NOT_JSON)


@dataclass(frozen=True)
class ParallelFetchResult(Result):
    """What a fetch in pieces brought in.

    total_rows: rows that the table did not have before
    failed_date_ranges: first and last day of each piece that is missing; the same call again asks for these
    fetched_at: aware, UTC
    cost: what the fetch was to spend, as it was announced
    duplicates, skipped_lines, removed_rows: as in FetchResult
    batches: every piece, in order of days
    """

    table: str
    total_rows: int
    successful_batches: int
    failed_batches: int
    failed_date_ranges: tuple[tuple[str, str], ...]
    duration_seconds: float
    fetched_at: datetime
    cost: str = ""
    duplicates: int = 0
    skipped_lines: int = 0
    removed_rows: int = 0
    batches: tuple[BatchResult, ...] = field(default=(), repr=False)

    @property
    def has_failures(self) -> bool:
        """Whether a piece is missing."""
        return self.failed_batches > 0

    def to_dict(self) -> dict[str, Any]:
        """The fields and has_failures, JSON-ready."""
        return {**super().to_dict(), "has_failures": self.has_failures}


class RateLimiter:
    """At most so many at once, for callers who cut a range in pieces themselves.

    Args:
        max_concurrent: how many, at least 1
    """

    def __init__(self, max_concurrent: int = 10) -> None:
        self.max_concurrent = arguments.whole("max_concurrent", max_concurrent, 1)
        self._room = threading.BoundedSemaphore(self.max_concurrent)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Be one of them for the length of a `with`, when there is room."""
        with self._room:
            yield


def pieces_of(export: Export, chunk_days: int) -> list[Days]:
    """The pieces of a range: of `chunk_days` days, of fewer where there are very many events.

    How many there are, Mixpanel is asked when there is more than one day and the query budget has room for it: one call
    for given names, else two. Without an answer, pieces are of `chunk_days` days.
    """
    counts: dict[date, int] = {}
    usage = export.client.budget.used("query")
    if export.first < export.last and chunk_days > 1 and (usage is None or usage.used * 2 < usage.of):
        try:
            counts = interrupts.current().apart(lambda: _events_a_day(export))
        except MixpanelDataError as error:
            _LOG.info("pieces are cut by days alone: %s", error)
    return pieces.sized(export.first, export.last, chunk_days, counts)


def _events_a_day(export: Export) -> dict[date, int]:
    """About how many events a day has; days are those of the project's zone.

    Source: reference/mixpanel-api.md, sections 7.1 and 7.5
    """
    days = {"from_date": export.first.isoformat(), "to_date": export.last.isoformat()}
    names = export.events
    if names is None:
        answer = export.client.call(ENDPOINTS["event_names"], {"type": "general", **days})
        names = [name for name in answer if isinstance(name, str)] if isinstance(answer, list) else []
    counts: dict[date, int] = {}
    if names:
        asked = {"event": list(names), "type": "general", "unit": "day", **days}
        answer = export.client.call(ENDPOINTS["event_counts"], asked)
        values = answer.get("data", {}).get("values", {}) if isinstance(answer, dict) else {}
        for series in values.values():
            for text, count in series.items():
                with suppress(ValueError):
                    day = date.fromisoformat(text[:10])
                    counts[day] = counts.get(day, 0) + int(count)
    return counts


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A piece whose download has ended, well or with an error."""

    index: int
    attempt: int
    spool: Path
    gzipped: bool = False
    received_bytes: int = 0
    error: Exception | None = None


class _Stopped(Exception):  # noqa: N818 -- no error: the fetch is over, and nobody waits for the rest
    """Raised inside a download that nobody waits for any more."""


@dataclass(frozen=True)
class Job:
    """A fetch in pieces."""

    export: Export
    place: Place
    table: str
    filters: Filters
    append: bool
    pieces: Sequence[Days]
    memory_mb: int
    on_progress: Callable[[FetchProgress], None] | None = None
    gives_way: bool = False

    def run(
        self, max_workers: int, on_batch_complete: Callable[[BatchProgress], None] | None, *, progress: bool
    ) -> ParallelFetchResult:
        """Fetch every piece.

        Raises:
            AuthenticationError: Mixpanel does not know us, and nothing was stored.
            TableExistsError, TableNotFoundError, DatabaseLockedError, StorageError: pieces cannot be stored; those that
                were, stay.
            Ended: it was told to end; with a note on what is stored and how to go on.
        """
        with workdir(self.place) as directory:
            return _Run(self, directory, on_batch_complete).run(max_workers, shown=progress)


class _Run:
    def __init__(self, job: Job, directory: Path, on_batch_complete: Callable[[BatchProgress], None] | None) -> None:
        self._job, self._directory, self._on_batch_complete = job, directory, on_batch_complete
        self._to_do: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._arrived: queue.SimpleQueue[_Arrived | None] = queue.SimpleQueue()
        self._over, self._downloads = threading.Event(), interrupts.Ending()
        self._received: dict[int, int] = {}
        self._results: dict[int, BatchResult] = {}
        self._stored: list[tuple[Loaded, merge.Merged]] = []
        self._is_there = job.append

    def run(self, max_workers: int, *, shown: bool) -> ParallelFetchResult:
        begun = clock.monotonic()
        job = self._job
        cost = self._cost()
        _LOG.info("fetching %s: %s", job.table, cost)
        for index in range(len(job.pieces)):
            self._to_do.put((index, 1))
        number = min(max_workers, len(job.pieces))
        self._room = threading.BoundedSemaphore(number + _WAITING)
        workers = [threading.Thread(target=self._begin, name=f"export-{n}", daemon=True) for n in range(number)]
        for worker in workers:
            worker.start()
        try:
            title = f"fetching {job.table} ({cost})"
            with interrupts.current().heard_by(self._stop), progress.bar(title, len(job.pieces), wanted=shown) as tell:
                while len(self._results) < len(job.pieces) and (arrived := self._arrived.get()):
                    self._settle(arrived)
                    added = sum(merged.added for _, merged in self._stored)
                    tell(len(self._results), added, sum(self._received.values()))
                interrupts.current().check()
        except BaseException as error:
            error.add_note(how_to_go_on(job.table, len(self._stored), len(job.pieces)))
            raise
        finally:
            self._end(workers)
        return self._result(begun, cost)

    def _cost(self) -> str:
        number = len(self._job.pieces)
        usage = self._job.export.client.budget.used("export")
        if usage is None:
            return f"{number} export calls"
        text = f"{number} of {usage.of} export calls this hour, {usage.used} spent before"
        return text if usage.used + number <= usage.of else text + "; not all of them fit"

    def _begin(self) -> None:
        with suppress(_Stopped, interrupts.Ended), interrupts.under(self._downloads):
            self._work()

    def _work(self) -> None:
        while (item := self._to_do.get()) is not None:
            index, attempt = item
            self._room.acquire()
            if self._over.is_set():
                return
            spool = self._directory / f"export-{index}-{attempt}"
            try:
                with spool.open("wb") as target:
                    tell = functools.partial(self._on_bytes, index)
                    got = self._job.export.download(self._job.pieces[index], target, on_bytes=tell)
                self._arrived.put(_Arrived(index, attempt, spool, got.gzipped, got.bytes_received))
            except (_Stopped, interrupts.Ended):
                raise
            except Exception as error:  # noqa: BLE001 -- told by the thread that waits
                self._arrived.put(_Arrived(index, attempt, spool, error=error))

    def _on_bytes(self, index: int, received: int) -> None:
        if self._over.is_set():
            raise _Stopped
        self._received[index] = received
        if self._job.on_progress is not None:
            # A dictionary that another thread fills is copied in one go.
            told = sum([*self._received.values()]), sum(merged.added for _, merged in [*self._stored])
            self._job.on_progress(FetchProgress(*told))

    def _settle(self, arrived: _Arrived) -> None:
        """Store what has arrived, or note why it cannot be."""
        rows, error = 0, arrived.error
        try:
            if error is None:
                try:
                    rows = self._store(arrived)
                except IncompleteExportError as incomplete:
                    if arrived.attempt < ATTEMPTS:
                        self._to_do.put((arrived.index, arrived.attempt + 1))
                        return
                    error = incomplete
            elif isinstance(error, OSError):
                raise no_room(error) from error
            elif not isinstance(error, MixpanelDataError) or self._is_for_all(error):
                raise error
        finally:
            arrived.spool.unlink(missing_ok=True)
            self._room.release()
        self._note(arrived.index, rows, error)

    def _is_for_all(self, error: MixpanelDataError) -> bool:
        return isinstance(error, AuthenticationError) and not self._stored

    def _note(self, index: int, rows: int, error: Exception | None) -> None:
        first, last = (day.isoformat() for day in self._job.pieces[index])
        told = None if error is None else str(error)
        if told is not None:
            _LOG.warning("%s to %s of %s is missing: %s", first, last, self._job.table, told)
        self._results[index] = BatchResult(first, last, rows, error is None, told, error)
        if self._on_batch_complete is not None:
            total = len(self._job.pieces)
            stored = BatchProgress(first, last, index, total, rows, error is None, told, error)
            interrupts.current().in_caller(functools.partial(self._on_batch_complete, stored))

    def _store(self, arrived: _Arrived) -> int:
        job = self._job
        # The engine has let go of a piece before the next one comes.
        with Staging(self._directory, job.memory_mb, gives_way=job.gives_way) as staging:
            with Inflow(staging, self._directory) as inflow:
                _pour(arrived.spool, inflow, gzipped=arrived.gzipped)
                loaded = inflow.finish()
            loaded = complete(loaded, job.export.client.mask)
            merged = merge.merge(
                staging,
                loaded,
                job.place,
                merge.Piece(
                    table=job.table,
                    days=job.pieces[arrived.index],
                    asked=(job.export.first, job.export.last),
                    filters=job.filters,
                    fetched_at=clock.now(),
                    received_bytes=arrived.received_bytes,
                    append=self._is_there,
                    pieces=() if self._stored else job.pieces,
                ),
            )
        self._is_there = True
        self._stored.append((loaded, merged))
        return merged.added

    def _end(self, workers: Sequence[threading.Thread]) -> None:
        self._over.set()
        for _ in workers:
            self._to_do.put(None)
            with suppress(ValueError):
                self._room.release()
        self._downloads.press()
        deadline = clock.monotonic() + interrupts.DOWNLOAD_END_S
        for worker in workers:
            worker.join(max(0.0, deadline - clock.monotonic()))

    def _stop(self) -> None:
        self._arrived.put(None)

    def _result(self, begun: float, cost: str) -> ParallelFetchResult:
        batches = [self._results[index] for index in range(len(self._job.pieces))]
        failed = [batch for batch in batches if not batch.success]
        return ParallelFetchResult(
            table=self._job.table,
            total_rows=sum(merged.added for _, merged in self._stored),
            successful_batches=len(batches) - len(failed),
            failed_batches=len(failed),
            failed_date_ranges=tuple((batch.from_date, batch.to_date) for batch in failed),
            duration_seconds=round(clock.monotonic() - begun, 3),
            fetched_at=clock.now(),
            cost=cost,
            duplicates=sum(loaded.duplicates for loaded, _ in self._stored),
            skipped_lines=sum(loaded.skipped for loaded, _ in self._stored),
            removed_rows=sum(merged.removed for _, merged in self._stored),
            batches=tuple(batches),
        )


def how_to_go_on(table: str, stored: int, total: int) -> str:
    """What is said to who ended a fetch."""
    if not stored:
        return f"nothing of {table} was stored by this fetch; the same call fetches it"
    return f"{stored} of {total} pieces of {table} are stored; the same call fetches the rest"


def _pour(spool: Path, inflow: Inflow, *, gzipped: bool) -> None:
    member = zlib.decompressobj(wbits=31)
    with spool.open("rb") as file:
        while chunk := file.read(_CHUNK):
            while gzipped and chunk:
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
                inflow.write(member.decompress(chunk))
                chunk = member.unused_data
            if chunk:
                inflow.write(chunk)
