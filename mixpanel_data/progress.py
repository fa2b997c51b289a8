"""What a long call shows meanwhile: on stderr, and only if that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mixpanel_data import clock


@contextmanager
def spinner(title: str, *, wanted: bool) -> Iterator[Callable[[int], None]]:
    """A spinner; what is yielded is told how many bytes have come so far."""
    if not (wanted and sys.stderr.isatty()):
        yield _unseen
        return
    from rich.console import Console

    begun = clock.monotonic()
    with Console(stderr=True).status(title) as status:

        def tell(received: int) -> None:
            rate = received / max(clock.monotonic() - begun, 0.001)
            status.update(f"{title}: {received / 1e6:.1f} MB received, {rate / 1e6:.1f} MB/s")

        yield tell


@contextmanager
def bar(title: str, total: int, *, wanted: bool) -> Iterator[Callable[[int, int, int], None]]:
    """A bar with rates and the time left; what is yielded is told of pieces done, rows stored and bytes received."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _pieces, _rows, _received: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    begun = clock.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rates]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=total, rates="")

        def tell(pieces: int, rows: int, received: int) -> None:
            seconds = max(clock.monotonic() - begun, 0.001)
            rates = f"{rows:,} events, {rows / seconds:,.0f}/s, {received / seconds / 1e6:.1f} MB/s"
            shown.update(task, completed=pieces, rates=rates)

        yield tell


def _unseen(_received: int) -> None:
    """Where nobody looks."""
