"""The local tables: SQL, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixpanel_data.results import Result
from mixpanel_data.workspace.core import Core

if TYPE_CHECKING:
    import pandas as pd

    from mixpanel_data.local.query import SQLResult
    from mixpanel_data.local.schema import TableInfo


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


class TableCalls(Core):
    """Calls that look at the local database."""

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
