"""The user's own SQL on the user's own file, and what the store tells about itself.

Nothing here confines a statement: whoever calls it could open the file without us. SQL of somebody else goes through
`confine.select`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from mixpanel_data import interrupts
from mixpanel_data.errors import QueryError, TableNotFoundError
from mixpanel_data.local import ledger, schema, store
from mixpanel_data.local.schema import TableInfo
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    import pandas as pd

    from mixpanel_data.local.door import Mode
    from mixpanel_data.local.place import Place

T = TypeVar("T")

# What every reader of JSON takes as the same number.
LARGEST_EXACT_INTEGER = 2**53 - 1


@dataclass(frozen=True)
class SQLResult(FramedResult):
    """The rows of one query.

    columns: their names, in order
    rows: tuples of Python values; of a confined query, of JSON-ready ones
    truncated: whether there were more rows than the bounds allowed
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = field(repr=False)
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: columns, rows as lists, row_count, truncated."""
        return {
            "columns": list(self.columns),
            "rows": [json_ready(row) for row in self.rows],
            "row_count": len(self.rows),
            "truncated": self.truncated,
        }

    def to_dicts(self) -> list[dict[str, Any]]:
        """Each row as column → value; of two columns with one name the later one stays."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def _records(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        return list(self.columns), list(self.rows)


def frame(place: Place, query: str, *, read_only: bool) -> pd.DataFrame:
    """The rows as a pandas frame."""
    return _asked(place, query, read_only, lambda con: framed(con, query))


def framed(con: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    """The rows of a query on an open connection, as a pandas frame."""
    con.execute(query)
    with warnings.catch_warnings():
        # duckdb 2.0 localises a column with a time zone by a call that pandas 3 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        return con.df()


def rows(place: Place, query: str, *, read_only: bool, values: Sequence[Any] = ()) -> SQLResult:
    """All rows as Python values; a time with a zone as its UTC text.

    Args:
        values: for the parameters of the query
    """

    def taken(con: duckdb.DuckDBPyConnection) -> SQLResult:
        run(con, query, values)
        columns = tuple(str(column[0]) for column in con.description or ())
        return SQLResult(columns, tuple(con.fetchall()))

    return _asked(place, query, read_only, taken)


def scalar(place: Place, query: str, *, read_only: bool) -> Any:
    """The first cell, None when there is none."""

    def taken(con: duckdb.DuckDBPyConnection) -> Any:
        run(con, query)
        row = con.fetchone()
        return row[0] if row else None

    return _asked(place, query, read_only, taken)


def _asked(place: Place, query: str, read_only: bool, take: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """What is taken from a connection; Ctrl-C ends it, of which the engine itself does not always hear."""

    def work() -> T:
        with _open(place, query, read_only) as con, interrupts.current().heard_by(con.interrupt):
            return take(con)

    return interrupts.guarded(work, noted=None)


@contextmanager
def _open(place: Place, query: str, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for the query: one that reads, so that others can read too, unless it says that it writes."""
    with sql_errors(query):
        mode: Mode = "read" if read_only or (store.exists(place) and _only_reads(query)) else "write"
        with store.connection(place, mode) as con:
            con.execute("set TimeZone = 'UTC'")
            yield con


def _only_reads(query: str) -> bool:
    try:
        kinds = {str(statement.type).rpartition(".")[2] for statement in duckdb.extract_statements(query)}
    except duckdb.Error:
        return True  # which the engine says again, where it is heard
    # A query can change something by what stands in it: a sequence, or rows that are returned as they are deleted.
    return kinds == {"SELECT"} and not re.search(r"\b(nextval|returning)\b", query, re.IGNORECASE)


def run(con: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()) -> None:
    """Execute the query so that its rows can be fetched.

    The engine turns a time with a zone into a Python value by way of a package that we do without; such columns are
    asked for again as text. (Executing only begins the work, so nothing is computed twice.)
    """
    con.execute(query, list(values))
    types = [str(column[1]) for column in con.description or ()]
    if not any("WITH TIME ZONE" in text for text in types):
        return
    names = [f"c{number}" for number in range(len(types))]
    shown = ", ".join(
        f"{'cast(' + name + ' as varchar)' if 'WITH TIME ZONE' in text else name} as {schema.quoted(str(column[0]))}"
        for name, text, column in zip(names, types, con.description or (), strict=True)
    )
    inner = query.strip().rstrip(";")
    con.execute(f"select {shown} from (\n{inner}\n) as asked({', '.join(names)})", list(values))  # noqa: S608 -- the user's own query


def tables(place: Place) -> list[TableInfo]:
    """The fetched tables, by name; none where there is no database yet."""
    if not store.exists(place):
        return []
    with store.glance(place) as con:
        known = con.execute(
            """select table_name from information_schema.tables
            where table_schema = 'main' and table_catalog = current_database()"""
        ).fetchall()
        present = {name.lower(): name for (name,) in known}
        if "_metadata" not in present:
            return []
        gaps = ledger.gaps(con) if "_ledger" in present else {}
        found = []
        for name, kind, fetched_at in con.execute(
            'select table_name, type, fetched_at from "_metadata" order by table_name'
        ).fetchall():
            if name.lower() in present:
                counted = con.execute(f"select count(*) from {schema.quoted(name)}").fetchone()  # noqa: S608 -- quoted
                missing = tuple(gaps.get(name.lower(), ()))
                rows = counted[0] if counted else 0
                found.append(TableInfo(name, kind, rows, fetched_at.replace(tzinfo=UTC), missing))
        return found


def resolved(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """The table's name as it is written in the store.

    Raises:
        TableNotFoundError: there is none of that name.
    """
    found = con.execute(
        """select table_name from information_schema.tables where lower(table_name) = lower(?)
        and table_schema = 'main' and table_catalog = current_database()""",
        [table],
    ).fetchone()
    if found is None:
        raise TableNotFoundError(table)
    return str(found[0])


@contextmanager
def sql_errors(query: str) -> Iterator[None]:
    """Turn what the engine says into a QueryError."""
    try:
        yield
    except duckdb.Error as error:
        raise query_error(query, str(error)) from error


def query_error(query: str, text: str, fix: str | None = None) -> QueryError:
    """The engine's words, in the shape that the public contract gives to local SQL failures."""
    return QueryError(
        text.strip().splitlines()[0] if text.strip() else "the query failed",
        status_code=0,
        details={"response_body": {"query": query, "error": text}},
        fix=fix or fix_for(text),
    )


def fix_for(text: str) -> str:
    """What helps against an error of the engine's."""
    if "Catalog Error: Table" in text:
        return "list the tables, or fetch events first"
    if "Binder Error: Referenced column" in text:
        return (
            "events tables have the columns " + ", ".join(schema.EVENT_COLUMNS) + "; a property is read as "
            "properties->>'$.\"name\"'"
        )
    return "correct the SQL (DuckDB's dialect)"


def json_ready(value: Any) -> Any:
    """The value as JSON can hold it without losing anything.

    Integers beyond 2^53 and decimals that a float cannot hold become text; so do NaN and the infinities; bytes become
    hexadecimal text; times ISO text; intervals seconds; keys of maps text.
    """
    if isinstance(value, dict):
        return {_key(key): json_ready(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(inner) for inner in value]
    if isinstance(value, int | float | Decimal):
        return _number(value)
    return value if value is None or isinstance(value, str) else _text(value)


def _key(key: Any) -> str:
    ready = json_ready(key)
    return ready if isinstance(ready, str) else str(ready)


def _number(value: float | Decimal) -> Any:
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value()
        return _number(int(value)) if whole else _number(float(value)) if _is_float(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_EXACT_INTEGER else str(value)
    return value if math.isfinite(value) else str(value)


def _is_float(value: Decimal) -> bool:
    return value.is_finite() and Decimal(repr(float(value))) == value


def _text(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return str(value)
