"""The local tables: SQL, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixpanel_data.errors import StorageError
from mixpanel_data.results import Result
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    import pandas as pd

    from mixpanel_data.choices import TableType
    from mixpanel_data.local.columns import ColumnStatsResult
    from mixpanel_data.local.introspection import EventBreakdownResult, SummaryResult, TableSchema
    from mixpanel_data.local.query import SQLResult
    from mixpanel_data.local.schema import TableInfo


@dataclass(frozen=True)
class WorkspaceInfo(Result):
    """Where a workspace looks.

    path: of the file, None for one in memory
    project_id, region, account: None in a workspace without credentials; account also when they are the environment's
    tables: names of the fetched tables, sorted
    size_mb, created_at: of the database file, None while there is none; created_at is aware, UTC
    """

    path: str | None
    project_id: str | None
    region: str | None
    account: str | None
    tables: tuple[str, ...]
    size_mb: float | None
    created_at: datetime | None


class TableCalls(Core):
    """Calls that look at the local database."""

    def sql(self, query: str) -> pd.DataFrame:
        """Run your own SQL on your own file; the rows as a pandas frame.

        Raises:
            QueryError: status_code 0; the engine refuses it.
            DatabaseLockedError: another process has the file open.
        """
        from mixpanel_data.local import query as _query

        return _query.frame(self._place, query, read_only=self._read_only)

    def sql_scalar(self, query: str) -> Any:
        """As `sql`; the first cell, or None."""
        from mixpanel_data.local import query as _query

        return _query.scalar(self._place, query, read_only=self._read_only)

    def sql_rows(self, query: str) -> SQLResult:
        """As `sql`; the rows as tuples of Python values."""
        from mixpanel_data.local import query as _query

        return _query.rows(self._place, query, read_only=self._read_only)

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

        return confine.select(self._place, query, max_rows=max_rows, max_bytes=max_bytes, timeout_s=timeout_s)

    def tables(self) -> list[TableInfo]:
        """The fetched tables, by name; none before the first fetch."""
        from mixpanel_data.local import query as _query

        return _query.tables(self._place)

    def info(self) -> WorkspaceInfo:
        """Where this workspace looks, and what is there."""
        path = self.db_path
        file = path.stat() if path is not None and path.exists() else None
        return WorkspaceInfo(
            path=None if path is None else str(path),
            project_id=self._client.project_id if self._client else None,
            region=self._client.region if self._client else None,
            account=self._account,
            tables=tuple(table.name for table in self.tables()),
            size_mb=round(file.st_size / 1_000_000, 3) if file else None,
            created_at=datetime.fromtimestamp(file.st_ctime, UTC) if file else None,
        )

    def table_schema(self, table: str) -> TableSchema:
        """The columns of a table, in order; of a fetched one, `primary_key` tells the service's own identity of a row.

        Raises:
            TableNotFoundError: there is no such table.
        """
        from mixpanel_data.local import introspection

        return introspection.table_schema(self._place, table)

    def sample(self, table: str, n: int = 10) -> pd.DataFrame:
        """Rows of a table, drawn at random, as a pandas frame.

        Args:
            n: how many; all of them where there are fewer

        Raises:
            InvalidArgumentError: a ValueError: `n` is below 1.
            TableNotFoundError: there is no such table.
        """
        from mixpanel_data.local import introspection

        return introspection.sample(self._place, table, n)

    def summarize(self, table: str) -> SummaryResult:
        """What each column of a table holds: least and most, how many different values, quartiles, missing values.

        Raises:
            TableNotFoundError: there is no such table.
        """
        from mixpanel_data.local import introspection

        return introspection.summarize(self._place, table)

    def event_breakdown(self, table: str) -> EventBreakdownResult:
        """How often each event of a table happened and to how many users, the most frequent first.

        Raises:
            TableNotFoundError: there is no such table.
            QueryError: it has not the columns of events.
        """
        from mixpanel_data.local import introspection

        return introspection.event_breakdown(self._place, table)

    def property_keys(self, table: str, event: str | None = None) -> list[str]:
        """The names of the properties that rows of a table have, sorted.

        Args:
            event: of this event's rows only; None takes all

        Raises:
            TableNotFoundError: there is no such table.
            QueryError: it has no properties, or with `event` no event names.
        """
        from mixpanel_data.local import introspection

        return introspection.property_keys(self._place, table, event)

    def column_stats(self, table: str, column: str, *, top_n: int = 10) -> ColumnStatsResult:
        """What a column holds: how many values, how many different ones, the most frequent, and of numbers the mean.

        Args:
            column: its name; or one expression over the columns, such as properties->>'$."plan"', which is computed
                out of reach of everything but this database
            top_n: how many of the most frequent values

        Raises:
            InvalidArgumentError: a ValueError: it is neither a column nor one expression, or `top_n` is below 1.
            TableNotFoundError: there is no such table.
            QueryError: the engine refuses the expression, or it takes too much time or memory.
        """
        from mixpanel_data.local import columns

        return columns.column_stats(self._place, table, column, top_n)

    def drop(self, *names: str) -> None:
        """Drop these tables, all of them or, if one of them is not there, none.

        Raises:
            TableNotFoundError: one of them is not there.
            InvalidArgumentError: a ValueError: it is one of the store's own, whose names begin with an underscore.
            StorageError: this workspace is read-only.
        """
        from mixpanel_data.local import introspection

        self._check_writable()
        introspection.drop(self._place, names)

    def drop_all(self, type: TableType | None = None) -> None:  # noqa: A002 -- the public contract's own name
        """Drop the fetched tables.

        Args:
            type: events or profiles; None takes both

        Raises:
            InvalidArgumentError: a ValueError: another type.
            StorageError: this workspace is read-only.
        """
        from mixpanel_data.local import introspection

        self._check_writable()
        introspection.drop_all(self._place, type)

    def _check_writable(self) -> None:
        if self._read_only:
            raise StorageError("this workspace is read-only", fix="open it with read_only=False to change it")
