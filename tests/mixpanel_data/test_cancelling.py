"""A fetch that somebody else ends: soon, in the middle of one large piece too, and with nothing left over."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mixpanel_data import FetchProgress, MixpanelDataError, ParallelFetchResult, Workspace
from tests.support.emulator import Emulator
from tests.support.exported import as_rows, exported, stored_rows
from tests.support.faults import going_wrong

SPAN: dict[str, Any] = {"from_date": "2025-06-12", "to_date": "2025-06-20"}
# What may be in the way of a second or so, on a machine that others use too.
SOON_S = 30.0
DEADLINE_S = 60.0


def in_a_thread(fetch: Any) -> tuple[threading.Thread, list[Any]]:
    """The call, begun in a thread as a server's is, and what comes of it."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(fetch())
        except MixpanelDataError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def left_over(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir() if entry.name not in {"home", path.name}]


@pytest.mark.parametrize(("fault", "value"), [("slow", 50), ("stall", 60_000)])
@pytest.mark.parametrize("how", [{}, {"parallel": True, "chunk_days": 3, "max_workers": 2}], ids=["one", "pieces"])
def test_a_fetch_ends_soon_after_it_is_cancelled(
    live_workspace: Workspace, emulator: Emulator, fault: str, value: int, how: dict[str, Any]
) -> None:
    cancelled, came = threading.Event(), threading.Event()
    with going_wrong(emulator, {"kind": fault, "value": value, "path": "*/export"}):
        thread, outcome = in_a_thread(
            lambda: live_workspace.fetch_events(
                "t", progress=False, cancelled=cancelled.is_set, on_progress=lambda _: came.set(), **SPAN, **how
            )
        )
        assert came.wait(DEADLINE_S)
        begun = time.monotonic()
        cancelled.set()
        thread.join(DEADLINE_S)
        took = time.monotonic() - begun
    (error,) = outcome
    assert isinstance(error, MixpanelDataError)
    assert (error.code, took < SOON_S) == ("CANCELLED", True)
    assert any("the same call fetches" in note for note in error.__notes__)
    path = live_workspace.db_path
    assert path is not None
    assert left_over(path) == []
    live_workspace.fetch_events("t", progress=False, append=bool(live_workspace.tables()), **SPAN)
    assert stored_rows(live_workspace, "t") == as_rows(exported(emulator, SPAN["from_date"], SPAN["to_date"]))


def test_a_fetch_that_is_done_is_not_cancelled_any_more(live_workspace: Workspace) -> None:
    asked = threading.Event()

    def cancelled() -> bool:
        asked.set()
        return False

    result = live_workspace.fetch_events("t", progress=False, cancelled=cancelled, **SPAN)
    assert asked.is_set()
    assert result.to_dict()["rows"] == live_workspace.tables()[0].row_count


def test_a_fetch_that_is_cancelled_before_it_begins_asks_nothing(live_workspace: Workspace, emulator: Emulator) -> None:
    before = emulator.requests()
    with pytest.raises(MixpanelDataError) as caught:
        live_workspace.fetch_events("t", progress=False, cancelled=lambda: True, **SPAN)
    assert caught.value.code == "CANCELLED"
    assert emulator.requests_since(before) == []
    assert live_workspace.tables() == []


@pytest.mark.parametrize("how", [{}, {"parallel": True, "chunk_days": 3, "max_workers": 2}], ids=["one", "pieces"])
def test_progress_grows_to_what_has_come(live_workspace: Workspace, how: dict[str, Any]) -> None:
    heard: list[FetchProgress] = []
    result = live_workspace.fetch_events("t", progress=False, on_progress=heard.append, **SPAN, **how)
    rows = result.total_rows if isinstance(result, ParallelFetchResult) else result.rows
    assert heard[-1].bytes_received > 0
    if not how:
        assert [one.bytes_received for one in heard] == sorted(one.bytes_received for one in heard)
        assert heard[-1].events == rows
    assert all(0 <= one.events <= rows for one in heard)


def test_a_piece_that_fails_brings_its_exception(live_workspace: Workspace, emulator: Emulator) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 403, "path": "*/export", "skip": 1, "count": 1}):
        result = live_workspace.fetch_events("t", progress=False, parallel=True, chunk_days=3, max_workers=1, **SPAN)
    assert isinstance(result, ParallelFetchResult)
    (failed,) = [batch for batch in result.batches if not batch.success]
    assert isinstance(failed.exception, MixpanelDataError)
    assert str(failed.exception) == failed.error
    assert "exception" not in failed.to_dict()
