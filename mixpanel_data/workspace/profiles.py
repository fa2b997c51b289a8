"""Profiles come into local tables, or pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from mixpanel_data.errors import StorageError
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    from mixpanel_data.fetch import FetchResult
    from mixpanel_data.profile_fetch import ParallelProfileResult, ProfileProgress


class ProfileCalls(Core):
    """Calls that copy profiles."""

    @overload
    def fetch_profiles(
        self,
        name: str = ...,
        *,
        where: str | None = ...,
        cohort_id: str | int | None = ...,
        output_properties: Sequence[str] | None = ...,
        progress: bool = ...,
        append: bool = ...,
        batch_size: int = ...,
        distinct_id: str | None = ...,
        distinct_ids: Sequence[str] | None = ...,
        group_id: str | None = ...,
        behaviors: Sequence[Mapping[str, Any]] | None = ...,
        as_of_timestamp: int | None = ...,
        include_all_users: bool = ...,
        parallel: Literal[False] = ...,
        max_workers: int | None = ...,
        on_page_complete: Callable[[ProfileProgress], None] | None = ...,
    ) -> FetchResult: ...

    @overload
    def fetch_profiles(
        self,
        name: str = ...,
        *,
        where: str | None = ...,
        cohort_id: str | int | None = ...,
        output_properties: Sequence[str] | None = ...,
        progress: bool = ...,
        append: bool = ...,
        batch_size: int = ...,
        distinct_id: str | None = ...,
        distinct_ids: Sequence[str] | None = ...,
        group_id: str | None = ...,
        behaviors: Sequence[Mapping[str, Any]] | None = ...,
        as_of_timestamp: int | None = ...,
        include_all_users: bool = ...,
        parallel: bool,
        max_workers: int | None = ...,
        on_page_complete: Callable[[ProfileProgress], None] | None = ...,
    ) -> FetchResult | ParallelProfileResult: ...

    def fetch_profiles(
        self,
        name: str = "profiles",
        *,
        where: str | None = None,
        cohort_id: str | int | None = None,
        output_properties: Sequence[str] | None = None,
        progress: bool = True,
        append: bool = False,
        batch_size: int = 1000,
        distinct_id: str | None = None,
        distinct_ids: Sequence[str] | None = None,
        group_id: str | None = None,
        behaviors: Sequence[Mapping[str, Any]] | None = None,
        as_of_timestamp: int | None = None,
        include_all_users: bool = False,
        parallel: bool = False,
        max_workers: int | None = None,
        on_page_complete: Callable[[ProfileProgress], None] | None = None,
    ) -> FetchResult | ParallelProfileResult:
        """Copy profiles into a local table, which appears whole or not at all. Each page of 1000 is a query.

        Args:
            name: the table; letters, digits, underscores
            where: an expression that profiles must fulfil, such as properties["plan"] == "pro"
            cohort_id: only members of this saved cohort; not with `behaviors`
            output_properties: only these properties; None takes all. `$last_seen` is a property, too
            progress: draw a spinner on stderr if that is a terminal and the fetch not parallel
            append: add to the table that is there; profiles that it has already are replaced
            batch_size: 100 to 100000, taken for compatibility: rows are stored all at once
            distinct_id, distinct_ids: only this profile, or these; an empty list asks nothing and stores none
            group_id: profiles of this group key in place of those of users
            behaviors: [{"window": "30d", "name": "plays", "event_selectors": [{"event": "Song Played"}]}], to be used
                in `where` as behaviors["plays"] > 2
            as_of_timestamp: unix seconds at which the behaviors' windows end; None takes now
            include_all_users: also members of the cohort that have no profile
            parallel: several pages at once, unless single profiles are asked for
            max_workers: how many; at most 5, Mixpanel's own limit
            on_page_complete: told of each page; of a parallel fetch in the order in which they come

        Returns:
            FetchResult; with `parallel` a ParallelProfileResult. A page that fails ends a sequential fetch with its
            error; a parallel one returns which pages failed and why, and has stored nothing.

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            TableExistsError, TableNotFoundError: before anything is asked for.
            DatabaseLockedError, StorageError: the profiles cannot be stored.
            APIError and its kinds: Mixpanel refuses, or its answer is not a page of profiles.
            KeyboardInterrupt: when nothing is at work any more; nothing is stored then.

        Pages of one answer are frozen. Mixpanel forgets it after a while; then all pages are asked for once more.

        Source: reference/mixpanel-api.md, section 7.16
        """
        from mixpanel_data import profile_fetch, profiles

        client = self.api
        if self._read_only:
            raise StorageError("this workspace is read-only", fix="open it with read_only=False to fetch into it")
        asked = profiles.question(
            where=where,
            cohort_id=cohort_id,
            output_properties=output_properties,
            distinct_id=distinct_id,
            distinct_ids=distinct_ids,
            group_id=group_id,
            behaviors=behaviors,
            as_of_timestamp=as_of_timestamp,
            include_all_users=include_all_users,
        )
        return profile_fetch.fetch_profiles(
            client,
            self._place,
            name,
            asked,
            progress=progress,
            append=append,
            batch_size=batch_size,
            parallel=parallel,
            max_workers=max_workers,
            on_page_complete=on_page_complete,
        )

    def stream_profiles(
        self,
        *,
        where: str | None = None,
        cohort_id: str | int | None = None,
        output_properties: Sequence[str] | None = None,
        distinct_id: str | None = None,
        distinct_ids: Sequence[str] | None = None,
        group_id: str | None = None,
        behaviors: Sequence[Mapping[str, Any]] | None = None,
        as_of_timestamp: int | None = None,
        include_all_users: bool = False,
        raw: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Profiles one after another, not stored; a page of 1000 is asked for when the one before is used up.

        Args:
            raw: as Mixpanel sends them, with `$distinct_id` and `$properties`; else as rows: distinct_id, last_seen
                (Mixpanel's text: UTC, without zone; None where there is none) and properties
            all others: as `fetch_profiles`

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong; at once, the others while profiles are taken.
            APIError and its kinds: Mixpanel refuses, or has forgotten the answer before its last page was asked for.

        Source: reference/mixpanel-api.md, section 7.16
        """
        from mixpanel_data import profiles

        asked = profiles.question(
            where=where,
            cohort_id=cohort_id,
            output_properties=output_properties,
            distinct_id=distinct_id,
            distinct_ids=distinct_ids,
            group_id=group_id,
            behaviors=behaviors,
            as_of_timestamp=as_of_timestamp,
            include_all_users=include_all_users,
        )
        return profiles.stream(self.api, asked, raw=raw)
