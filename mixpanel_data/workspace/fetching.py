"""Rows come into local tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from mixpanel_data.errors import StorageError
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from mixpanel_data.fetch import FetchResult
    from mixpanel_data.parallel import BatchProgress, FetchProgress, ParallelFetchResult


class FetchCalls(Core):
    """Calls that copy raw data."""

    @overload
    def fetch_events(
        self,
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
        parallel: Literal[False] = False,
        max_workers: int | None = None,
        on_batch_complete: Callable[[BatchProgress], None] | None = None,
        chunk_days: int = 7,
        cancelled: Callable[[], bool] | None = None,
        on_progress: Callable[[FetchProgress], None] | None = None,
        gives_way: bool = False,
    ) -> FetchResult: ...

    @overload
    def fetch_events(
        self,
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
        parallel: bool,
        max_workers: int | None = None,
        on_batch_complete: Callable[[BatchProgress], None] | None = None,
        chunk_days: int = 7,
        cancelled: Callable[[], bool] | None = None,
        on_progress: Callable[[FetchProgress], None] | None = None,
        gives_way: bool = False,
    ) -> FetchResult | ParallelFetchResult: ...

    def fetch_events(
        self,
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
        """Copy raw events into a local table: in one call whole or not at all, or in parallel piece by piece.

        The table says what Mixpanel says: fetched again with `append`, the days' rows of the asked names are replaced,
        and events that are gone there go here. Where an answer cannot be told to be the whole of these days (with
        `limit`, with a `where` that the days' other rows were not fetched with, when a line was skipped), rows are
        merged one by one instead, of copies the newest stays, and nothing goes.

        In parallel, each piece is stored by itself. When some fail or the fetch is ended, the others stay, `tables()`
        shows the gaps, and the same call again, `append` or not, asks only for what is missing.

        The engine takes at most MP_FETCH_MEMORY_MB megabytes of memory (256 when unset) however much is fetched.

        Args:
            name: the table; letters, digits, underscores
            from_date, to_date: YYYY-MM-DD, both included, at most 100 days unless in parallel; UTC days for projects
                made since 2023, else days of the project's time zone
            events: only these; None takes all
            where: an expression that events must fulfil
            limit: at most so many events, 1 to 100000; not in parallel
            progress: show progress on stderr if that is a terminal
            append: add to the table that is there, replacing what is fetched again
            batch_size: 100 to 100000; nothing is inserted in batches here, so that it makes no difference
            parallel: fetch pieces at the same time; each is an export call. More than one day costs up to two query
                calls more, by which the pieces are made smaller where there are very many events
            max_workers: how many pieces are downloaded at once; None takes 10
            on_batch_complete: called with a BatchProgress when a piece is stored or has failed
            chunk_days: how many days a piece has at most, 1 to 100
            cancelled: asked a few times a second; once it says true, the fetch ends as by Ctrl-C, soon
            on_progress: told of each block of bytes that comes, in a thread of the fetch's own; it must be quick
            gives_way: let everything else on the machine have the processor first, where a system can tell threads
                apart (Linux); a fetch on a busy machine takes longer by that

        Returns:
            FetchResult, in parallel ParallelFetchResult.

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            DateRangeTooLargeError, TableExistsError, TableNotFoundError: before anything is downloaded.
            IncompleteExportError: the export broke off; nothing is stored. In parallel, the result has failed pieces.
            DatabaseLockedError, StorageError: the events cannot be stored.
            APIError and its kinds: Mixpanel refuses. In parallel only AuthenticationError.
            KeyboardInterrupt: when nothing is at work any more, with a note on what is stored and how to go on.
            MixpanelDataError: code CANCELLED, in the same way.

        Source: reference/mixpanel-api.md, section 8
        """
        from mixpanel_data.fetch import fetch_events

        client = self.api
        if self._read_only:
            raise StorageError("this workspace is read-only", fix="open it with read_only=False to fetch into it")
        return fetch_events(
            client,
            self._place,
            name,
            from_date=from_date,
            to_date=to_date,
            events=events,
            where=where,
            limit=limit,
            progress=progress,
            append=append,
            batch_size=batch_size,
            parallel=parallel,
            max_workers=max_workers,
            on_batch_complete=on_batch_complete,
            chunk_days=chunk_days,
            cancelled=cancelled,
            on_progress=on_progress,
            gives_way=gives_way,
        )

    def stream_events(
        self,
        *,
        from_date: str,
        to_date: str,
        events: Sequence[str] | None = None,
        where: str | None = None,
        limit: int | None = None,
        raw: bool = False,
        on_skipped: Callable[[int], None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Raw events one after another as they arrive, nothing stored, none twice that was exported once.

        A caller who stops early closes the iterator, which ends the answer. What breaks off after the first event is
        not tried again. Lines that are no event are skipped and logged.

        Args:
            from_date, to_date: YYYY-MM-DD, both included; UTC days for projects made since 2023
            events: only these; None takes all
            where: an expression that events must fulfil
            limit: at most so many events, 1 to 100000
            raw: as Mixpanel exports them, `time` in milliseconds; else as the rows of a table, see `transform_event`
            on_skipped: told at each line that is no event how many those are so far

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong; at once.
            IncompleteExportError: the export broke off; after the events that came before.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 8
        """
        from mixpanel_data import export, stream

        wanted = export.asked(self.api, from_date=from_date, to_date=to_date, events=events, where=where, limit=limit)
        return stream.stream_events(wanted, raw=raw, on_skipped=on_skipped)
