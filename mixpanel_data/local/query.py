"""The user's own SQL on the user's own file, and what the store tells about itself.

Nothing here confines a statement: whoever calls it could open the file without us. SQL of somebody else goes through
`confine.select`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from mixpanel_data.errors import QueryError
from mixpanel_data.local import schema, store
from mixpanel_data.local.schema import TableInfo
from mixpanel_data.results import FramedResult

if TYPE_CHECKING:
    import pandas as pd

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


def frame(path: Path, query: str, *, read_only: bool) -> pd.DataFrame:
    """The rows as a pandas frame."""
    with _open(path, read_only) as con, sql_errors(query):
        con.execute(query)
        with warnings.catch_warnings():
            # duckdb 2.0 localises a column with a time zone by a call that pandas 3 deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            return con.df()


def rows(path: Path, query: str, *, read_only: bool) -> SQLResult:
    """All rows as Python values; a time with a zone as its UTC text."""
    with _open(path, read_only) as con, sql_errors(query):
        run(con, query)
        columns = tuple(str(column[0]) for column in con.description or ())
        return SQLResult(columns, tuple(con.fetchall()))


def scalar(path: Path, query: str, *, read_only: bool) -> Any:
    """The first cell, None when there is none."""
    with _open(path, read_only) as con, sql_errors(query):
        run(con, query)
        row = con.fetchone()
        return row[0] if row else None


@contextmanager
def _open(path: Path, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    with store.connection(path, "read" if read_only else "write") as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


def run(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Execute the query so that its rows can be fetched.

    The engine turns a time with a zone into a Python value by way of a package that we do without; such columns are
    asked for again as text. (Executing only begins the work, so nothing is computed twice.)
    """
    con.execute(query)
    types = [str(column[1]) for column in con.description or ()]
    if not any("WITH TIME ZONE" in text for text in types):
        return
    names = [f"c{number}" for number in range(len(types))]
    shown = ", ".join(
        f"{'cast(' + name + ' as varchar)' if 'WITH TIME ZONE' in text else name} as {schema.quoted(str(column[0]))}"
        for name, text, column in zip(names, types, con.description or (), strict=True)
    )
    inner = query.strip().rstrip(";")
    con.execute(f"select {shown} from (\n{inner}\n) as asked({', '.join(names)})")  # noqa: S608 -- the user's own query


def tables(path: Path) -> list[TableInfo]:
    """The fetched tables, by name; none where there is no database yet."""
    if not path.exists():
        return []
    with store.connection(path, "read") as con:
        known = con.execute(
            """select table_name from information_schema.tables
            where table_schema = 'main' and table_catalog = current_database()"""
        ).fetchall()
        present = {name.lower(): name for (name,) in known}
        if "_metadata" not in present:
            return []
        found = []
        for name, kind, fetched_at in con.execute(
            'select table_name, type, fetched_at from "_metadata" order by table_name'
        ).fetchall():
            if name.lower() in present:
                counted = con.execute(f"select count(*) from {schema.quoted(name)}").fetchone()  # noqa: S608 -- quoted
                found.append(TableInfo(name, kind, counted[0] if counted else 0, fetched_at.replace(tzinfo=UTC)))
        return found


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
