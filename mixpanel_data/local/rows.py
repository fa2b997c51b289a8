"""Rows that a caller has, in the shape of the tables, as lines that the engine reads like Mixpanel's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Self

from mixpanel_data import arguments
from mixpanel_data.errors import InvalidArgumentError, StorageError

Row = Mapping[str, Any]
Told = Callable[[int], None]


class Spool:
    """Rows on their way to the engine, as lines of JSON.

    rows: how many so far
    """

    def __init__(self, path: Path, told: Told | None, batch_size: int) -> None:
        self.path, self.rows = path, 0
        self._told, self._batch_size = told, batch_size

    def __enter__(self) -> Self:
        self._file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, document: dict[str, Any]) -> None:
        """Write one more line.

        Raises:
            InvalidArgumentError: JSON cannot hold it.
            StorageError: the disk is full.
        """
        try:
            line = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            self._file.write(line + "\n")
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(
                "data", f"row {self.rows} is not JSON ({error})", fix="give properties that JSON can hold"
            ) from error
        except OSError as error:
            raise StorageError(
                f"the rows cannot be kept on disk ({error.strerror})", fix="make room beside the database"
            ) from error
        self.rows += 1
        if self._told is not None and self.rows % self._batch_size == 0:
            self._told(self.rows)


class Days:
    """The days that rows are of."""

    def __init__(self) -> None:
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, instant: datetime) -> None:
        """Take one more row's time into account."""
        self._first = min(self._first or instant, instant)
        self._last = max(self._last or instant, instant)

    def span(self, from_date: str | None, to_date: str | None, fetched_at: datetime) -> tuple[date, date]:
        """The days that are named, else those of the rows, else that of the fetch."""
        first, last = (
            arguments.day(name, text) if text else (found or fetched_at).date()
            for name, text, found in (
                ("from_date", from_date, self._first),
                ("to_date", to_date, self._last),
            )
        )
        return first, last


def event_line(row: Row, days: Days) -> dict[str, Any]:
    """A row of an events table as the export writes it."""
    instant = _instant("event_time", _part(row, "event_time"))
    days.add(instant)
    properties = dict(row.get("properties") or {})
    own = {
        "time": round(instant.timestamp() * 1000),
        "distinct_id": str(row.get("distinct_id") or ""),
        "$insert_id": str(row.get("insert_id") or ""),
    }
    return {"event": str(_part(row, "event_name")), "properties": {**properties, **own}}


def profile_line(row: Row) -> dict[str, Any]:
    """A row of a profiles table as a page has it."""
    properties = dict(row.get("properties") or {})
    if row.get("last_seen") is not None:
        properties["$last_seen"] = _instant("last_seen", row["last_seen"]).replace(tzinfo=None).isoformat()
    return {"$distinct_id": str(_part(row, "distinct_id")), "$properties": properties}


def _part(row: Row, name: str) -> Any:
    value = row.get(name)
    if value is None:
        raise InvalidArgumentError("data", f"a row has no {name}", fix=f"give each row a {name}")
    return value


def _instant(name: str, value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, date) and not isinstance(found, datetime):
            found = datetime.combine(found, time())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (AttributeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(
            "data", f"{name} {value!r} is not a time", fix="give a datetime, or text such as 2025-06-30T12:00:00"
        ) from error
