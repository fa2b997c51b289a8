"""Profiles come to us: pages are spooled as they arrive, then the engine makes a table of them, whole or not at all.

The pages of an answer are frozen for a while (Mixpanel's session). When it ends before its last page, all of them are
asked for once more, as those of two sessions do not belong together. So there is nothing to resume: a fetch that failed
has changed nothing, and the next one begins at the start.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, clock, credentials, interrupts, profiles, progress
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import MixpanelDataError, StorageError, TableNotFoundError
from mixpanel_data.fetch import BATCH_SIZES, FetchResult
from mixpanel_data.local import ledger, merge, schema, store
from mixpanel_data.local.profiles import Piece, ProfileStaging
from mixpanel_data.local.workdir import workdir
from mixpanel_data.profiles import ProfilePageResult, Question, SessionOverError
from mixpanel_data.results import Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient
    from mixpanel_data.local.place import Place

# Mixpanel answers five queries of a project at once.
MAX_WORKERS = 5
_LOG = logging.getLogger("mixpanel_data")


@dataclass(frozen=True)
class ProfileProgress(Result):
    """What is told of a page when it has come or has failed.

    page_index: from 0
    total_pages: None where Mixpanel did not say how many profiles there are
    rows: profiles on this page
    error: why it failed, else None
    cumulative_rows: profiles on all pages that have come so far
    """

    page_index: int
    total_pages: int | None
    rows: int
    success: bool
    error: str | None
    cumulative_rows: int


@dataclass(frozen=True)
class ParallelProfileResult(Result):
    """What a fetch of several pages at once brought in: all of them, or, when one of them failed, nothing.

    total_rows: by how many rows the table grew; 0 when a page failed
    successful_pages, failed_pages: in number; failed_page_indices says which, from 0
    fetched_at: aware, UTC
    error: why the first of them failed, else None
    """

    table: str
    total_rows: int
    successful_pages: int
    failed_pages: int
    failed_page_indices: tuple[int, ...]
    duration_seconds: float
    fetched_at: datetime
    error: str | None = None

    @property
    def has_failures(self) -> bool:
        """Whether a page is missing, so that nothing was stored."""
        return self.failed_pages > 0

    def to_dict(self) -> dict[str, Any]:
        """The fields and has_failures, JSON-ready."""
        return {**super().to_dict(), "has_failures": self.has_failures}


def fetch_profiles(
    client: MixpanelAPIClient,
    place: Place,
    name: str,
    asked: Question,
    *,
    progress: bool = True,
    append: bool = False,
    batch_size: int = 1000,
    parallel: bool = False,
    max_workers: int | None = None,
    on_page_complete: Callable[[ProfileProgress], None] | None = None,
) -> FetchResult | ParallelProfileResult:
    """Source: reference/mixpanel-api.md, section 7.16"""
    schema.table_name("name", name)
    arguments.whole("batch_size", batch_size, *BATCH_SIZES)
    if max_workers is not None:
        arguments.whole("max_workers", max_workers, 1)
    workers = min(max_workers or MAX_WORKERS, MAX_WORKERS) if parallel and not asked.names_profiles else 1
    task = _Task(client, place, name, asked, append, credentials.fetch_memory_mb(), progress)
    done = interrupts.guarded(lambda: task.run(workers, on_page_complete))
    return done.of_parallel() if parallel else done.of_sequence()


@dataclass(frozen=True)
class _Done:
    table: str
    rows: int
    pages: int
    failed: dict[int, str]
    seconds: float
    fetched_at: datetime

    def of_parallel(self) -> ParallelProfileResult:
        failed = self.failed
        return ParallelProfileResult(
            table=self.table,
            total_rows=self.rows,
            successful_pages=self.pages,
            failed_pages=len(failed),
            failed_page_indices=tuple(sorted(failed)),
            duration_seconds=self.seconds,
            fetched_at=self.fetched_at,
            error=f"{failed[min(failed)]}; nothing was stored: fetch again" if failed else None,
        )

    def of_sequence(self) -> FetchResult:
        return FetchResult(
            table=self.table,
            rows=self.rows,
            type="profiles",
            duration_seconds=self.seconds,
            date_range=None,
            fetched_at=self.fetched_at,
            duplicates=0,
            skipped_lines=0,
            skipped_sample=(),
        )


@dataclass(frozen=True)
class _Task:
    client: MixpanelAPIClient
    place: Place
    table: str
    asked: Question
    append: bool
    memory_mb: int
    progress: bool

    def run(self, workers: int, on_page_complete: Callable[[ProfileProgress], None] | None) -> _Done:
        begun = clock.monotonic()
        try:
            _check_before_download(self.place, self.table, append=self.append)
            with workdir(self.place) as directory, ProfileStaging(directory, self.memory_mb) as staging:
                job = _Job(self.client, self.asked, directory, staging, on_page_complete)
                if not self.asked.is_empty:
                    _run(job, workers, self.table, spin=self.progress)
                fetched_at, rows = clock.now(), 0
                if not job.failed:
                    filters = ledger.filters(**self.asked.filters)
                    rows = staging.merge(self.place, Piece(self.table, filters, fetched_at, job.received, self.append))
        except interrupts.Ended as ended:
            ended.add_note(f"nothing of {self.table} was stored by this fetch; the same call fetches it")
            raise
        seconds = round(clock.monotonic() - begun, 3)
        return _Done(self.table, rows, len(job.rows), job.failed, seconds, fetched_at)


def _check_before_download(place: Place, name: str, *, append: bool) -> None:
    if store.exists(place):
        with store.glance(place) as con:
            merge.check_target(con, name, append=append, kind="profiles")
    elif append:
        raise TableNotFoundError(name)


def _run(job: _Job, workers: int, name: str, *, spin: bool) -> None:
    with progress.spinner(f"fetching {name}", wanted=spin and workers == 1) as tell:
        try:
            job.run(workers, tell)
        except SessionOverError as over:
            _LOG.warning("the pages of profiles are asked for from the start: %s", over)
            job.clear()
            try:
                job.run(workers, tell)
            except SessionOverError as again:
                raise again.error from again


class _Job:
    """The pages of one answer, on their way into the staging."""

    def __init__(
        self,
        client: MixpanelAPIClient,
        asked: Question,
        directory: Path,
        staging: ProfileStaging,
        on_page_complete: Callable[[ProfileProgress], None] | None,
    ) -> None:
        self._client, self._asked, self._directory, self._staging = client, asked, directory, staging
        self._tell_caller = on_page_complete or (lambda _: None)
        self.clear()

    def clear(self) -> None:
        """Forget all pages."""
        self.rows: dict[int, int] = {}
        self.failed: dict[int, str] = {}
        self.received = 0
        self._first: ProfilePageResult | None = None
        self._staging.clear()

    def run(self, workers: int, tell: Callable[[int], None]) -> None:
        """Ask for the first page, then for the others: `workers` of them at once where it is known how many there are.

        Raises:
            SessionOverError: Mixpanel forgot the answer before its last page.
            APIError and its kinds: with one worker, of any page; else of the first one.
        """
        ending = interrupts.current()
        page = self._take(ending.apart(lambda: self._page(0)), tell)
        self._first = page
        if workers > 1 and page.num_pages is not None:
            self._in_parallel(range(1, page.num_pages), workers, tell)
            return
        while page.has_more:
            page = self._take(ending.apart(functools.partial(self._page, page.page + 1)), tell)

    def _in_parallel(self, numbers: Iterable[int], workers: int, tell: Callable[[int], None]) -> None:
        ending = interrupts.current()
        rest = iter(numbers)
        waiting: dict[Future[_Arrived], int] = {}
        try:
            while True:
                # No more than can be worked on: what waits takes no place on disk.
                while len(waiting) < workers and (number := next(rest, None)) is not None:
                    waiting[interrupts.begin(functools.partial(self._page, number))] = number
                if not waiting:
                    return
                for done in wait({*waiting, ending.over}, return_when=FIRST_COMPLETED).done - {ending.over}:
                    self._taken_or_failed(done, waiting.pop(done), tell)
                ending.check()
        finally:
            wait(waiting, timeout=interrupts.DOWNLOAD_END_S if ending.over.done() else None)

    def _taken_or_failed(self, done: Future[_Arrived], number: int, tell: Callable[[int], None]) -> None:
        try:
            self._take(done.result(), tell)
        except StorageError:
            raise
        except MixpanelDataError as error:
            self.failed[number] = error.message
            self._report(number, 0, error.message)

    def _page(self, number: int) -> _Arrived:
        """Download a page and look whether it is one."""
        spool = self._directory / f"page-{number}"
        session = self._first.session_id if self._first else None
        asked = profiles.asked_for_page(self._asked, number, session)

        def ask() -> int:
            with _disk_errors(), spool.open("wb") as target:
                return self._client.download(ENDPOINTS["profiles"], asked, target, plain=True).bytes_received

        received = profiles.within_session(number, ask)
        text = spool.read_bytes()
        answer = profiles.parsed(text)
        page = profiles.within_session(number, lambda: profiles.decoded(answer, number, self._first))
        if (mended := profiles.sound(text)) is not text:
            with _disk_errors():
                spool.write_bytes(mended)
        return _Arrived(replace(page, profiles=()), len(page.profiles), spool, received)

    def _take(self, arrived: _Arrived, tell: Callable[[int], None]) -> ProfilePageResult:
        self._staging.load(arrived.spool, arrived.page.page)
        arrived.spool.unlink()
        self._first = self._first or arrived.page
        self.rows[arrived.page.page] = arrived.rows
        self.received += arrived.received
        tell(self.received)
        self._report(arrived.page.page, arrived.rows, None)
        return arrived.page

    def _report(self, number: int, rows: int, error: str | None) -> None:
        told = ProfileProgress(
            page_index=number,
            total_pages=self._first.num_pages if self._first else None,
            rows=rows,
            success=error is None,
            error=error,
            cumulative_rows=sum(self.rows.values()),
        )
        interrupts.current().in_caller(lambda: self._tell_caller(told))


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A page on disk; `page` without its profiles."""

    page: ProfilePageResult
    rows: int
    spool: Path
    received: int


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the profiles cannot be kept on disk ({error.strerror})",
            fix="make room beside the database, then fetch again",
        ) from error
