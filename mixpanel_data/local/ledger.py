"""What is known of each piece that was fetched: a table of the store, `_ledger`, written together with the rows.

A fetch of several pieces writes down all of them with its first rows, as missing; each becomes complete with its own
rows. So whatever ends a fetch, what is missing is known: a gap of the table, and what the same call asks for next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

Days = tuple[date, date]

COMPLETE, MISSING = "complete", "missing"
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """What a fetch asks for besides its days.

    asked: only what was given; lists whose order does not matter are sorted
    """

    asked: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The same for what asks for the same."""
        return json.dumps(self.asked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @property
    def events(self) -> Sequence[str] | None:
        """Only events of these names; None for all."""
        return self.asked.get("events")

    @property
    def where(self) -> str | None:
        return self.asked.get("where")

    @property
    def is_limited(self) -> bool:
        """Whether the answer need not be all that there is."""
        return self.asked.get("limit") is not None

    def covers(self, other: Filters) -> bool:
        """Whether an answer to this holds everything of an answer to the other."""
        if self == other:
            return True
        names = self.events
        whole = not (set(self.asked) - {"events"})
        return whole and (names is None or (other.events is not None and set(other.events) <= set(names)))


def filters(**asked: Any) -> Filters:
    """The filters that were given; those that are None were not."""
    given = {name: value for name, value in asked.items() if value is not None}
    if "events" in given:
        given["events"] = sorted(given["events"])
    return Filters(given)


@dataclass(frozen=True, slots=True)
class Entry:
    """A piece that is there.

    days: first and last day, both included; None for what has no days
    asked: the days of the whole fetch that it is a piece of
    rows: in the answer, each event once
    skipped_lines: lines of the answer that were no event; skipped_sample has the first few
    outside: rows of the answer that are not of the days and names asked for
    received_bytes: as they came over the wire
    """

    table: str
    kind: str
    days: Days | None
    asked: Days | None
    filters: Filters
    fetched_at: datetime
    rows: int
    duplicates: int = 0
    skipped_lines: int = 0
    skipped_sample: Sequence[str] = ()
    outside: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    table: str
    kind: str
    days: Days | None
    asked: Days | None
    text: str
    state: str


def plan(
    con: duckdb.DuckDBPyConnection, home: str, table: str, *, asked: Days, wanted: Filters, pieces: Iterable[Days]
) -> None:
    """Write down the pieces of a fetch of events as missing, but for the days that are there already."""
    con.execute(
        f"""delete from {home}."_ledger" where lower(table_name) = lower(?) and state = ? and filters = ?
        and asked_from = ? and asked_to = ?""",  # noqa: S608 -- our own name
        [table, MISSING, wanted.text, *asked],
    )
    there = [
        days
        for days, _, text in _of_table(con, home, table, COMPLETE)
        if days is not None and Filters(json.loads(text)).covers(wanted)
    ]
    rest = list(pieces)
    for days in there:
        rest = [part for piece in rest for part in (_without(piece, days) if _overlap(piece, days) else [piece])]
    for part in rest:
        _insert(con, home, _Row(table, "events", part, asked, wanted.text, MISSING))


def complete(con: duckdb.DuckDBPyConnection, home: str, entry: Entry) -> None:
    """Write down a piece as complete, in place of what it makes up for."""
    if entry.days is not None:
        for days, asked, text in _of_table(con, home, entry.table, MISSING):
            if days is None or not (entry.filters.covers(Filters(json.loads(text))) and _overlap(days, entry.days)):
                continue
            con.execute(
                f"""delete from {home}."_ledger" where lower(table_name) = lower(?) and state = ? and filters = ?
                and from_date = ? and to_date = ? and asked_from is not distinct from ?
                and asked_to is not distinct from ?""",  # noqa: S608 -- our own name
                [entry.table, MISSING, text, *days, *(asked or (None, None))],
            )
            for rest in _without(days, entry.days):
                _insert(con, home, _Row(entry.table, entry.kind, rest, asked, text, MISSING))
        con.execute(
            f"""delete from {home}."_ledger" where lower(table_name) = lower(?) and state = ? and filters = ?
            and from_date >= ? and to_date <= ?""",  # noqa: S608 -- our own name
            [entry.table, COMPLETE, entry.filters.text, *entry.days],
        )
    else:
        con.execute(
            f"""delete from {home}."_ledger" where lower(table_name) = lower(?) and filters = ?
            and from_date is null""",  # noqa: S608 -- our own name
            [entry.table, entry.filters.text],
        )
    row = _Row(entry.table, entry.kind, entry.days, entry.asked, entry.filters.text, COMPLETE)
    _insert(con, home, row, entry)


def missing(con: duckdb.DuckDBPyConnection, home: str, table: str, asked: Days, wanted: Filters) -> list[Days]:
    """The pieces that the same fetch still lacks, in order."""
    return sorted(
        days
        for days, of, text in _of_table(con, home, table, MISSING)
        if days is not None and of == asked and text == wanted.text
    )


def gaps(con: duckdb.DuckDBPyConnection, home: str = "main") -> dict[str, list[Days]]:
    """Table, in lower case → the days that were asked for and are not there, as ranges; only tables that have such."""
    found: dict[str, list[Days]] = {}
    for table, first, last in con.execute(
        f"""select lower(table_name), from_date, to_date from {home}."_ledger"
        where state = ? and from_date is not null order by all""",  # noqa: S608 -- our own name
        [MISSING],
    ).fetchall():
        ranges = found.setdefault(table, [])
        if ranges and first <= ranges[-1][1] + _DAY:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return found


def is_of_one_kind(con: duckdb.DuckDBPyConnection, home: str, table: str, days: Days, where: str | None) -> bool:
    """Whether all that the table has of these days was asked for with this same `where`."""
    entries = [*_of_table(con, home, table, COMPLETE), *_of_table(con, home, table, MISSING)]
    return bool(entries) and all(
        json.loads(text).get("where") == where
        for known, _, text in entries
        if known is not None and _overlap(known, days)
    )


def strays(con: duckdb.DuckDBPyConnection, home: str, table: str) -> bool:
    """Whether an answer ever held rows that were not of the days or names asked for."""
    row = con.execute(
        f'select count(*) from {home}."_ledger" where lower(table_name) = lower(?) and outside > 0',  # noqa: S608 -- our own name
        [table],
    ).fetchone()
    return row != (0,)


def forget(con: duckdb.DuckDBPyConnection, home: str, table: str) -> None:
    """Strike out what is known of a table that is gone."""
    con.execute(f'delete from {home}."_ledger" where lower(table_name) = lower(?)', [table])  # noqa: S608 -- our own name


def _of_table(
    con: duckdb.DuckDBPyConnection, home: str, table: str, state: str
) -> list[tuple[Days | None, Days | None, str]]:
    rows = con.execute(
        f"""select from_date, to_date, asked_from, asked_to, filters from {home}."_ledger"
        where lower(table_name) = lower(?) and state = ?""",  # noqa: S608 -- our own name
        [table, state],
    ).fetchall()
    return [
        (None if first is None else (first, last), None if asked_first is None else (asked_first, asked_last), text)
        for first, last, asked_first, asked_last, text in rows
    ]


def _insert(con: duckdb.DuckDBPyConnection, home: str, row: _Row, entry: Entry | None = None) -> None:
    counts: list[Any] = [None] * 7
    if entry is not None:
        counts = [
            entry.fetched_at.astimezone(UTC).replace(tzinfo=None),
            entry.rows,
            entry.duplicates,
            entry.skipped_lines,
            json.dumps(list(entry.skipped_sample), ensure_ascii=False),
            entry.outside,
            entry.received_bytes,
        ]
    con.execute(
        f'insert into {home}."_ledger" values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',  # noqa: S608 -- our own name
        [
            *(row.table, row.kind, *(row.days or (None, None)), *(row.asked or (None, None)), row.text, row.state),
            *counts,
        ],
    )


def _overlap(one: Days, other: Days) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _without(days: Days, taken: Days) -> list[Days]:
    rest = [(days[0], taken[0] - _DAY), (taken[1] + _DAY, days[1])]
    return [(first, last) for first, last in rest if first <= last]
