"""Rows come to us: an export's bytes are spooled as they arrive, then the engine makes a table of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mixpanel_data import arguments, clock
from mixpanel_data.endpoints import ENDPOINTS
from mixpanel_data.errors import (
    DateRangeTooLargeError,
    IncompleteExportError,
    InvalidArgumentError,
    StorageError,
    TableNotFoundError,
)
from mixpanel_data.local import schema, store
from mixpanel_data.local.load import Loaded, Staging, check_target
from mixpanel_data.local.workdir import workdir
from mixpanel_data.results import Result

if TYPE_CHECKING:
    from mixpanel_data.api_client import MixpanelAPIClient

MAX_DAYS = 100
MAX_LIMIT = 100_000


@dataclass(frozen=True)
class FetchResult(Result):
    """What a fetch brought in.

    rows: by how many rows the table grew
    type: events
    date_range: first and last day, as YYYY-MM-DD
    fetched_at: aware, UTC
    duplicates: exported events that another exported event of the same identity replaced
    skipped_lines: lines of the export that are not an event; the first few of them are in skipped_sample
    """

    table: str
    rows: int
    type: str
    duration_seconds: float
    date_range: tuple[str, str]
    fetched_at: datetime
    duplicates: int
    skipped_lines: int
    skipped_sample: tuple[str, ...]


def fetch_events(
    client: MixpanelAPIClient,
    path: Path,
    name: str = "events",
    *,
    from_date: str,
    to_date: str,
    events: Sequence[str] | None = None,
    where: str | None = None,
    limit: int | None = None,
    progress: bool = True,
    append: bool = False,
) -> FetchResult:
    """Source: reference/mixpanel-api.md, section 8"""
    schema.table_name("name", name)
    first, last = _days(from_date, to_date)
    wanted = None if events is None else arguments.names("events", events)
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise InvalidArgumentError("limit", f"{limit!r} is not within 1 to {MAX_LIMIT}", fix=f"take 1 to {MAX_LIMIT}")
    _check_before_download(path, name, append=append)

    begun = clock.monotonic()
    with workdir(path) as directory:
        spool = directory / "export"
        with _disk_errors(), spool.open("wb") as target, _spinner(f"fetching {name}", wanted=progress) as tell:
            download = client.download(
                ENDPOINTS["export"],
                {
                    "from_date": from_date,
                    "to_date": to_date,
                    "event": wanted,
                    "where": where,
                    "limit": limit,
                    "time_in_ms": True,
                },
                target,
                on_bytes=lambda received: tell(f"{received / 1e6:.1f} MB received"),
            )
        with Staging(directory) as staging, _spinner(f"storing {name}", wanted=progress):
            loaded = staging.read(spool, gzipped=download.gzipped)
            _check_complete(loaded)
            spool.unlink()
            fetched_at = clock.now()
            rows = staging.merge(path, name, from_date=first, to_date=last, append=append, fetched_at=fetched_at)
    return FetchResult(
        table=name,
        rows=rows,
        type="events",
        duration_seconds=round(clock.monotonic() - begun, 3),
        date_range=(from_date, to_date),
        fetched_at=fetched_at,
        duplicates=loaded.duplicates,
        skipped_lines=loaded.skipped,
        skipped_sample=loaded.sample,
    )


def _days(from_date: str, to_date: str) -> tuple[date, date]:
    first, last = arguments.day_range(from_date, to_date)
    days = (last - first).days + 1
    if days > MAX_DAYS:
        raise DateRangeTooLargeError(first, last, days, MAX_DAYS)
    return first, last


def _check_before_download(path: Path, name: str, *, append: bool) -> None:
    if path.exists():
        with store.connection(path, "read") as con:
            check_target(con, name, append=append)
    elif append:
        raise TableNotFoundError(name)


def _check_complete(loaded: Loaded) -> None:
    """A failure after the first byte is a last line of plain text, under a status of 200."""
    if loaded.last_line is not None:
        raise IncompleteExportError(
            f"the export ended with a line that is not an event: {loaded.last_line!r}",
            status_code=200,
            details={"lines": loaded.lines, "last_line": loaded.last_line},
        )


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the export cannot be kept on disk ({error.strerror})",
            fix="make room beside the database, then fetch again",
        ) from error


@contextmanager
def _spinner(title: str, *, wanted: bool) -> Iterator[Callable[[str], None]]:
    if not (wanted and sys.stderr.isatty()):
        yield lambda _text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:
        yield lambda text: status.update(f"{title}: {text}")
