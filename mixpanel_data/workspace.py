"""The façade: one object for a project and its local database. It delegates and decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mixpanel_data import credentials as _credentials
from mixpanel_data import discovery, live
from mixpanel_data.api_client import MixpanelAPIClient
from mixpanel_data.errors import ConfigError, DatabaseNotFoundError, StorageError
from mixpanel_data.live import EventCountsResult, SegmentationResult
from mixpanel_data.results import Result

if TYPE_CHECKING:
    import pandas as pd

    from mixpanel_data.fetch import FetchResult
    from mixpanel_data.local.query import SQLResult
    from mixpanel_data.local.schema import TableInfo
    from mixpanel_data.local.store import Connection, Held


@dataclass(frozen=True)
class WorkspaceInfo(Result):
    """Where a workspace looks.

    project_id, region, account: None in a workspace without credentials; account also when they are the environment's
    tables: names of the fetched tables, sorted
    size_mb, created_at: of the database file, None while there is none; created_at is aware, UTC
    """

    path: str
    project_id: str | None
    region: str | None
    account: str | None
    tables: tuple[str, ...]
    size_mb: float | None
    created_at: datetime | None


class Workspace:
    """A Mixpanel project and the local database beside it.

    Args:
        account: a name in the configuration file; None takes the environment, else the file's default
        project_id, region: in place of those of the credentials
        path: the database file; None takes ~/.mp/data/<project_id>.db
        read_only: never change the file
        api_headers: sent with every request to Mixpanel
        api_client: a ready client in place of one made from the credentials; the workspace closes it

    Neither the database nor a connection to Mixpanel is opened before it is needed, and the database is open only for
    the length of a call. A workspace may be used from several threads.

    Raises:
        ConfigError: no credentials are configured, or they are wrong. `Workspace.open` needs none.
    """

    _account: str | None

    def __init__(
        self,
        account: str | None = None,
        project_id: str | None = None,
        region: str | None = None,
        path: str | Path | None = None,
        read_only: bool = False,
        *,
        api_headers: Mapping[str, str] | None = None,
        api_client: MixpanelAPIClient | None = None,
    ) -> None:
        credentials = None if api_client else _credentials.resolve(account, project_id=project_id, region=region)
        if credentials is not None:
            api_client = MixpanelAPIClient(credentials, default_headers=api_headers)
        project = project_id if api_client is None else api_client.project_id
        self._start(api_client, Path(path) if path else _credentials.default_database(str(project)), read_only)
        self._account = credentials.account if credentials else None

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """A workspace on an existing database, without credentials; calls to Mixpanel raise ConfigError.

        Raises:
            DatabaseNotFoundError: there is no such file; it is a FileNotFoundError too.
        """
        if not Path(path).exists():
            raise DatabaseNotFoundError(path)
        workspace = cls.__new__(cls)
        workspace._start(None, Path(path), read_only)
        workspace._account = None
        return workspace

    def _start(self, client: MixpanelAPIClient | None, path: Path, read_only: bool) -> None:
        self._client, self._path, self._read_only = client, path.expanduser(), read_only
        self._lock = threading.Lock()
        self._held: Held | None = None
        self._event_names: list[str] | None = None

    def __repr__(self) -> str:
        project = self._client.project_id if self._client else None
        return f"Workspace(project_id={project!r}, path={str(self._path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; closing twice is fine."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.close()
        if self._client is not None:
            self._client.close()

    @property
    def api(self) -> MixpanelAPIClient:
        """The HTTP client, for what has no method here."""
        if self._client is None:
            raise ConfigError(
                "this workspace has no Mixpanel credentials",
                fix="set MP_USERNAME, MP_SECRET, MP_PROJECT_ID and MP_REGION, and make it by Workspace()",
            )
        return self._client

    @property
    def db_path(self) -> Path:
        """The database file, whether or not it exists yet."""
        return self._path

    @property
    def connection(self) -> Connection:
        """The user's own DuckDB connection, the same one until `close()`; other processes are kept out meanwhile."""
        from mixpanel_data.local.store import Held

        with self._lock:
            if self._held is None:
                self._held = Held(self._path, "read" if self._read_only else "write")
            return self._held.connection

    @staticmethod
    def test_credentials(account: str | None = None) -> dict[str, Any]:
        """Ask Mixpanel one cheap question with the credentials that apply.

        Returns:
            success (True), account (None when from the environment), project_id, region, events_found.

        Raises:
            ConfigError, AccountNotFoundError: nothing to test.
            AuthenticationError, RateLimitError, …: what `MixpanelAPIClient.call` raises.
        """
        credentials = _credentials.resolve(account)
        with MixpanelAPIClient(credentials) as client:
            found = discovery.event_names(client)
        return {
            "success": True,
            "account": credentials.account,
            "project_id": credentials.project_id,
            "region": credentials.region,
            "events_found": len(found),
        }

    def events(self) -> list[str]:
        """The names of the project's events, sorted; asked for once, then remembered.

        Source: reference/mixpanel-api.md, section 7.1
        """
        if self._event_names is None:
            self._event_names = discovery.event_names(self.api)
        return list(self._event_names)

    def clear_discovery_cache(self) -> None:
        """Ask Mixpanel again next time."""
        self._event_names = None

    def segmentation(
        self,
        event: str,
        *,
        from_date: str,
        to_date: str,
        on: str | None = None,
        unit: str = "day",
        where: str | None = None,
    ) -> SegmentationResult:
        """How often an event happened, over time and, with `on`, by the values of a property.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            on: a property's name, or an expression
            unit: minute, hour, day, week or month
            where: an expression that events must fulfil

        Raises:
            InvalidArgumentError: a ValueError: a date or unit is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.7
        """
        return live.segmentation(self.api, event, from_date=from_date, to_date=to_date, on=on, unit=unit, where=where)

    def event_counts(
        self,
        events: Sequence[str],
        *,
        from_date: str,
        to_date: str,
        type: str = "general",  # noqa: A002 -- the public contract's own name
        unit: str = "day",
    ) -> EventCountsResult:
        """How often each of several events happened, over time.

        Args:
            from_date, to_date: YYYY-MM-DD, both included, in the project's time zone
            type: general (events), unique (users of each bucket) or average (events per user)
            unit: minute, hour, day, week or month; unique has none below a day

        Raises:
            InvalidArgumentError: a ValueError: an argument is wrong.
            APIError and its kinds: Mixpanel refuses.

        Source: reference/mixpanel-api.md, section 7.5
        """
        return live.event_counts(self.api, events, from_date=from_date, to_date=to_date, type=type, unit=unit)

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

    def sql(self, query: str) -> pd.DataFrame:
        """Run your own SQL on your own file; the rows as a pandas frame.

        Raises:
            QueryError: status_code 0; the engine refuses it.
            DatabaseLockedError: another process has the file open.
        """
        from mixpanel_data.local import query as _query

        return _query.frame(self._path, query, read_only=self._read_only)

    def sql_scalar(self, query: str) -> Any:
        """As `sql`; the first cell, or None."""
        from mixpanel_data.local import query as _query

        return _query.scalar(self._path, query, read_only=self._read_only)

    def sql_rows(self, query: str) -> SQLResult:
        """As `sql`; the rows as tuples of Python values."""
        from mixpanel_data.local import query as _query

        return _query.rows(self._path, query, read_only=self._read_only)

    def select(
        self, query: str, *, max_rows: int = 10_000, max_bytes: int = 4_000_000, timeout_s: float = 30.0
    ) -> SQLResult:
        """Run one SELECT of somebody else's: it can read this database and reach nothing else.

        Args:
            max_rows, max_bytes: where the result is cut off; `truncated` says so
            timeout_s: how long it may take

        Returns:
            SQLResult with JSON-ready values.

        Raises:
            QueryError: status_code 0; it is not one SELECT, fails, or takes too much time or memory.
            DatabaseNotFoundError: nothing has been fetched yet.
            DatabaseLockedError: another process is writing.
        """
        from mixpanel_data.local import confine

        return confine.select(self._path, query, max_rows=max_rows, max_bytes=max_bytes, timeout_s=timeout_s)

    def tables(self) -> list[TableInfo]:
        """The fetched tables, by name; none before the first fetch."""
        from mixpanel_data.local import query as _query

        return _query.tables(self._path)

    def info(self) -> WorkspaceInfo:
        """Where this workspace looks, and what is there."""
        file = self._path.stat() if self._path.exists() else None
        return WorkspaceInfo(
            path=str(self._path),
            project_id=self._client.project_id if self._client else None,
            region=self._client.region if self._client else None,
            account=self._account,
            tables=tuple(table.name for table in self.tables()),
            size_mb=round(file.st_size / 1_000_000, 3) if file else None,
            created_at=datetime.fromtimestamp(file.st_ctime, UTC) if file else None,
        )
