"""Rows come to us: an export's bytes are spooled as they arrive, then the engine makes a table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mixpanel_data import arguments, clock, credentials, export, interrupts, parallel, pieces, progress
from mixpanel_data.errors import DateRangeTooLargeError, InvalidArgumentError
from mixpanel_data.local import ledger, merge, schema
from mixpanel_data.local.inflow import Inflow
from mixpanel_data.local.load import SAMPLE_LINES, Loaded, Staging
from mixpanel_data.local.workdir import workdir
from mixpanel_data.parallel import BatchProgress, FetchProgress, ParallelFetchResult
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    from mixpanel_data.api_client import Download, MixpanelAPIClient
    from mixpanel_data.export import Export
    from mixpanel_data.local.ledger import Days, Filters
    from mixpanel_data.local.place import Place

MAX_DAYS = 100
MAX_LIMIT = export.MAX_LIMIT
BATCH_SIZES = (100, 100_000)


@dataclass(frozen=True)
class FetchResult(FramedResult):
    """What a fetch brought in; its frame is empty, the rows are in the table.

    rows: rows that the table did not have before
    type: events or profiles
    date_range: first and last day, as YYYY-MM-DD; None for profiles
    fetched_at: aware, UTC
    duplicates: exported events that another exported event of the same identity replaced
    skipped_lines: lines of the export that are not an event; the first few of them are in skipped_sample
    removed_rows: rows that the table had of these days, and that Mixpanel no longer has
    """

    table: str
    rows: int
    type: str
    duration_seconds: float
    date_range: tuple[str, str] | None
    fetched_at: datetime
    duplicates: int
    skipped_lines: int
    skipped_sample: tuple[str, ...]
    removed_rows: int = 0

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return [], []


def fetch_events(
    client: MixpanelAPIClient,
    place: Place,
    name: str = "events",
    *,
    from_date: str,
    to_date: str,
    events: Sequence[str] | None = None,
    where: str | None = None,
    limit: int | None = None,
    progress: bool = True,
    append: bool = False,
    batch_size: int = 1000,
    parallel: bool = False,
    max_workers: int | None = None,
    on_batch_complete: Callable[[BatchProgress], None] | None = None,
    chunk_days: int = 7,
    cancelled: Callable[[], bool] | None = None,
    on_progress: Callable[[FetchProgress], None] | None = None,
    gives_way: bool = False,
) -> FetchResult | ParallelFetchResult:
    """Source: reference/mixpanel-api.md, section 8"""
    schema.table_name("name", name)
    asked = export.asked(client, from_date=from_date, to_date=to_date, events=events, where=where, limit=limit)
    arguments.whole("batch_size", batch_size, *BATCH_SIZES)
    arguments.whole("chunk_days", chunk_days, 1, pieces.LONGEST_CHUNK_DAYS)
    if max_workers is not None:
        arguments.whole("max_workers", max_workers, 1)
    filters = ledger.filters(events=asked.events, where=where, limit=limit)
    memory_mb = credentials.fetch_memory_mb()
    task = _Task(asked, place, name, filters, append, memory_mb, progress, on_progress, gives_way)
    if parallel:
        if limit is not None:
            raise InvalidArgumentError(
                "limit", "a parallel fetch cannot be limited", fix="leave out limit, or fetch with parallel=False"
            )
        return interrupts.guarded(
            lambda: task.in_parallel(chunk_days, max_workers, on_batch_complete), cancelled=cancelled
        )
    days = (asked.last - asked.first).days + 1
    if days > MAX_DAYS:
        raise DateRangeTooLargeError(asked.first, asked.last, days, MAX_DAYS)
    return interrupts.guarded(task.in_sequence, cancelled=cancelled)


@dataclass(frozen=True)
class _Task:
    asked: Export
    place: Place
    table: str
    filters: Filters
    append: bool
    memory_mb: int
    progress: bool
    on_progress: Callable[[FetchProgress], None] | None
    gives_way: bool

    @property
    def days(self) -> Days:
        return (self.asked.first, self.asked.last)

    def in_sequence(self) -> FetchResult:
        begun = clock.monotonic()
        rest = merge.unfinished(self.place, self.table, self.days, self.filters, append=self.append)
        # An earlier fetch of the same that was cut in pieces has left some of them to do.
        to_do, done = pieces.joined(rest or [self.days]), []
        try:
            for days in to_do:
                done.append(self._piece(days, append=self.append or bool(rest)))  # noqa: PERF401 -- how far it came is told
        except interrupts.Ended as ended:
            ended.add_note(parallel.how_to_go_on(self.table, len(done), len(to_do)))
            raise
        sample = [line for loaded, _, _ in done for line in loaded.sample]
        return FetchResult(
            table=self.table,
            rows=sum(merged.added for _, merged, _ in done),
            type="events",
            duration_seconds=round(clock.monotonic() - begun, 3),
            date_range=(self.asked.first.isoformat(), self.asked.last.isoformat()),
            fetched_at=done[-1][2],
            duplicates=sum(loaded.duplicates for loaded, _, _ in done),
            skipped_lines=sum(loaded.skipped for loaded, _, _ in done),
            skipped_sample=tuple(sample[:SAMPLE_LINES]),
            removed_rows=sum(merged.removed for _, merged, _ in done),
        )

    def _piece(self, days: Days, *, append: bool) -> tuple[Loaded, merge.Merged, datetime]:
        with (
            workdir(self.place) as directory,
            Staging(directory, self.memory_mb, gives_way=self.gives_way) as staging,
        ):
            with progress.spinner(f"fetching {self.table}", wanted=self.progress) as tell:
                with Inflow(staging, directory) as inflow:
                    download = interrupts.current().apart(lambda: self._download(days, inflow, tell))
                    loaded = inflow.finish()
                loaded = export.complete(loaded, self.asked.client.mask)
            fetched_at = clock.now()
            merged = merge.merge(
                staging,
                loaded,
                self.place,
                merge.Piece(
                    table=self.table,
                    days=days,
                    asked=self.days,
                    filters=self.filters,
                    fetched_at=fetched_at,
                    received_bytes=download.bytes_received,
                    append=append,
                ),
            )
        return loaded, merged, fetched_at

    def _download(self, days: Days, inflow: Inflow, tell: Callable[[int], None]) -> Download:
        ending = interrupts.current()

        def on_bytes(received: int) -> None:
            ending.check()
            tell(received)
            if self.on_progress is not None:
                self.on_progress(FetchProgress(received, inflow.taken))

        return self.asked.download(days, inflow, plain=True, on_bytes=on_bytes)

    def in_parallel(
        self, chunk_days: int, max_workers: int | None, on_batch_complete: Callable[[BatchProgress], None] | None
    ) -> ParallelFetchResult:
        rest = merge.unfinished(self.place, self.table, self.days, self.filters, append=self.append)
        job = parallel.Job(
            export=self.asked,
            place=self.place,
            table=self.table,
            filters=self.filters,
            append=self.append or bool(rest),
            pieces=rest or parallel.pieces_of(self.asked, chunk_days),
            memory_mb=self.memory_mb,
            on_progress=self.on_progress,
            gives_way=self.gives_way,
        )
        return job.run(max_workers or parallel.MAX_WORKERS, on_batch_complete, progress=self.progress)
