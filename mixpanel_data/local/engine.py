"""The storage engine that users know, on the same door as everything else: tables of rows that they have themselves.

Rows are written to a spool and stored all at once, so that a table appears whole or not at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mixpanel_data import arguments
from mixpanel_data.errors import DatabaseNotFoundError, InvalidArgumentError, StorageError, TableNotFoundError
from mixpanel_data.local import introspection, ledger, merge, profiles, query, schema, store
from mixpanel_data.local.load import Staging
from mixpanel_data.local.place import Memory
from mixpanel_data.local.rows import Days, Row, Spool, Told, event_line, profile_line
from mixpanel_data.local.workdir import Temporary, workdir
from mixpanel_data.results import Result

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from mixpanel_data.local.introspection import TableSchema
    from mixpanel_data.local.place import Place
    from mixpanel_data.local.schema import TableInfo
    from mixpanel_data.local.store import Connection, Held

_ENTRIES = """
select from_date, to_date, filters from "_ledger"
where lower(table_name) = lower(?) and state = ? order by fetched_at desc
"""


@dataclass(frozen=True)
class TableMetadata(Result):
    """Where a table's rows come from.

    type: events or profiles
    fetched_at: aware, UTC
    from_date, to_date: YYYY-MM-DD, of events
    filter_…: what was asked for; None where everything was
    """

    type: str
    fetched_at: datetime
    from_date: str | None = None
    to_date: str | None = None
    filter_events: list[str] | None = None
    filter_where: str | None = None
    filter_cohort_id: str | None = None
    filter_output_properties: list[str] | None = None
    filter_group_id: str | None = None
    filter_behaviors: list[dict[str, Any]] | None = None


class StorageEngine:
    """A local database.

    Args:
        path: the file; it and its directory are made when something is stored
        read_only: never change it

    Raises:
        DatabaseNotFoundError: `read_only`, and there is no such file.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        place = Path(path).expanduser()
        if read_only and not place.exists():
            raise DatabaseNotFoundError(path)
        self._start(place, read_only, None)

    @classmethod
    def at(cls, place: Place, *, read_only: bool = False) -> Self:
        """A database wherever it is; what is not there yet is told when it is used."""
        engine = cls.__new__(cls)
        engine._start(place, read_only, None)
        return engine

    @classmethod
    def ephemeral(cls) -> Self:
        """A database in a file that is deleted with it: by `close`, or when the program ends."""
        temporary = Temporary()
        engine = cls.__new__(cls)
        engine._start(temporary.path / "ephemeral.db", False, temporary)
        return engine

    @classmethod
    def memory(cls) -> Self:
        """A database in the memory of this process."""
        return cls.at(Memory())

    @classmethod
    def open_existing(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """A database whose file is there already.

        Raises:
            DatabaseNotFoundError: it is not; it is a FileNotFoundError too.
        """
        if not Path(path).expanduser().exists():
            raise DatabaseNotFoundError(path)
        return cls(path, read_only=read_only)

    def _start(self, place: Place, read_only: bool, temporary: Temporary | None) -> None:
        self._place, self._read_only, self._temporary = place, read_only, temporary
        self._lock = threading.Lock()
        self._held: Held | None = None

    def __repr__(self) -> str:
        return f"StorageEngine({str(self._place)!r}, read_only={self._read_only})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def place(self) -> Place:
        """Where it is, as the rest of the library says it."""
        return self._place

    @property
    def path(self) -> Path | None:
        """The file, whether or not it exists yet; None for one in memory."""
        return self._place if isinstance(self._place, Path) else None

    @property
    def read_only(self) -> bool:
        """Whether it is never changed."""
        return self._read_only

    @property
    def connection(self) -> Connection:
        """The user's own DuckDB connection, the same one until `close()`; other processes are kept out meanwhile.

        Raises:
            DatabaseNotFoundError: there is nothing to read.
            DatabaseLockedError: another process has the file open.
        """
        with self._lock:
            if self._held is None:
                self._held = store.Held(self._place, "read" if self._read_only else "write")
            return self._held.connection

    def close(self) -> None:
        """Let go of it, and delete what is ephemeral or in memory; closing twice is fine."""
        with self._lock:
            held, self._held = self._held, None
        if held is not None:
            held.close()
        if isinstance(self._place, Memory):
            self._place.close()
        if self._temporary is not None:
            self._temporary.close()

    def cleanup(self) -> None:
        """The same as `close`."""
        self.close()

    def create_events_table(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        progress_callback: Told | None = None,
        batch_size: int = 1000,
    ) -> int:
        """Make a table of events.

        Args:
            name: letters, digits, underscores
            data: rows with event_name, event_time (a datetime, UTC where it has no zone; or ISO text), distinct_id,
                insert_id (derived from the event where it is missing) and properties
            metadata: what `get_metadata` tells afterwards
            progress_callback: told how many rows were taken so far, after each `batch_size`; and, last, how many the
                table has grown by
            batch_size: 100 to 100000

        Returns:
            By how many rows the table has grown; of rows with the same identity one stays.

        Raises:
            InvalidArgumentError: a ValueError: a name or a row is wrong; nothing is stored.
            TableExistsError: it is there already.
            DatabaseLockedError, StorageError: the rows cannot be stored.
        """
        return self._store_events(name, data, metadata, progress_callback, batch_size, append=False)

    def append_events_table(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        progress_callback: Told | None = None,
        batch_size: int = 1000,
    ) -> int:
        """Add to a table of events; of rows that it has already the newest copy stays.

        Raises:
            TableNotFoundError: it is not there.
            Else as `create_events_table`.
        """
        return self._store_events(name, data, metadata, progress_callback, batch_size, append=True)

    def create_profiles_table(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        progress_callback: Told | None = None,
        batch_size: int = 1000,
    ) -> int:
        """Make a table of profiles.

        Args:
            data: rows with distinct_id, properties, and last_seen (a datetime or ISO text) if it is known
            all others: as `create_events_table`

        Returns:
            By how many rows the table has grown; of rows with the same distinct_id the first one stays.

        Raises:
            As `create_events_table`.
        """
        return self._store_profiles(name, data, metadata, progress_callback, batch_size, append=False)

    def append_profiles_table(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        progress_callback: Told | None = None,
        batch_size: int = 1000,
    ) -> int:
        """Add to a table of profiles; those that it has already are replaced.

        Raises:
            TableNotFoundError: it is not there.
            Else as `create_profiles_table`.
        """
        return self._store_profiles(name, data, metadata, progress_callback, batch_size, append=True)

    def execute(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Run SQL on the user's own connection; a relation to go on with, empty for what has no rows.

        Raises:
            QueryError: status_code 0; the engine refuses it.
        """
        con = self.connection
        with query.sql_errors(sql):
            relation: duckdb.DuckDBPyRelation | None = con.sql(sql)
            return con.sql("select true as success where false") if relation is None else relation

    def execute_df(self, sql: str) -> pd.DataFrame:
        """The rows as a pandas frame; raises as `execute`."""
        return query.frame(self._place, sql, read_only=self._read_only)

    def execute_scalar(self, sql: str) -> Any:
        """The first cell, None when there is none; raises as `execute`."""
        return query.scalar(self._place, sql, read_only=self._read_only)

    def execute_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows; raises as `execute`."""
        return list(query.rows(self._place, sql, read_only=self._read_only))

    def execute_rows_params(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement with `?` for each of the values; raises as `execute`."""
        return list(query.rows(self._place, sql, read_only=self._read_only, values=params))

    def list_tables(self) -> list[TableInfo]:
        """The fetched tables, by name; none before the first."""
        return query.tables(self._place)

    def get_schema(self, name: str) -> TableSchema:
        """The table's columns.

        Raises:
            TableNotFoundError: there is none of that name.
        """
        return introspection.table_schema(self._place, name)

    def get_metadata(self, name: str) -> TableMetadata:
        """Where the table's rows come from; of several fetches into it, the days of all and the filters of the last.

        Raises:
            TableNotFoundError: there is none of that name, or it is not one that was fetched.
        """
        if not store.exists(self._place):
            raise TableNotFoundError(name)
        with store.connection(self._place, "read") as con:
            row = None
            if merge.has_table(con, "_metadata") and merge.has_table(con, name):
                row = con.execute(
                    'select type, fetched_at, from_date, to_date from "_metadata" where lower(table_name) = lower(?)',
                    [name],
                ).fetchone()
            if row is None:
                raise TableNotFoundError(name)
            entry = (
                con.execute(_ENTRIES, [name, ledger.COMPLETE]).fetchone() if merge.has_table(con, "_ledger") else None
            )
        kind, fetched_at, first, last = row
        asked = json.loads(entry[2]) if entry else {}
        return TableMetadata(
            type=kind,
            fetched_at=fetched_at.replace(tzinfo=UTC),
            from_date=None if first is None else first.isoformat(),
            to_date=None if last is None else last.isoformat(),
            filter_events=asked.get("events"),
            filter_where=asked.get("where"),
            filter_cohort_id=None if asked.get("cohort_id") is None else str(asked["cohort_id"]),
            filter_output_properties=asked.get("output_properties"),
            filter_group_id=asked.get("group_id"),
            filter_behaviors=asked.get("behaviors"),
        )

    def table_exists(self, name: str) -> bool:
        """Whether there is a table of that name, fetched or not."""
        if not store.exists(self._place):
            return False
        with store.glance(self._place) as con:
            return merge.has_table(con, name)

    def drop_table(self, name: str) -> None:
        """Drop a table.

        Raises:
            TableNotFoundError: there is none of that name.
        """
        self._check_writable()
        introspection.drop(self._place, [name])

    def _check_writable(self) -> None:
        if self._read_only:
            raise StorageError("this database is opened read-only", fix="open it with read_only=False to change it")

    def _store_events(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        told: Told | None,
        batch_size: int,
        *,
        append: bool,
    ) -> int:
        self._check(name, metadata, "events", batch_size, append=append)
        with workdir(self._place) as directory, Staging(directory) as staging:
            spool = Spool(directory / "rows", told, batch_size)
            days = Days()
            with spool:
                for row in data:
                    spool.add(event_line(row, days))
            staging.load(spool.path, spool.rows)
            loaded = staging.finish()
            first, last = days.span(metadata.from_date, metadata.to_date, metadata.fetched_at)
            # Whoever hands over rows does not say that they are all there is, as an answer of Mixpanel's does.
            filters = ledger.filters(events=metadata.filter_events, where=metadata.filter_where, limit=spool.rows)
            piece = merge.Piece(
                table=name,
                days=(first, last),
                asked=(first, last),
                filters=filters,
                fetched_at=metadata.fetched_at,
                received_bytes=0,
                append=append,
            )
            added = merge.merge(staging, loaded, self._place, piece).added
        if told is not None:
            told(added)
        return added

    def _store_profiles(
        self,
        name: str,
        data: Iterable[Row],
        metadata: TableMetadata,
        told: Told | None,
        batch_size: int,
        *,
        append: bool,
    ) -> int:
        self._check(name, metadata, "profiles", batch_size, append=append)
        with workdir(self._place) as directory, profiles.ProfileStaging(directory) as staging:
            spool = Spool(directory / "rows", told, batch_size)
            with spool:
                for row in data:
                    spool.add(profile_line(row))
            staging.load_lines(spool.path)
            filters = ledger.filters(
                where=metadata.filter_where,
                cohort_id=metadata.filter_cohort_id,
                output_properties=metadata.filter_output_properties,
                group_id=metadata.filter_group_id,
                behaviors=metadata.filter_behaviors,
            )
            added = staging.merge(self._place, profiles.Piece(name, filters, metadata.fetched_at, 0, append))
        if told is not None:
            told(added)
        return added

    def _check(self, name: str, metadata: TableMetadata, kind: str, batch_size: int, *, append: bool) -> None:
        self._check_writable()
        schema.table_name("name", name)
        arguments.whole("batch_size", batch_size, 100, 100_000)
        if metadata.type != kind:
            raise InvalidArgumentError("metadata", f"its type is {metadata.type!r}", fix=f"give one of type {kind!r}")
        if store.exists(self._place):
            with store.connection(self._place, "read") as con:
                merge.check_target(con, name, append=append, kind=kind)
        elif append:
            raise TableNotFoundError(name)
