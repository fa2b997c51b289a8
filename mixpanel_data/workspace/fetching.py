"""Rows come into local tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixpanel_data.errors import StorageError
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from mixpanel_data.fetch import FetchResult


class FetchCalls(Core):
    """Calls that copy raw data."""

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
    ) -> FetchResult:
        """Copy raw events into a local table, which appears whole or not at all.

        Args:
            name: the table; letters, digits, underscores
            from_date, to_date: YYYY-MM-DD, both included, at most 100 days; UTC days for projects made since 2023
            events: only these; None takes all
            where: an expression that events must fulfil
            limit: at most so many events, 1 to 100000
            progress: draw a spinner on stderr if that is a terminal
            append: add to the table that is there; of events with the same identity the newest copy stays

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            DateRangeTooLargeError, TableExistsError, TableNotFoundError: before anything is downloaded.
            IncompleteExportError: the export broke off; nothing is stored.
            DatabaseLockedError, StorageError: the events cannot be stored.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 8
        """
        from mixpanel_data.fetch import fetch_events

        client = self.api
        if self._read_only:
            raise StorageError("this workspace is read-only", fix="open it with read_only=False to fetch into it")
        return fetch_events(
            client,
            self._path,
            name,
            from_date=from_date,
            to_date=to_date,
            events=events,
            where=where,
            limit=limit,
            progress=progress,
            append=append,
        )
