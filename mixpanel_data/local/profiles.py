"""From pages of profiles to a table: DuckDB reads and merges; one transaction brings all of them in, or none.

Pages are staged in an instance of its own, bounded in memory, as they arrive; the store is entered only for the merge.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Self

import duckdb

from mixpanel_data import interrupts
from mixpanel_data.local import ledger, merge, schema, store
from mixpanel_data.local.ledger import Entry, Filters
from mixpanel_data.local.load import MEMORY_LIMIT_MB, engine_errors

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mixpanel_data.local.place import Place

# What the engine takes for one JSON text unless it is told that it may be longer.
_LONGEST_PAGE = 16_777_216

_STAGED = """
create or replace table staged (
    page integer, place integer, distinct_id varchar, properties json, last_seen timestamp
)
"""

# A time with an offset is taken as the instant that it is; the engine's own cast would leave the offset away. What is
# no time stays among the properties.
_PAGE = """
    select unnest(results) as profile, generate_subscripts(results, 1) as place
    from read_json(
        {file}, format = 'unstructured', maximum_object_size = {longest},
        columns = {{results: 'STRUCT("$distinct_id" VARCHAR, "$properties" JSON)[]'}}
    )
"""
_LINES = """
    select {{'$distinct_id': "$distinct_id", '$properties': "$properties"}} as profile, row_number() over () as place
    from read_json(
        {file}, format = 'newline_delimited', maximum_object_size = {longest},
        columns = {{"$distinct_id": 'VARCHAR', "$properties": 'JSON'}}
    )
"""
_STAGE = """
insert into staged
with listed as ({listed}), told as (
    select place, profile."$distinct_id" as distinct_id, coalesce(profile."$properties", '{{}}') as properties,
        profile."$properties" ->> '$."$last_seen"' as seen
    from listed
), timed as (
    select *, case when regexp_matches(seen, '[0-9][+-][0-9]{{2}}(:?[0-9]{{2}})?$')
        then make_timestamp(epoch_us(try_cast(seen as timestamptz))) else try_cast(seen as timestamp) end as last_seen
    from told
)
select {page}, place, distinct_id,
    case when last_seen is null then properties else json_merge_patch(properties, '{{"$last_seen":null}}') end,
    last_seen
from timed
"""

# A profile that is there twice is taken once: the first one.
_REPEATED = """
delete from staged where rowid in (
    select line from (
        select rowid as line, row_number() over (partition by distinct_id order by page, place) as copy from staged
    ) where copy > 1
)
"""

_COLUMNS = ", ".join(schema.PROFILE_COLUMNS)


@dataclass(frozen=True, slots=True)
class Piece:
    """What is merged.

    append: whether the table must be there already, or must not
    """

    table: str
    filters: Filters
    fetched_at: datetime
    received_bytes: int
    append: bool


class ProfileStaging:
    """A private instance in memory that spills into `directory`.

    Args:
        memory_mb: how much it may hold in memory
    """

    def __init__(self, directory: Path, memory_mb: int = MEMORY_LIMIT_MB) -> None:
        self._directory = directory
        self._con = duckdb.connect(
            ":memory:", config={"memory_limit": f"{memory_mb}MB", "temp_directory": str(directory / "spill")}
        )
        store.quiet(self._con)
        self.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._con.close()
        # A download that was left alone may know us to the end of the process, and would keep the engine there.
        del self._con

    def clear(self) -> None:
        """Forget what is staged."""
        self._con.execute(_STAGED)

    def load(self, spool: Path, page: int) -> None:
        """Stage one page, as it was answered.

        Raises:
            StorageError: memory or disk ran out.

        Source: reference/mixpanel-api.md, section 7.16
        """
        self._load(_PAGE, spool, page)

    def load_lines(self, spool: Path) -> None:
        """Stage profiles that stand one on each line; raises as `load`."""
        self._load(_LINES, spool, 0)

    def _load(self, listed: str, spool: Path, page: int) -> None:
        longest = max(_LONGEST_PAGE, spool.stat().st_size + 1)
        with engine_errors("the profiles cannot be staged"):
            source = listed.format(file=schema.literal(str(spool)), longest=longest)
            with interrupts.current().heard_by(self._con.interrupt):
                self._con.execute(_STAGE.format(listed=source, page=int(page)))

    def merge(self, place: Place, piece: Piece) -> int:
        """Bring the staged profiles into the store's table; returns by how many rows it grew.

        A profile that the table has already is replaced by the staged one.

        Raises:
            TableExistsError, TableNotFoundError, InvalidArgumentError: as `merge.check_target`.
            DatabaseLockedError: others kept the store for a minute.
            StorageError: disk or memory ran out; the store is as it was.
        """
        with engine_errors("the profiles cannot be stored"):
            with interrupts.current().heard_by(self._con.interrupt):
                self._con.execute(_REPEATED)
            if store.is_open(place):
                # A second instance of what is open, as by the user's own connection, cannot be.
                parquet = schema.literal(str(self._directory / "staged.parquet"))
                self._con.execute(f"copy staged to {parquet} (format parquet)")
                with store.connection(place, "write", wait_s=merge.MERGE_WAIT_S) as con:
                    return _merged(con, "main", f"read_parquet({parquet})", piece)
            with store.attached(self._con, place, "store", wait_s=merge.MERGE_WAIT_S):
                return _merged(self._con, "store.main", "staged", piece)


def _merged(con: duckdb.DuckDBPyConnection, home: str, source: str, piece: Piece) -> int:
    con.execute("begin transaction")
    try:
        with interrupts.current().heard_by(con.interrupt):
            grown = _bring(con, home, source, piece)
            interrupts.current().check()
        con.execute("commit")
    except BaseException:
        # The failure may have ended the transaction already; the first error is the one to tell.
        with suppress(duckdb.Error):
            con.execute("rollback")
        raise
    return grown


def _bring(con: duckdb.DuckDBPyConnection, home: str, source: str, piece: Piece) -> int:
    con.execute(schema.CREATE_METADATA.format(schema=home))
    con.execute(schema.CREATE_LEDGER.format(schema=home))
    merge.check_target(con, piece.table, append=piece.append, schema_name=home, kind="profiles")
    table = f"{home}.{schema.quoted(piece.table)}"
    if not piece.append:
        ledger.forget(con, home, piece.table)
        con.execute(schema.CREATE_PROFILES.format(table=table))
    before = _count(con, table)
    con.execute(f"delete from {table} where distinct_id in (select distinct_id from {source})")  # noqa: S608 -- quoted
    con.execute(f"insert into {table} select {_COLUMNS} from {source} order by page, place")  # noqa: S608 -- quoted
    after = _count(con, table)
    _note(con, home, piece, after)
    entry = Entry(
        table=piece.table,
        kind="profiles",
        days=None,
        asked=None,
        filters=piece.filters,
        fetched_at=piece.fetched_at,
        rows=_count(con, source),
        received_bytes=piece.received_bytes,
    )
    ledger.complete(con, home, entry)
    return after - before


def _note(con: duckdb.DuckDBPyConnection, home: str, piece: Piece, rows: int) -> None:
    known = con.execute(
        f'select table_name from {home}."_metadata" where lower(table_name) = lower(?)',  # noqa: S608 -- our own name
        [piece.table],
    ).fetchone()
    con.execute(
        f'insert or replace into {home}."_metadata" values (?, ?, ?, ?, ?, ?)',  # noqa: S608 -- our own name
        [
            known[0] if known else piece.table,
            "profiles",
            piece.fetched_at.astimezone(UTC).replace(tzinfo=None),
            None,
            None,
            rows,
        ],
    )


def _count(con: duckdb.DuckDBPyConnection, source: str) -> int:
    row = con.execute(f"select count(*) from {source}").fetchone()  # noqa: S608 -- quoted or our own
    return int(row[0]) if row else 0
