"""What the local database holds, and the names that its tables may have.

An events table, one row an event, no index (reference/duckdb-facts.md: a four-column key triples memory); the logical
key is (event_name, event_time, distinct_id, insert_id), the service's own identity of an event:

    event_name   VARCHAR    not null   `event`
    event_time   TIMESTAMP  not null   `properties.time`, UTC, without zone, to the millisecond
    distinct_id  VARCHAR    not null   `properties.distinct_id`; empty for an event without a user
    insert_id    VARCHAR    not null   `properties.$insert_id`; derived from the event where the export has none
    properties   JSON                  everything else

A profiles table, one row a profile, no index; the logical key is distinct_id:

    distinct_id  VARCHAR    not null   `$distinct_id`; of a group's profile the group's own value
    properties   JSON                  `$properties` without `$last_seen`
    last_seen    TIMESTAMP             `$properties.$last_seen`, UTC, without zone; null where there is none

`_ledger`, one row a piece of a fetch: what was asked, whether it is there (state complete or missing), how much came.

`_metadata`, one row a fetched table: table_name, type (events, profiles), fetched_at (UTC), from_date, to_date,
row_count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from mixpanel_data.errors import InvalidArgumentError
from mixpanel_data.results import Result

EVENT_COLUMNS = ("event_name", "event_time", "distinct_id", "insert_id", "properties")
EVENT_KEY = EVENT_COLUMNS[:4]

# The engine's own choice for the long texts takes twice the time to write and three times the room.
CREATE_EVENTS = """
create table {table} (
    event_name varchar not null,
    event_time timestamp not null,
    distinct_id varchar not null,
    insert_id varchar not null,
    properties json using compression zstd
)
"""

PROFILE_COLUMNS = ("distinct_id", "properties", "last_seen")
PROFILE_KEY = PROFILE_COLUMNS[:1]

CREATE_PROFILES = """
create table {table} (
    distinct_id varchar not null,
    properties json using compression zstd,
    last_seen timestamp
)
"""

# One row a piece; `filters` is JSON, `skipped_sample` a JSON list; the times and counts are null while it is missing.
CREATE_LEDGER = """
create table if not exists {schema}."_ledger" (
    table_name varchar not null,
    type varchar not null,
    from_date date,
    to_date date,
    asked_from date,
    asked_to date,
    filters varchar not null,
    state varchar not null,
    fetched_at timestamp,
    rows bigint,
    duplicates bigint,
    skipped_lines bigint,
    skipped_sample varchar,
    outside bigint,
    received_bytes bigint
)
"""

CREATE_METADATA = """
create table if not exists {schema}."_metadata" (
    table_name varchar primary key,
    type varchar not null,
    fetched_at timestamp not null,
    from_date date,
    to_date date,
    row_count integer not null
)
"""


@dataclass(frozen=True)
class TableInfo(Result):
    """A fetched table.

    type: events
    row_count: how many rows it has now
    fetched_at: when it was last fetched into, aware, UTC
    gaps: first and last of days that were asked for and are not there; the same fetch again asks for them
    """

    name: str
    type: str
    row_count: int
    fetched_at: datetime
    gaps: tuple[tuple[date, date], ...] = ()


def table_name(argument: str, text: object) -> str:
    """The text, if a table may be called that: letters, digits, underscores, and no underscore first."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]*", text):
        raise InvalidArgumentError(
            argument,
            f"invalid table name {text!r}",
            fix="take letters, digits and underscores; a leading underscore is reserved",
        )
    return text


def quoted(text: str) -> str:
    """The text as an SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
