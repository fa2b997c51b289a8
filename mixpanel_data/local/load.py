"""From exported lines to staged events: DuckDB reads and deduplicates; Python never parses a line.

This happens in an instance of its own that nobody else knows, bounded in memory; `merge` brings what is staged into the
store.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb

from mixpanel_data import interrupts
from mixpanel_data.credentials import FETCH_MEMORY_MB
from mixpanel_data.errors import StorageError
from mixpanel_data.local import priority, schema, store

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_LIMIT_MB = FETCH_MEMORY_MB
SAMPLE_LINES = 5
SAMPLE_CHARACTERS = 200
# Repetitions are looked for among so many events at once, so that it takes no more memory when there are more.
EVENTS_AT_ONCE = 1_000_000
# A thread reads so much at a time, and an event is at most 1 MB; a longer one is read by itself.
LONGEST_LINE = 4_000_000
# No event is in the year 5138 in seconds, nor before March 1973 in milliseconds.
_LARGEST_SECONDS = 100_000_000_000
_LAST_MS = 253_402_300_799_999

_STAGED = """
create table staged (
    event_name varchar, event_time timestamp, distinct_id varchar, insert_id varchar, properties json,
    processing_ms bigint, derived boolean, identity ubigint
)
"""

# `properties` loses the keys that have columns. An object is taken apart and written anew for that only where it must
# be, for it takes longer than all the rest: where `time` and `distinct_id` stand first, and `$insert_id` anywhere, each
# in the plain way and once, they are cut out of the text. What is left then has none of them at any depth.
# Milliseconds were asked for, and both are understood. A leading `$` would make a key a path, hence the quotes.
# What begins with a brace is an object: the reader writes JSON without blanks, and asking for its type parses it again.
_EVENTS = """
with lines as (
    select event, properties,
        json_extract_string(
            properties, ['$."time"', '$."distinct_id"', '$."$insert_id"', '$."mp_processing_time_ms"']
        ) as keys
    from read_json(
        {file}, format = 'newline_delimited', compression = 'none', ignore_errors = true,
        maximum_object_size = {longest}, columns = {{event: 'VARCHAR', properties: 'JSON'}}
    )
), timed as (
    select event, properties, keys,
        case when abs(time) > {largest_seconds} then round(time) else round(time * 1000) end as time_ms
    from (select event, properties, keys, try_cast(keys[1] as double) as time from lines)
), events as (
    select event as event_name,
        case when starts_with(properties::varchar, '{{') and abs(time_ms) <= {last_ms}
            then make_timestamp_ms(time_ms::bigint) end as event_time,
        coalesce(keys[2], '') as distinct_id,
        nullif(keys[3], '') as given_id,
        case when not regexp_matches(cut, '"(time|distinct_id|[$]insert_id)":')
            then '{{' || ltrim(cut, ',') end as rest,
        properties as whole,
        try_cast(keys[4] as bigint) as processing_ms
    from (
        select *, case
            when keys[3] is null then headless
            when starts_with(headless, named) then substring(headless, length(named) + 1)
            when strlen(replace(headless, named, '')) = strlen(headless) - strlen(named)
            then replace(headless, named, '')
        end as cut
        from (
            select *, ',"$insert_id":"' || keys[3] || '"' as named,
                case when starts_with(properties::varchar, head) then substring(properties::varchar, length(head) + 1)
                end as headless
            from (select *, '{{"time":' || keys[1] || ',"distinct_id":"' || keys[2] || '"' as head from timed)
        )
    )
)
"""

# An event without an id is known by what it says, so that the same line always gets the same id.
_STAGE = """
insert into staged {events}, known as (
    select event_name, event_time, distinct_id, properties, processing_ms, given_id is null as derived,
        coalesce(given_id, 'derived-' || md5(concat_ws(
            chr(31), event_name, epoch_ms(event_time), distinct_id,
            json_merge_patch(properties, '{{"mp_processing_time_ms":null}}')
        ))) as insert_id
    from (
        select *, coalesce(rest, json_merge_patch(whole, '{{"time":null,"distinct_id":null,"$insert_id":null}}'))
            as properties
        from events where event_name is not null and event_time is not null
    )
)
select event_name, event_time, distinct_id, insert_id, properties, processing_ms, derived,
    hash(event_name, event_time, distinct_id, insert_id)
from known
"""

_SKIPPED = """
{events}, numbered as (
    select row_number() over () - 1 as line, event_name is not null and event_time is not null as is_event from events
)
select count(*), count(*) filter (not is_event), min(line, {sample}) filter (not is_event),
    max(line) filter (not is_event)
from numbered
"""

# By hash first: only the few rows whose hash repeats are worth comparing.
_REPEATED = """
create or replace temp table repeated as
select identity from staged where identity % {parts} = {part} group by identity having count(*) > 1
"""
# Of the copies of an event the newest stays. Without an id, alike events are as many as they are: they are told apart
# by their number, the same ones each time.
_PLACES = """
create or replace temp table places as
select line, derived, place from (
    select rowid as line, derived, row_number() over (
        partition by event_name, event_time, distinct_id, insert_id
        order by case when derived then 0 else processing_ms end desc nulls last,
            case when derived then -rowid else rowid end desc
    ) as place
    from staged where identity in (select identity from repeated)
) where place > 1
"""
_NUMBER = """
update staged set insert_id = insert_id || '-' || places.place
from places where places.derived and staged.rowid = places.line
"""
_DROP = "delete from staged where rowid in (select line from places where not derived)"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What an export held.

    lines: that are not blank
    rows: events, each once
    duplicates: events that another one replaces
    skipped: lines that are not an event, in number and the first few as text
    last_line: the text of the last line if it is not an event, else None
    """

    lines: int
    rows: int
    duplicates: int
    skipped: int
    sample: tuple[str, ...]
    last_line: str | None


@dataclass(slots=True)
class _Skipped:
    lines: int = 0
    number: int = 0
    sample: list[str] = field(default_factory=list)
    last_line: str | None = None


class Staging:
    """A private instance in memory that spills into `directory`.

    Args:
        memory_mb: how much it may hold in memory
        gives_way: whether the threads that work for it let all others have the processor first
    """

    def __init__(self, directory: Path, memory_mb: int = MEMORY_LIMIT_MB, *, gives_way: bool = False) -> None:
        self.directory, self.gives_way, self._ending = directory, gives_way, interrupts.current()
        bounds: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": str(directory / "spill"),
        }
        connect = functools.partial(duckdb.connect, ":memory:", config=bounds)
        self.con = priority.giving_way(connect) if gives_way else connect()
        store.quiet(self.con)
        self.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.con.close()
        # A download that was left alone may know us to the end of the process, and would keep the engine there.
        del self.con

    def clear(self) -> None:
        """Forget what is staged."""
        self._skipped = _Skipped()
        self.con.execute("drop table if exists staged")
        self.con.execute(_STAGED)

    def load(self, spool: Path, lines: int) -> None:
        """Stage the events of a spool.

        Args:
            spool: a file of whole lines
            lines: how many it has, blank ones included

        Raises:
            StorageError: memory or disk ran out.

        Source: reference/mixpanel-api.md, section 8
        """
        with engine_errors("the events cannot be staged"), self._ending.heard_by(self.con.interrupt):
            try:
                staged = self._one(self._reading(_STAGE, spool, LONGEST_LINE))
                longest = LONGEST_LINE
            except duckdb.InvalidInputException as error:
                if "maximum_object_size" not in str(error):
                    raise
                longest = max(LONGEST_LINE, spool.stat().st_size)
                staged = self._one(self._reading(_STAGE, spool, longest))
            if staged == lines:
                self._skipped.lines += lines
                self._skipped.last_line = None
            else:
                self._look_at_skipped(spool, longest)

    def finish(self) -> Loaded:
        """Leave each staged event once.

        Raises:
            StorageError: memory or disk ran out.

        Source: reference/mixpanel-api.md, section 11.4
        """
        duplicates = 0
        with engine_errors("the events cannot be staged"), self._ending.heard_by(self.con.interrupt):
            rows = self._one("select count(*) from staged")
            parts = -(-rows // EVENTS_AT_ONCE)
            for part in range(parts):
                if self._one(_REPEATED.format(parts=parts, part=part)):
                    self.con.execute(_PLACES)
                    self.con.execute(_NUMBER)
                    duplicates += self._one(_DROP)
        skipped = self._skipped
        return Loaded(
            skipped.lines, rows - duplicates, duplicates, skipped.number, tuple(skipped.sample), skipped.last_line
        )

    def interrupt(self) -> None:
        """Have what another thread is doing here end soon."""
        self.con.interrupt()

    def _look_at_skipped(self, spool: Path, longest: int) -> None:
        row = self.con.execute(self._reading(_SKIPPED, spool, longest, sample=SAMPLE_LINES)).fetchone()
        assert row is not None  # noqa: S101 -- an aggregate has one row
        lines, number, first_ones, last = row
        known = self._skipped
        if number:
            texts = _lines(spool, {*first_ones, last})
            known.sample = (known.sample + [texts[line] for line in first_ones])[:SAMPLE_LINES]
        if lines:
            known.last_line = texts[last] if number and last == lines - 1 else None
        known.lines += lines
        known.number += number

    @staticmethod
    def _reading(sql: str, spool: Path, longest: int, **more: int) -> str:
        events = _EVENTS.format(
            file=schema.literal(str(spool)), longest=longest, largest_seconds=_LARGEST_SECONDS, last_ms=_LAST_MS
        )
        return sql.format(events=events, **more)

    def _one(self, sql: str) -> int:
        row = self.con.execute(sql).fetchone()
        return int(row[0]) if row else 0


def _lines(spool: Path, numbers: set[int]) -> dict[int, str]:
    """Those lines of the spool, counted as the engine counts them: from 0, blank ones left out."""
    found: dict[int, str] = {}
    with spool.open("rb") as file:
        for number, line in enumerate(line for line in file if line.strip()):
            if number in numbers:
                found[number] = line.strip()[: 4 * SAMPLE_CHARACTERS].decode("utf-8", "replace")[:SAMPLE_CHARACTERS]
    return found


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what the engine says into a StorageError."""
    try:
        with interrupts.plain():
            yield
    except duckdb.Error as error:
        raise StorageError(
            f"{what}: {str(error).splitlines()[0]}",
            fix="free disk space or memory, then fetch again; what was stored before is as it was",
        ) from error
