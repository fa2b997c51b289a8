"""A fetch in pieces: the same table as in one call, whatever goes wrong with some of them, and the rest later."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from mixpanel_data import (
    AuthenticationError,
    BatchProgress,
    BatchResult,
    FetchResult,
    InvalidArgumentError,
    ParallelFetchResult,
    RateLimiter,
    StorageError,
    TableExistsError,
    TableNotFoundError,
    Workspace,
    split_date_range,
)
from mixpanel_data import pieces as _pieces
from tests.support.emulator import Emulator
from tests.support.exported import as_rows, exported, stored_rows
from tests.support.faults import going_wrong
from tests.support.stores import file_of
from tests.support.virtual_clock import VirtualClock

SPAN: dict[str, Any] = {"from_date": "2025-05-10", "to_date": "2025-06-13"}
PIECES = split_date_range("2025-05-10", "2025-06-13")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """A clock on which no wait takes time."""
    return VirtualClock(monkeypatch)


@pytest.fixture(scope="module")
def truth(emulator: Emulator) -> list[dict[str, Any]]:
    return exported(emulator, SPAN["from_date"], SPAN["to_date"])


def parallel(workspace: Workspace, **more: Any) -> ParallelFetchResult:
    result = workspace.fetch_events(**{**SPAN, "parallel": True, "max_workers": 3, **more})
    assert isinstance(result, ParallelFetchResult)
    return result


def asked_days(emulator: Emulator, last: int) -> list[tuple[str, str]]:
    """The days of the last so many exports asked for, in order."""
    rows = [row for row in emulator.requests() if row["path"].endswith("/export")][-last:]
    asked = [dict(parse_qsl(row["query"])) for row in rows]
    return sorted((query["from_date"], query["to_date"]) for query in asked)


def test_the_pieces_are_one_table(live_workspace: Workspace, truth: list[dict[str, Any]]) -> None:
    told: list[BatchProgress] = []
    result = parallel(live_workspace, on_batch_complete=told.append)
    assert stored_rows(live_workspace) == as_rows(truth)
    assert (result.table, result.total_rows) == ("events", len(as_rows(truth)))
    assert (result.successful_batches, result.failed_batches, result.failed_date_ranges) == (len(PIECES), 0, ())
    assert not result.has_failures
    assert sorted(progress.batch_index for progress in told) == list(range(len(PIECES)))
    assert {(p.from_date, p.to_date) for p in told} == set(PIECES)
    assert all(p.success and p.error is None and p.total_batches == len(PIECES) for p in told)
    assert sum(p.rows for p in told) == result.total_rows
    assert [(b.from_date, b.to_date) for b in result.batches] == PIECES
    (table,) = live_workspace.tables()
    assert (table.row_count, table.gaps) == (result.total_rows, ())


def test_a_result_is_told_with_the_contracts_keys(live_workspace: Workspace) -> None:
    told = parallel(live_workspace).to_dict()
    assert list(told)[:7] == [
        *("table", "total_rows", "successful_batches", "failed_batches", "failed_date_ranges"),
        *("duration_seconds", "fetched_at"),
    ]
    assert told["has_failures"] is False
    assert json.loads(json.dumps(told)) == told
    assert BatchResult("2025-06-01", "2025-06-02", 3, True).to_dict() == {
        "from_date": "2025-06-01", "to_date": "2025-06-02", "rows": 3, "success": True, "error": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"limit": 5}, InvalidArgumentError),
        ({"max_workers": 0}, InvalidArgumentError),
        ({"max_workers": True}, InvalidArgumentError),
        ({"chunk_days": 0}, InvalidArgumentError),
        ({"chunk_days": 101}, InvalidArgumentError),
        ({"batch_size": 99}, InvalidArgumentError),
        ({"batch_size": 100_001}, InvalidArgumentError),
        ({"append": True}, TableNotFoundError),
        ({"from_date": "2025-06-14"}, InvalidArgumentError),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(
    live_workspace: Workspace, emulator: Emulator, wrong: dict[str, Any], kind: type[Exception]
) -> None:
    before = emulator.requests()
    with pytest.raises(kind):
        parallel(live_workspace, **wrong)
    assert emulator.requests() == before


def test_an_existing_table_is_refused_before_anything_is_asked(live_workspace: Workspace, emulator: Emulator) -> None:
    live_workspace.fetch_events(from_date="2025-06-30", to_date="2025-06-30")
    before = emulator.requests()
    with pytest.raises(TableExistsError):
        parallel(live_workspace)
    assert emulator.requests() == before


def test_a_range_of_more_than_a_hundred_days_is_fetched_in_parallel(live_workspace: Workspace) -> None:
    result = parallel(live_workspace, from_date="2025-02-01", chunk_days=100, to_date="2025-06-13")
    assert result.successful_batches == 2


def test_appending_an_overlapping_range_changes_nothing_twice(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]]
) -> None:
    live_workspace.fetch_events(from_date="2025-05-20", to_date="2025-05-30")
    parallel(live_workspace, append=True)
    assert stored_rows(live_workspace) == as_rows(truth)
    again = parallel(live_workspace, append=True, chunk_days=11)
    assert (again.total_rows, again.removed_rows) == (0, 0)
    assert stored_rows(live_workspace) == as_rows(truth)


def test_failed_pieces_stop_no_other_are_gaps_and_are_all_that_is_asked_for_again(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]], hurried: VirtualClock
) -> None:
    told: list[BatchProgress] = []
    with going_wrong(emulator, {"kind": "status", "value": 500, "path": "*/export", "skip": 1, "count": 2}):
        result = parallel(live_workspace, max_workers=1, on_batch_complete=told.append)
    missing = PIECES[1:3]
    assert result.failed_date_ranges == tuple(missing)
    assert (result.has_failures, result.successful_batches) == (True, 3)
    assert [p.batch_index for p in told if not p.success] == [1, 2]
    assert all(p.error and "500" in p.error and p.rows == 0 for p in told if not p.success)
    (table,) = live_workspace.tables()
    assert table.to_dict()["gaps"] == [[missing[0][0], missing[1][1]]]
    with pytest.raises(TableExistsError):
        parallel(live_workspace, events=["Sign Up"])
    rest = parallel(live_workspace)
    assert asked_days(emulator, 2) == [(b.from_date, b.to_date) for b in rest.batches] == missing
    assert (rest.successful_batches, rest.has_failures) == (2, False)
    assert stored_rows(live_workspace) == as_rows(truth)
    assert live_workspace.tables()[0].gaps == ()
    with pytest.raises(TableExistsError):
        parallel(live_workspace)


def test_a_fetch_in_one_call_fills_the_gaps_too(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]], hurried: VirtualClock
) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 500, "path": "*/export", "skip": 1, "count": 3}):
        parallel(live_workspace, max_workers=1)
    result = live_workspace.fetch_events(**SPAN)
    assert asked_days(emulator, 1) == [(PIECES[1][0], PIECES[3][1])], "neighbours are one call"
    assert isinstance(result, FetchResult)
    assert result.date_range == (SPAN["from_date"], SPAN["to_date"])
    assert stored_rows(live_workspace) == as_rows(truth)
    assert live_workspace.tables()[0].gaps == ()


def test_another_fetch_that_covers_a_gap_closes_it(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]], hurried: VirtualClock
) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 500, "path": "*/export", "skip": 1, "count": 1}):
        parallel(live_workspace, max_workers=1)
    first, last = PIECES[1]
    live_workspace.fetch_events(from_date=first, to_date=first, append=True)
    rest = split_date_range(first, last, 1)[1][0]
    assert live_workspace.tables()[0].to_dict()["gaps"] == [[rest, last]]
    live_workspace.fetch_events(from_date=rest, to_date=last, events=["Sign Up"], append=True)
    assert live_workspace.tables()[0].to_dict()["gaps"] == [[rest, last]], "some names are not all"
    live_workspace.fetch_events(from_date=rest, to_date=last, append=True)
    assert live_workspace.tables()[0].gaps == ()
    assert stored_rows(live_workspace) == as_rows(truth)


def test_a_piece_that_ends_early_is_asked_for_once_more(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]]
) -> None:
    with going_wrong(emulator, {"kind": "terminated_early", "value": 3, "path": "*/export", "count": 1}):
        assert not parallel(live_workspace).has_failures
    assert stored_rows(live_workspace) == as_rows(truth)


def test_when_everything_fails_there_is_no_table(
    live_workspace: Workspace, emulator: Emulator, hurried: VirtualClock
) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 500, "path": "*/export"}):
        result = parallel(live_workspace)
    assert (result.successful_batches, result.failed_date_ranges) == (0, tuple(PIECES))
    assert live_workspace.tables() == []
    assert not parallel(live_workspace).has_failures


def test_a_stranger_is_turned_away_at_once(live_workspace: Workspace, emulator: Emulator) -> None:
    with (
        going_wrong(emulator, {"kind": "status", "value": 401, "path": "*/export"}),
        pytest.raises(AuthenticationError),
    ):
        parallel(live_workspace)
    assert live_workspace.tables() == []


def test_the_cost_is_announced(
    live_workspace: Workspace,
    emulator: Emulator,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    environment.setenv("MP_RATE_LIMITS", "query=60/hour, export=60/hour")
    caplog.set_level(logging.INFO, "mixpanel_data")
    with Workspace(path=tmp_path / "counted.db") as workspace:
        used = workspace.api.budget.used("export")
        assert used is not None
        assert parallel(workspace).cost == f"5 of 60 export calls this hour, {used.used} spent before"
    assert "5 of 60 export calls this hour" in caplog.text
    queries = [row["path"] for row in emulator.requests()][-7:]
    assert sum(path.endswith(("/events", "/events/names")) for path in queries) == 2, "the pieces' sizes cost two calls"


def test_pieces_are_smaller_where_there_are_many_events(
    live_workspace: Workspace,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    truth: list[dict[str, Any]],
) -> None:
    monkeypatch.setattr(_pieces, "EVENTS_A_PIECE", len(truth) // 10)
    result = parallel(live_workspace)
    days = [(b.from_date, b.to_date) for b in result.batches]
    assert len(days) > len(PIECES) * 1.5
    assert days[0][0] == SPAN["from_date"]
    assert days[-1][1] == SPAN["to_date"]
    assert stored_rows(live_workspace) == as_rows(truth)


def test_without_an_answer_on_sizes_pieces_are_cut_by_days(live_workspace: Workspace, emulator: Emulator) -> None:
    with going_wrong(emulator, {"kind": "status", "value": 500, "path": "*/events*"}):
        assert [(b.from_date, b.to_date) for b in parallel(live_workspace).batches] == PIECES


def test_a_full_disk_ends_the_fetch_and_says_what_is_stored(
    live_workspace: Workspace, monkeypatch: pytest.MonkeyPatch, truth: list[dict[str, Any]]
) -> None:
    real, calls = Path.open, []

    def full(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name.startswith("export-") and arguments == ("wb",):
            calls.append(path)
            if len(calls) > 2:
                raise OSError(28, "No space left on device")
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        parallel(live_workspace, max_workers=1)
    assert "the same call fetches the rest" in "".join(caught.value.__notes__)
    monkeypatch.undo()
    assert live_workspace.tables()[0].gaps


INTERRUPTED = """
import sys
from mixpanel_data import Workspace
with Workspace(path=sys.argv[1]) as workspace:
    def told(progress):
        print("stored", progress.rows, flush=True)
    workspace.fetch_events(from_date=sys.argv[2], to_date=sys.argv[3], parallel=True, max_workers=2,
        on_batch_complete=told)
"""


def test_an_interrupt_ends_a_fetch_that_would_never_end_and_leaves_what_is_stored(
    live_workspace: Workspace, emulator: Emulator, truth: list[dict[str, Any]]
) -> None:
    rule = {"kind": "stall", "value": 200, "path": "*/export", "skip": 2}
    with going_wrong(emulator, rule):
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, str(file_of(live_workspace)), SPAN["from_date"], SPAN["to_date"]],
            env={**os.environ, **emulator.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("stored")
            assert process.stdout.readline().startswith("stored")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert "2 of 5 pieces of events are stored; the same call fetches the rest" in errors
    assert len(live_workspace.tables()[0].gaps) >= 1
    assert parallel(live_workspace).successful_batches == 3
    assert stored_rows(live_workspace) == as_rows(truth)


def days(text: str) -> list[tuple[str, str]]:
    return [(part.split("..")[0], part.split("..")[1]) for part in text.split()]


@pytest.mark.parametrize(
    ("first", "last", "chunk", "expected"),
    [
        ("2025-01-01", "2025-01-01", 7, "2025-01-01..2025-01-01"),
        ("2025-01-01", "2025-01-07", 7, "2025-01-01..2025-01-07"),
        ("2025-01-01", "2025-01-08", 7, "2025-01-01..2025-01-07 2025-01-08..2025-01-08"),
        ("2024-02-27", "2024-03-02", 2, "2024-02-27..2024-02-28 2024-02-29..2024-03-01 2024-03-02..2024-03-02"),
        ("9999-12-30", "9999-12-31", 100, "9999-12-30..9999-12-31"),
        ("9999-12-30", "9999-12-31", 1, "9999-12-30..9999-12-30 9999-12-31..9999-12-31"),
    ],
)
def test_a_range_is_split_into_pieces(first: str, last: str, chunk: int, expected: str) -> None:
    assert split_date_range(first, last, chunk) == days(expected)


@pytest.mark.parametrize(
    "arguments", [("2025-02-01", "2025-01-01", 7), ("x", "2025-01-01", 7), ("2025-01-01",) * 2 + (0,)]
)
def test_a_range_that_is_none_is_refused(arguments: tuple[str, str, int]) -> None:
    with pytest.raises(ValueError, match=r"from_date|chunk_days"):
        split_date_range(*arguments)


def test_a_limiter_lets_in_so_many() -> None:
    limiter = RateLimiter(max_concurrent=1)
    with limiter.acquire():
        pass
    with limiter.acquire():
        pass
    with pytest.raises(InvalidArgumentError):
        RateLimiter(0)


@pytest.fixture(autouse=True)
def nothing_left_over(tmp_path: Path) -> Iterator[None]:
    """No spool stays beside a database, whatever a test did."""
    yield
    assert not list(tmp_path.glob(".*.work"))
